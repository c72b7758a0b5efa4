import HyphaCore
import HyphaLog
import HyphaReplay

extension LogBench {
  /// A replay that is only looked at, one that is written as lines of JSON, and traces of events at random, beside LMDB stepping
  /// over its values and fetching one.
  func replayRows() async throws -> [BenchRow] {
    try await withFilledLogs("replay") { logs, text in
      let (look, lines) = (ReplaySlices(logs.log, writes: false), ReplaySlices(logs.log, writes: true))
      let looked = try await compare(
        "replay, looking: \(text)", [{ try look.run(until: $0) }, { try logs.scanLMDB(until: $0) }])
      let written = try await compare(
        "replay, JSON lines: \(text)", [{ try lines.run(until: $0) }, { try logs.scanLMDB(until: $0) }])
      let traced = try await compare(
        "trace: \(text)", [{ try logs.trace(until: $0) }, { try logs.lookUpLMDB(until: $0) }])
      return [
        looked.row("replay-look-rate", text, .eventsPerSecond, against: 1, goal: .replayLook, \.rate),
        written.row("replay-json-rate", text, .eventsPerSecond, against: 1, goal: .replayJSON, \.rate),
        traced.row("replay-trace-p50", text, .seconds, against: 1) { $0.latency(0.5) },
        traced.row("replay-trace-p99", text, .seconds, against: 1, goal: .traceTime) { $0.latency(0.99) },
      ]
    }
  }
}

/// Slices of a replay that begins anew behind its end.
private final class ReplaySlices: Sendable {
  private let log: any LogReader
  private let writes: Bool

  init(_ log: any LogReader, writes: Bool) {
    self.log = log
    self.writes = writes
  }

  func run(until deadline: UInt64) throws -> Slice {
    let begin = Monotonic.nanoseconds()
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    var writer = EntryWriter(.own)
    var sum: UInt64 = 0
    repeat {
      var replay = try Replay(of: [log])
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
