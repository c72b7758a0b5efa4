import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaOperator
import Testing

extension Commands {
  /// `hypha log prune`, `compact`, `backup` and `restore`.
  @Suite struct LogUpkeepTests {
    private func finished(_ scratch: Scratch) async throws -> (room: IncidentRoom, node: String) {
      let room = try IncidentRoom(in: scratch)
      let run = try await scratch.hypha("run", room.file, "--data", scratch("data"))
      try #require(run.status == 0, "\(run.errors)")
      return (room, scratch("data/desk"))
    }

    private struct Pruned: Decodable {
      var isDone: Bool
      var first, last, entries, bytes, sparedBlocks: UInt64
      var event: UInt64?
      var heldBackBy: String?
    }

    private func prune(_ scratch: Scratch, _ arguments: String...) async throws -> Pruned {
      let result = try await Hypha.run(["log", "prune"] + arguments + ["--json"], in: scratch)
      #expect(result.status == 0 && result.errors == "", "\(result)")
      return try JSONDecoder().decode(Pruned.self, from: Data(result.output.utf8))
    }

    @Test func `prune says what it would do, does it with --yes, and the log says so`() async throws {
      let scratch = try Scratch()
      let (room, node) = try await finished(scratch)
      let before = try await scratch.hypha("log", "cat", node, "--json").lines
      let dry = try await prune(scratch, node, "--keep-newest", "100", "--protect", "200")
      #expect(!dry.isDone && dry.first >= 1 && dry.last < 200 && dry.last > 0 && dry.event == nil)
      #expect(dry.sparedBlocks > 0 && dry.entries < dry.last, "the activations stay: \(dry)")
      let text = try await scratch.hypha("log", "prune", node, "--keep-newest", "100", "--protect", "200")
      #expect(text.lines[0].contains("would remove") && text.output.contains("give --yes to do it"))
      #expect(try await scratch.hypha("log", "cat", node, "--json").lines == before)

      let whole = try await scratch.hypha("log", "info", node, "--json")
      let done = try await prune(
        scratch, node, "--keep-newest", "100", "--protect", "200", "--yes", "--as", "ana")
      #expect(done.isDone && done.last == dry.last && done.event == UInt64(before.count + 1))
      let after = try await scratch.hypha("log", "cat", node, "--json").lines
      #expect(after.count == before.count - Int(done.entries) + 1)
      let behind = Array(before.dropFirst(Int(done.last)))
      let left = Array(after.dropLast())
      #expect(Array(left.suffix(behind.count)) == behind)
      let activations = before.filter { $0.contains("\"type\":\"hypha.AgentActivated\"") }
      #expect(Set(after).isSuperset(of: activations) && !activations.isEmpty)
      #expect(after.last?.contains("\"type\":\"log.Pruned\"") == true)
      #expect(after.last?.contains("\"principal\":\"ana\"") == true)
      let verify = try await scratch.hypha("log", "verify", node)
      #expect(verify.status == 0 && verify.output.contains(": sound; "), "\(verify)")
      let info = try await scratch.hypha("log", "info", node, "--json")
      #expect(info.output.contains("\"entries\":\(after.count),"), "\(info)")
      #expect(info.output.contains("\"pruned\":\(done.entries),"), "\(info)")
      // What was stated stays stated, and the log has stated that it was pruned. Whether an agent of which nothing is left
      // was this node's, nobody can tell any more.
      let stated = { (text: String) in text.firstMatch(of: /"stated":(\d+)/).flatMap { Int($0.output.1) } }
      let agents = { (lines: [String]) in
        Set(lines.compactMap { $0.firstMatch(of: /"agent":"([^"]+)"/).map { String($0.output.1) } })
      }
      #expect(!agents(before).isEmpty)
      let sum = try #require(stated(whole.output)) + 1
      let isKnown = agents(before).isSubset(of: agents(after))
      #expect(stated(info.output) == (isKnown ? sum : nil), "\(info) \(whole)")

      let compact = try await scratch.hypha("log", "compact", node, "--json")
      #expect(compact.status == 0 && compact.output.contains("\"bytesAfter\":"), "\(compact)")
      #expect(try await scratch.hypha("log", "cat", node, "--json").lines == after)
      // The node goes on.
      let again = try await scratch.hypha("run", room.file, "--data", scratch("data"))
      #expect(again.status == 0, "\(again.errors)")
    }

    @Test func `logs that were pruned as far as can be are refused under another topology`() async throws {
      let scratch = try Scratch()
      let (room, _) = try await finished(scratch)
      for node in ["hq", "desk", "infra", "apps"] {
        let done = try await prune(scratch, scratch("data/\(node)"), "--keep-newest", "1", "--yes")
        #expect(done.isDone && done.sparedBlocks > 0, "\(done)")
      }
      let text = try String(contentsOfFile: room.file, encoding: .utf8)
      let line = "  Bo:\n    kind: trace\n    node: desk\n    reports-to: "
      try #require(text.contains(line + "service-desk\n"))
      let other = try scratch.file(
        "other.yaml", text.replacing(line + "service-desk\n", with: line + "infrastructure\n"))
      let run = try await scratch.hypha("run", other, "--data", scratch("data"))
      #expect(run.status == 1 && run.errors.contains("was written under another topology"), "\(run)")
      #expect(
        run.errors.contains(": agent 'Bo' reports to 'infrastructure', and did to 'service-desk'; run it"),
        "\(run)")
      scratch.expectNothingLeft()
    }

