import HyphaCore
import HyphaLog
import HyphaReplay

extension LogBench {
  /// What is asked of a log later: replays that are looked at and written as lines of JSON, of one log and of two in one order,
  /// traces of events at random, a page of the whole, and agents that run again; beside LMDB stepping over its values and fetching
  /// one.
  func replayRows() async throws -> [BenchRow] {
    let agents = AgentBench(
      .init(duration: settings.duration, directory: "\(settings.directory)/rerun", isQuick: settings.isQuick),
      progress: progress)
    return try await lookRows() + traceRows() + agents.rerunRows()
  }

  private func lookRows() async throws -> [BenchRow] {
    try await withFilledLogs("replay") { logs, text in
      let second = try OwnLog("\(logs.directory)-second", .grouped(8), node: "bench2", firstAgent: 1_000_000)
      defer {
        second.close()
        Disk.remove(second.directory)
      }
      progress("replay: writing a second log")
      try await second.append(eventCount: Int(logs.log.head().rawValue))
      var rows: [BenchRow] = []
      for (name, logCount, all) in [
        ("", "", [logs.log]), ("-merged", " in each of 2 logs", [logs.log, second.log]),
      ] {
        let (look, lines) = (ReplaySlices(all, writes: false), ReplaySlices(all, writes: true))
        let looked = try await compare(
          "replay, looking: \(text)\(logCount)",
          [{ try look.run(until: $0) }, { try logs.scanLMDB(until: $0) }])
        let written = try await compare(
          "replay, JSON lines: \(text)\(logCount)",
          [{ try lines.run(until: $0) }, { try logs.scanLMDB(until: $0) }])
        rows += [
          looked.row(
            "replay-look-rate\(name)", "\(text)\(logCount)", .eventsPerSecond, against: 1, goal: .replayLook,
            \.rate),
          written.row(
            "replay-json-rate\(name)", "\(text)\(logCount)", .eventsPerSecond, against: 1, goal: .replayJSON,
            \.rate),
        ]
      }
      return rows + (try reportRows(logs, text))
    }
  }

  /// The page of a log of a million events, made by a process of its own.
  private func reportRows(_ logs: FilledLogs, _ text: String) throws -> [BenchRow] {
    guard let program = settings.childCommand?.first else { return [] }
    let page = "\(settings.directory)/report.html"
    defer { Disk.remove(page) }
    var (times, scans): ([Double], [Double]) = ([], [])
    for _ in 0..<(settings.isQuick ? 2 : 5) {
      try Task.checkCancellation()
      progress("report: \(text)")
      let began = Monotonic.nanoseconds()
      _ = try ChildProcess.output(of: [program, "report", "--data", logs.directory, "-o", page])
      times.append(Double(Monotonic.nanoseconds() - began) / 1e9)
      let scan = try logs.scanLMDB(until: Monotonic.nanoseconds() + 50_000_000)
      scans.append(try Double(logs.log.head().rawValue) / scan.rate)
    }
    guard let (ours, bare) = Spread(times).flatMap({ ours in Spread(scans).map { (ours, $0) } }),
      let ratios = Spread(zip(times, scans).map { $0 / $1 })
    else { return [] }
    let size = Spread(Double(Disk.byteCount(below: page)))
    return [
      BenchRow(
        "report-time", text, .seconds, ours: ours, bare: bare.median, ratios: ratios, goal: .reportTime),
      BenchRow("report-size", text, .bytes, ours: size, goal: .reportSize),
    ]
  }

  /// Traces of events of a log of ten million in which each sixteen are of one conversation.
  private func traceRows() async throws -> [BenchRow] {
    let (count, length) = (settings.isQuick ? 5_000 : 10_000_000, 16)
    return try await withDirectory("trace") { directory in
      progress("trace: writing \(count) events")
      let parts = try AppendParts(in: directory, .grouped(8), chainLength: length)
      try await parts.ours.append(eventCount: count)
      try parts.ours.check()
      _ = try await parts.ours.waitUntilIndexed()
      _ = try parts.lmdb.append(groupSize: min(count, 1_000_000), until: 0)
      let logs = try FilledLogs(parts)
      let text = "128 B, \(count) events, \(length) in a chain"
      let traced = try await compare(
        "trace: \(text)", [{ try logs.trace(until: $0) }, { try logs.lookUpLMDB(until: $0) }])
      return [
        traced.row("replay-trace-p50", text, .seconds, against: 1) { $0.latency(0.5) },
        traced.row("replay-trace-p99", text, .seconds, against: 1, goal: .traceTime) { $0.latency(0.99) },
      ]
    }
  }
}

/// Slices of a replay that begins anew behind its end.
private final class ReplaySlices: Sendable {
  private let logs: [any LogReader]
  private let writes: Bool

  init(_ logs: [any LogReader], writes: Bool) {
    self.logs = logs
    self.writes = writes
  }

  func run(until deadline: UInt64) throws -> Slice {
    let begin = Monotonic.nanoseconds()
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    var writer = EntryWriter(.own)
    var sum: UInt64 = 0
    repeat {
      var replay = try Replay(of: logs)
      try replay.look()
      try replay.visit { replayed in
        let record = replayed.entry.record
        if writes {
          writer.append(replayed.entry, of: replayed.node)
          if writer.bytes.count >= 65_536 { writer.removeAll() }
        } else {
          sum &+= record.id.low &+ record.time.rawValue &+ record.correlation.low &+ record.sequence
          sum &+= UInt64(record.agent.count + record.type.count + record.subject.count + record.payload.count)
        }
        slice.eventCount += 1
        return deadline == 0 || !slice.eventCount.isMultiple(of: 4_096) || Monotonic.nanoseconds() < deadline
      }
    } while Monotonic.nanoseconds() < deadline
    slice.nanoseconds = Monotonic.nanoseconds() - begin
    withExtendedLifetime(sum) {}
    return slice
  }
}

extension FilledLogs {
  /// Traces of events at random.
  func trace(until deadline: UInt64) throws -> Slice {
    try lookUp(until: deadline) { random in
      guard let id = ids.randomElement(using: &random) else { return false }
      return try !CausalTrace(of: id, in: [log]).steps.isEmpty
    }
  }
}
