import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

@testable import HyphaOperator
@testable import HyphaRuntime
@testable import HyphaTopology

/// The logs of a made-up deployment whose network evolves, and in which texts are hostile.
struct EvolvingLogs {
  let data: String
  static let begin: UInt64 = 1_700_000_000_000_000
  static let hostile = #"</script><script>boom()</script><img src=x onerror="boom()">"#

  private final class Time: TimeSource {
    // Entries are taken a millisecond after the second at which all of this happened.
    func microseconds() -> UInt64 { EvolvingLogs.begin + 1_001_000 }
  }

  private var sequences: [AgentID: UInt64] = [:]
  private var ends: [Lane: LanePoint] = [:]

  /// Forty events a second from ana to bo, who are linked from the second tenth of that second to the eighth.
  init(in scratch: Scratch, outlined: Bool = true) async throws {
    data = scratch("data")
    let logs = try ["desk", "hq"].map { name in
      try LMDBLog(
        directory: "\(data)/\(name)", node: NodeID(name),
        settings: LMDBLogSettings(mapByteCount: 1 << 28, niceValue: 0), time: Time())
    }
    defer { for log in logs { log.close() } }
    let nodes = try ["desk", "hq"].map { NodeSpec(id: try NodeID($0)) }
    let topology = try Topology(
      name: "room", nodes: nodes,
      agents: [
        AgentSpec(id: "lead", kind: "supervisor", node: "hq"),
        AgentSpec(id: "front", kind: "supervisor", node: "desk", reportsTo: "lead"),
        AgentSpec(id: "ana", kind: "clerk", node: "desk", reportsTo: "front"),
        AgentSpec(id: "bo", kind: "clerk", node: "hq", reportsTo: "lead"),
      ])
    if outlined {
      for log in logs {
        _ = try await log.append(LogBatch(snapshots: DeploymentOutline(topology).snapshot(in: log)))
      }
    }
    for round in 0..<40 {
      let at = UInt64(round) * 25_000
      let record = try record("ana", to: "bo", "work.Asked", at, Data(#"{"n":1}"#.utf8))
      _ = try await logs[0].append(LogBatch(appends: [.init(record)]))
      _ = try await logs[1].append(LogBatch(appends: [.init(record, source: .received(hops: 3))]))
      if round == 8 || round == 32 { try await change(round == 8 ? 2 : 3, at + 5, logs) }
    }
    let failed = HandlerFailed(agent: "bo", event: nil, error: Self.hostile, attempt: 1)
    _ = try await logs[1].append(
      LogBatch(appends: [
        .init(try self.record("bo", to: nil, "hypha.HandlerFailed", 999_000, JSON.encode(failed)))
      ]))
  }

  private mutating func change(_ version: UInt32, _ at: UInt64, _ logs: [LMDBLog]) async throws {
    let end = LinkChange.End(link: DirectLink("ana", "bo"), kind: .agents, score: 65_536)
    let isMade = version == 2
    let event = LinksChanged(
      version: version,
      changes: [
        LinkChange(
          cause: isMade ? .earned : .idle, promoted: isMade ? end : nil, retired: isMade ? [] : [end],
          event: 1, credit: 8 * 65_536, threshold: 7 * 65_536, ledgerBefore: 0, ledgerAfter: 5,
          policyVersion: 1)
      ])
    let record = try record("hypha.node.hq", to: nil, LinksChanged.eventType, at, JSON.encode(event))
    _ = try await logs[1].append(LogBatch(appends: [.init(record)]))
    _ = try await logs[0].append(LogBatch(appends: [.init(record, source: .received(hops: 1))]))
  }

  private mutating func record(
    _ agent: AgentID, to addressee: AgentID?, _ type: EventTypeName, _ at: UInt64, _ payload: Data
  ) throws -> Record {
    let time = Timestamp(microseconds: Self.begin + at)
    let sequence = (sequences[agent] ?? 0) + 1
    sequences[agent] = sequence
    let lane = Lane(
      agent: agent, channel: .persistent, target: addressee.map { .addressee($0) } ?? .type(type))
    let id = EventID(time: time, random: (at + 1) &* 0x9E37_79B9_7F4A_7C15)
    let header = RecordHeader(
      id: id, time: time, channel: .persistent, agent: agent, epoch: 1, sequence: sequence,
      previous: ends[lane] ?? .start, addressee: addressee, type: type, subject: "case.1", correlation: id,
      authority: Authority(principal: agent, grant: "topology"))
    ends[lane] = header.point
    return try Record(header, payload: Array(payload))
  }
}

/// A browser that draws pages without a screen.
enum Browser {
  static let script = Places.package.appending(path: "tools/check-report").path

  static let isThere: Bool = {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", script, "--browser"]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()
}

extension Commands {
  /// `hypha report`.
  @Suite struct ReportCommandTests {
    /// The data that a page carries.
    private func data(of page: String) throws -> JSONValue {
      let text = try String(contentsOfFile: page, encoding: .utf8)
      let parts = text.components(separatedBy: #"<script type="application/json" id="data">"#)
      try #require(parts.count == 2)
      let json = try #require(parts[1].components(separatedBy: "</script>").first)
      return try JSON.decode(JSONValue.self, from: json.utf8)
    }

    private func elements(_ value: JSONValue?) -> [JSONValue] {
      guard case .array(let elements)? = value else { return [] }
      return elements
    }

    @Test func `a report counts what logs hold, each event once, and tells where it is from`() async throws {
      let scratch = try Scratch()
      let logs = try await EvolvingLogs(in: scratch)
      let made = try await scratch.hypha("report", "--data", logs.data, "-o", scratch("r.html"), "--json")
      #expect(made.status == 0 && made.errors == "" && made.output.contains(#""events":43,"entries":85"#))
      let data = try data(of: scratch("r.html"))
      #expect(data["events"] == .integer(43) && data["copies"] == .integer(42))
      #expect(data["tree"] == .string("log") && data["name"] == .string("room"))
      let channel = try #require(elements(data["channels"]).first { $0["name"] == .string("persistent") })
      let series = elements(channel["series"]).compactMap { value -> Int64? in
        if case .integer(let count) = value { count } else { nil }
      }
      #expect(series.reduce(0, +) == 43)
      #expect(channel["commit"]?["count"] == .integer(43) && channel["travel"]?["count"] == .integer(42))
      // The newest event was stated 2 ms before all entries were taken, the oldest 1.001 s.
      #expect(channel["commit"]?["max"] == .integer(1_001_000))
      let pair = try #require(elements(data["pairs"]).first)
      #expect(pair["events"] == .integer(40) && elements(data["pairs"]).count == 1)
      let link = try #require(elements(data["links"]).first)
      guard case .integer(let from)? = link["from"], case .integer(let to)? = link["to"] else {
        Issue.record("a link has no times")
        return
      }
      #expect(to - from == 600_000 && link["version"] == .integer(2))
      #expect(elements(data["changes"]).map { $0["cause"] } == [.string("earned"), .string("idle")])
      #expect(data["counts"]?["failures"] == .integer(1))
      let parents = elements(data["agents"]).map { [$0["name"], $0["parent"]] }
      #expect(
        parents == [
          [.string("lead"), .integer(-1)], [.string("front"), .integer(0)], [.string("ana"), .integer(1)],
          [.string("bo"), .integer(0)],
        ])
      // What the page says of the logs is what an auditor finds.
      let reader = try LMDBLogReader(directory: "\(logs.data)/hq")
      let log = try #require(elements(data["logs"]).first { $0["node"] == .string("hq") })
      #expect(log["head"] == .integer(Int64(try reader.head().rawValue)))
      let head = try await scratch.hypha("log", "head", "\(logs.data)/hq")
      let digits = try #require(log["link"]?.text)
      #expect(digits.count == 64 && head.output.contains(digits))
    }

    @Test func `nothing that a log says becomes a part of the page`() async throws {
      let scratch = try Scratch()
      let logs = try await EvolvingLogs(in: scratch)
      _ = try await scratch.hypha("report", "--data", logs.data, "-o", scratch("r.html"))
      let page = try String(contentsOfFile: scratch("r.html"), encoding: .utf8)
      #expect(!page.contains("<img") && !page.contains("<script>boom"))
      // The page's two scripts, and the data.
      #expect(
        page.components(separatedBy: "<script").count == 3
          && page.components(separatedBy: "</script").count == 3)
      #expect(
        elements(try data(of: scratch("r.html"))["incidents"]).first?["text"]?.text?.contains("boom()")
          == true)
      // It names nothing to load: the only address is the name of SVG.
      let parts = page.components(separatedBy: #"<script type="application/json" id="data">"#)
      let own = parts[0] + (parts[1].components(separatedBy: "</script>").dropFirst().joined())
      #expect(
        own.components(separatedBy: "http").count - own.components(separatedBy: "http-equiv").count == 1)
      #expect(!own.contains(" src=") && !own.contains("url(") && !own.contains("@import"))
    }

    @Test(
      .enabled(if: Browser.isThere, "no browser that tools/check-report knows; HYPHA_BROWSER may name one"))
    func `a browser draws the page, its slider moves the graph, and nothing goes wrong`() async throws {
      let scratch = try Scratch()
      let logs = try await EvolvingLogs(in: scratch)
      for outlined in [true, false] {
        let page = scratch("page-\(outlined).html")
        if !outlined {
          try FileManager.default.removeItem(atPath: logs.data)
          _ = try await EvolvingLogs(in: scratch, outlined: false)
        }
        _ = try await scratch.hypha("report", "--data", logs.data, "-o", page)
        let checked = try await Hypha(
          ["python3", Browser.script, page], in: scratch, program: "/usr/bin/env"
        ).end(within: .seconds(240))
        #expect(checked.status == 0, "\(checked.errors.suffix(2_000))")
        let found = try JSON.decode(JSONValue.self, from: checked.output.utf8)
        #expect(found["wrong"] == .array([]) && found["intruded"] == .bool(false))
        #expect(found["loaded"] == .integer(0) && found["unnamed"] == .integer(0))
        #expect(found["overflow"] == .integer(0) && found["theme"] == .string("dark"))
        #expect(found["agents"] == .integer(outlined ? 4 : 2) && found["picked"] == .integer(1))
        #expect(found["text"]?.text?.contains(EvolvingLogs.hostile) == true)
        // Before it came, while it was there, and after it went.
        let links = elements(found["moments"]).map { $0["links"] }
        #expect(links == [0, 1, 1, 1, 0].map { .integer($0) })
        #expect(found["lanes"] != .integer(0) && found["heat"] != .integer(0))
      }
    }

    @Test func `a report into a pipe is the page and nothing else`() async throws {
      let scratch = try Scratch()
      let logs = try await EvolvingLogs(in: scratch)
      #expect(mkfifo(scratch("fifo"), 0o600) == 0)
      let words = ["report", "--data", logs.data, "-o"]
      for (target, line) in [
        ("/dev/stdout", "\"$0\" \"$@\" | cat > page.html"),
        (scratch("fifo"), "cat fifo > page.html & \"$0\" \"$@\"; wait"),
      ] {
        let made = try await Hypha(
          ["-c", line, Places.hypha] + words + [target], in: scratch, program: "/bin/sh"
        ).end()
        #expect(made.status == 0, "\(made.errors)")
        let isSaid = "\(target): 43 events in 85 entries of 2 logs, "
        #expect((target == "/dev/stdout" ? made.errors : made.output).contains(isSaid), "\(made)")
        let page = try String(contentsOfFile: scratch("page.html"), encoding: .utf8)
        #expect(page.hasPrefix("<!DOCTYPE html>") && page.hasSuffix("</html>\n"), "\(page.suffix(100))")
        #expect(try data(of: scratch("page.html"))["events"] == .integer(43))
        var status = stat()
        #expect(target == "/dev/stdout" || stat(target, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
      }
      // Whoever reads it and has enough is no error.
      for reader in ["head -c 1", "true"] {
        let left = try await Hypha(
          ["-c", "\"$0\" \"$@\" | \(reader)", Places.hypha] + words + ["/dev/stdout"], in: scratch,
          program: "/bin/sh"
        ).end()
        #expect(!left.errors.contains("cannot be written"), "\(reader): \(left.errors)")
      }
    }

    @Test func `a report of nothing is a page, and what cannot be is refused`() async throws {
      let scratch = try Scratch()
      let none = try await scratch.hypha("report", "--data", scratch("nix"), "-o", scratch("r.html"))
      #expect(none.status == 1 && none.errors.contains("holds no log of a node"))
      #expect(!FileManager.default.fileExists(atPath: scratch("r.html")))
      let logs = try await AskedLogs(in: scratch, roundCount: 3)
      let kept = try scratch.file("kept.html", "what was there")
      let bad = try await scratch.hypha(
        "report", "--data", logs.data, "--topology", scratch("nix.yaml"), "-o", kept)
      #expect(bad.status != 0)
      #expect(try String(contentsOfFile: kept, encoding: .utf8) == "what was there")
      let unwritable = try await scratch.hypha("report", "--data", logs.data, "-o", scratch("nix/r.html"))
      #expect(unwritable.status == 1 && unwritable.errors.contains("cannot be written; name a file"))
      let made = try await scratch.hypha("report", "--data", logs.data, "-o", kept)
      #expect(made.status == 0 && made.output.contains("6 events in 12 entries of 2 logs"))
      #expect(try data(of: kept)["tree"] == .string("none"))
    }
  }
}