    @Test func `payloads that belong to no event are named until a prune removes them`() async throws {
      let scratch = try Scratch()
      let (_, node) = try await finished(scratch)
      #expect(try await scratch.hypha("log", "info", node).errors == "")
      let shard = node + "/payloads/ab"
      try FileManager.default.createDirectory(atPath: shard, withIntermediateDirectories: true)
      let payload = shard + "/" + String(repeating: "c", count: 62)
      try Data(count: 70_000).write(to: URL(fileURLWithPath: payload))
      let info = try await scratch.hypha("log", "info", node)
      #expect(info.status == 0 && info.lines.count == 2, "\(info)")
      #expect(info.errors.contains("1 payload beside the log (68.4 KiB) belongs to no event"), "\(info)")
      let verify = try await scratch.hypha("log", "verify", node)
      #expect(verify.status == 0 && verify.lines.count == 1, "\(verify)")
      #expect(
        verify.output.contains(": sound; ") && verify.output.contains(", 1 payload of no event (68.4 KiB)"))
      #expect(try await prune(scratch, node, "--keep-newest", "300", "--yes").isDone)
      #expect(try await scratch.hypha("log", "info", node).errors == "")
      #expect(!FileManager.default.fileExists(atPath: payload))
    }

    @Test func `prune wants a limit, and compact a log that nobody writes`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Deployments.endless)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { run.output.contains("2/2 nodes") })
      let none = try await scratch.hypha("log", "prune", scratch("data/b"))
      #expect(none.status == 2 && none.errors.contains("--keep-newer-than"), "\(none)")
      let both = try await scratch.hypha(
        "log", "prune", scratch("data/b"), "--handled", "--yes", "--dry-run")
      #expect(both.status == 2 && both.errors.contains("exclude each other"), "\(both)")
      #expect(await becomesTrue { run.node("b") != nil })
      let process = try #require(run.node("b"))
      let held = try await scratch.hypha("log", "compact", scratch("data/b"))
      #expect(held.status == 1 && held.errors.contains("by process \(process)"), "\(held)")

      // A prune, which the node makes itself, and a backup need no such peace.
      let pruned = try await scratch.hypha(
        "log", "prune", scratch("data/b"), "--keep-newest", "1", "--yes")
      #expect(pruned.status == 0 && pruned.errors == "", "\(pruned)")
      #expect(run.isRunning && run.node("b") == process)
      let backup = try await scratch.hypha("log", "backup", scratch("data/b"), "--output", scratch("copy"))
      #expect(
        backup.status == 0 && backup.output.contains("log of node b, events up to position"), "\(backup)")
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
      let verify = try await scratch.hypha("log", "verify", scratch("copy"))
      #expect(verify.status == 0 && verify.output.contains(": sound; "), "\(verify)")
      scratch.expectNothingLeft()
    }

    @Test func `a damaged log is not backed up, and a damaged backup not restored`() async throws {
      let scratch = try Scratch()
      let (_, node) = try await finished(scratch)
      let (good, bad) = (scratch("good"), scratch("bad"))
      #expect(try await scratch.hypha("log", "backup", node, "-o", good).status == 0)
      #expect(try await scratch.hypha("log", "backup", node, "-o", bad).status == 0)
      for place in [node, bad] {
        let file = URL(fileURLWithPath: place + "/log/data.mdb")
        var data = try Data(contentsOf: file)
        let record = try #require(
          try LMDBLogReader(directory: place).entry(at: Position(rawValue: 40))?.record)
        let found = try #require(data.range(of: Data(record.bytes)))
        data[found.upperBound - 9] ^= 1
        try data.write(to: file)
      }
      let backup = try await scratch.hypha("log", "backup", node, "-o", scratch("second"))
      #expect(
        backup.status == 1 && backup.output == "" && backup.errors.contains("\(node) is damaged: ")
          && backup.errors.contains("position 40") && backup.errors.contains("log salvage"), "\(backup)")
      let restore = try await scratch.hypha("log", "restore", bad, "--data", scratch("fresh"))
      #expect(
        restore.status == 1 && restore.errors.contains("\(bad) is damaged: ")
          && restore.errors.contains("use another backup"), "\(restore)")
      for path in ["second", "second.partial", "fresh", "fresh.partial"] {
        #expect(!FileManager.default.fileExists(atPath: scratch(path)))
      }
      #expect(try await scratch.hypha("log", "verify", good).status == 0)
    }

    @Test func `a backup is restored to an empty directory, or to another one's place`() async throws {
      let scratch = try Scratch()
      let (room, node) = try await finished(scratch)
      let copy = scratch("copy")
      let backup = try await scratch.hypha("log", "backup", node, "-o", copy, "--json")
      #expect(backup.status == 0 && backup.output.contains("\"link\":\""), "\(backup)")
      let twice = try await scratch.hypha("log", "backup", node, "-o", copy)
      #expect(twice.status == 1 && twice.errors.contains("is not empty"), "\(twice)")
      let events = try await scratch.hypha("log", "cat", node, "--json").output

      let fresh = try await scratch.hypha("log", "restore", copy, "--data", scratch("fresh/desk"))
      #expect(fresh.status == 0 && fresh.output.contains("is not in this log"), "\(fresh)")
      #expect(try await scratch.hypha("log", "cat", scratch("fresh/desk"), "--json").output == events)

      let refused = try await scratch.hypha("log", "restore", copy, "--data", node)
      #expect(refused.status == 1 && refused.errors.contains("--replace"), "\(refused)")
      let replaced = try await scratch.hypha("log", "restore", copy, "--data", node, "--replace", "--json")
      #expect(replaced.status == 0 && replaced.output.contains("desk.replaced"), "\(replaced)")
      #expect(try await scratch.hypha("log", "cat", node + ".replaced", "--json").output == events)
      func key(_ place: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: place + "/node.key"))
      }
      #expect(try key(node) == key(node + ".replaced"), "the key goes with its log")
      #expect(fresh.output.contains("there is no node.key"))
      let again = try await scratch.hypha("run", room.file, "--data", scratch("data"))
      #expect(again.status == 0, "\(again.errors)")
    }
  }
}
