import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Processes {
  /// Values that agents of one process share and those of another read.
  @Suite struct SharedProcessTests {
    private static let topology = """
      hypha: 1
      name: levels
      nodes: {a: {}, b: {}}
      agents:
        boss: {kind: supervisor, node: a}
        feeder: {kind: feeder, node: a, reports-to: boss, settings: {count: 400, burst: 2}}
        gauge: {kind: gauge, node: a, reports-to: boss, subscribes: [test.Job]}
        viewer: {kind: viewer, node: b, reports-to: boss, subscribes: [test.Job, test.Level]}
      """

    private struct Seen: Decodable {
      var numbers: [Int]
      var versions: [String]
    }

    private func seen(_ scratch: Scratch) throws -> [Seen] {
      try LMDBLogReader(directory: scratch("data/b")).read(after: .start, limit: .max, byteLimit: .max)
        .map(\.record).filter { $0.type == "test.LevelsSeen" }
        .map { try JSON.decode(Seen.self, from: $0.payload) }
    }

    private func app(_ scratch: Scratch, _ words: String...) async throws -> Hypha.Result {
      try await Hypha(words, in: scratch, program: Places.testApp).end()
    }

    @Test func `values are read as they are shared, after kill -9 and behind a prune`() async throws {
      let scratch = try Scratch()
      let (file, data) = (try scratch.file("levels.yaml", Self.topology), scratch("data"))
      #expect(try await app(scratch, "validate", file).status == 0)
      let run = try Hypha(["run", file, "--data", data, "--json"], in: scratch, program: Places.testApp)
      #expect(await becomesTrue { (try? seen(scratch).last?.numbers.max()) ?? 0 > 60 })
      let killed = try #require(run.node("b", after: []))
      kill(killed, SIGKILL)
      let result = await run.end()
      #expect(result.status == 0 && result.errors.contains("starting it again"), "\(result.errors)")
      // Each time as new as before, or newer; none is missing after the kill.
      let all = try seen(scratch)
      for (before, after) in zip(all, all.dropFirst()) {
        #expect(zip(before.numbers, after.numbers).allSatisfy { $0 <= $1 }, "\(before) \(after)")
        #expect(after.numbers.count >= before.numbers.count)
        #expect(zip(after.numbers, 0...).allSatisfy { $0 % 3 == $1 })
      }
      #expect(all.count > 400)
      func shared(_ words: String...) async throws -> [JSONValue] {
        let result = try await Hypha(
          ["agents", "shared", data, "--json"] + words, in: scratch, program: Places.testApp
        ).end()
        #expect(result.status == 0, "\(result.errors)")
        guard case .array(let values) = try JSON.decode(JSONValue.self, from: result.output.utf8) else {
          return []
        }
        return values
      }
      let values = try await shared()
      #expect(values.map { $0["value"]?["number"] } == [399, 397, 398].map { .integer($0) })
      #expect(values.allSatisfy { $0["node"] == .string("b") && $0["author"] == .string("gauge") })
      #expect(try await shared("--by", "feeder").isEmpty)
      #expect(try await shared("--type", "test.Level").count == 3)
      let table = try await app(scratch, "agents", "shared", data)
      #expect(
        table.output.contains("level.1") && table.output.contains(#"{"number":397}"#), "\(table.output)")
      let rerun = try await app(scratch, "rerun", file, "--data", data, "--verify")
      #expect(rerun.status == 0, "\(rerun)")
      // What is left is what a start needs, and the newest values are of that.
      let prune = try await app(scratch, "log", "prune", data + "/b", "--keep-newest", "1", "--yes")
      #expect(prune.status == 0, "\(prune)")
      #expect(try await shared().map { $0["position"] } == values.map { $0["position"] })
      let again = try Hypha(["run", file, "--data", data, "--json"], in: scratch, program: Places.testApp)
      let last = await again.end()
      #expect(last.status == 0, "\(last.errors)")
      #expect(try seen(scratch).last?.numbers == [399, 397, 398])
      let versions = values.map { value -> String in
        guard case .integer(let epoch) = value["epoch"], case .integer(let sequence) = value["sequence"]
        else {
          return ""
        }
        return "\(epoch):\(sequence)"
      }
      #expect(try seen(scratch).last?.versions == versions)
    }
  }
}
