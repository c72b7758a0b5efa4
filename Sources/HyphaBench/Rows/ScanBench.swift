import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization

extension LogBench {
  /// A sequential scan with decoded headers, beside LMDB stepping over its values.
  func scanRows() async throws -> [BenchRow] {
    try await withFilledLogs("scan") { logs, text in
      let comparison = try await compare(
        "scan: \(text)", [{ try logs.scanOurs(until: $0) }, { try logs.scanLMDB(until: $0) }])
      var rows = [
        comparison.row(
          "scan-rate", text, .eventsPerSecond, against: 1, goal: .scanRate, \.rate)
      ]
      if let share = try allocationsPerEvent(in: logs.directory) {
        rows.append(
          BenchRow(
            "scan-allocations", text, .allocationsPerEvent, ours: Spread(share), goal: .scanAllocations))
      }
      return rows
    }
  }

  /// What scanning the log in `directory` allocates, counted in a process that does nothing else.
  private func allocationsPerEvent(in directory: String) throws -> Double? {
    guard let child = settings.childCommand else { return nil }
    let trace = AllocationTrace.environment(traceFile: "\(settings.directory)/allocations")
    defer { Disk.remove("\(settings.directory)/allocations") }
    let words = try ChildProcess.output(of: child + ["allocations", directory], environment: trace)
      .split(separator: " ").compactMap { Double($0) }
    return words.count == 2 ? words[1] / max(1, words[0]) : nil
  }

  /// Reads of single events at random, beside LMDB fetching a value.
  func lookupRows() async throws -> [BenchRow] {
    try await withFilledLogs("lookup") { logs, text in
      var rows: [BenchRow] = []
      for (name, read) in [("position", logs.lookUpPositions(until:)), ("id", logs.lookUpIDs(until:))] {
        let comparison = try await compare(
          "lookup by \(name): \(text)", [{ try read($0) }, { try logs.lookUpLMDB(until: $0) }])
        rows += [
          comparison.row("lookup-\(name)-rate", text, .eventsPerSecond, against: 1, \.rate),
          comparison.row("lookup-\(name)-p50", text, .seconds, against: 1) { $0.latency(0.5) },
          comparison.row("lookup-\(name)-p99", text, .seconds, against: 1) { $0.latency(0.99) },
        ]
      }
      return rows
    }
  }

  /// Calls `body` with a log and a bare table that hold as many events, and with what they hold in words.
  func withFilledLogs(_ name: String, _ body: (FilledLogs, String) async throws -> [BenchRow])
    async throws -> [BenchRow]
  {
    let count = settings.isQuick ? 5_000 : 1_000_000
    return try await withDirectory(name) { directory in
      progress("\(name): writing \(count) events")
      let parts = try AppendParts(in: directory, .grouped(8))
      try await parts.ours.append(eventCount: count)
      try parts.ours.check()
      _ = try await parts.ours.waitUntilIndexed()
      _ = try parts.lmdb.append(groupSize: count, until: 0)
      return try await body(FilledLogs(parts), "128 B, \(count) events")
    }
  }
}

/// A log and a bare table that are only read.
final class FilledLogs: Sendable {
  private let parts: AppendParts
  private let state: Mutex<State>
  /// Ids of some of the log's events.
  let ids: [EventID]
  var log: any LogReader { parts.ours.log }
  var directory: String { parts.ours.directory }

  private struct State {
    var ours = Position(rawValue: 1)
    var lmdb: UInt64 = 1
    var random = SeededGenerator(seed: 1)
  }

  init(_ parts: AppendParts) throws {
    self.parts = parts
    state = Mutex(State())
    let head = try parts.ours.log.head().rawValue
    ids = try stride(from: 1, through: head, by: max(1, Int(head / 10_000))).compactMap {
      try parts.ours.log.entry(at: Position(rawValue: $0))?.record.id
    }
  }

  func scanOurs(until deadline: UInt64) throws -> Slice {
    try state.withLock { try LogAccess.scan(parts.ours.log, from: &$0.ours, until: deadline) }
  }

  func scanLMDB(until deadline: UInt64) throws -> Slice {
    try state.withLock { try parts.lmdb.scan(from: &$0.lmdb, until: deadline) }
  }

  func lookUpLMDB(until deadline: UInt64) throws -> Slice {
    try state.withLock { try parts.lmdb.lookUp(&$0.random, until: deadline) }
  }

  func lookUpPositions(until deadline: UInt64) throws -> Slice {
    let log = parts.ours.log
    let head = try log.head().rawValue
    return try lookUp(until: deadline) { random in
      try log.entry(at: Position(rawValue: .random(in: 1...head, using: &random))) != nil
    }
  }

  func lookUpIDs(until deadline: UInt64) throws -> Slice {
    let log = parts.ours.log
    return try lookUp(until: deadline) { random in
      guard let id = ids.randomElement(using: &random) else { return false }
      return try log.entry(withID: id)?.record.id == id
    }
  }

  func lookUp(until deadline: UInt64, _ find: (inout SeededGenerator) throws -> Bool) throws -> Slice {
    try state.withLock { state in
      let begin = Monotonic.nanoseconds()
      var slice = Slice(eventCount: 0, nanoseconds: 0)
      var now = begin
      repeat {
        guard try find(&state.random) else {
          throw HyphaError(
            .failed, "the bench's own log is broken: an event that it holds was not found",
            remedy: "take none of these figures; run 'hypha log verify' on a log of this version")
        }
        let end = Monotonic.nanoseconds()
        slice.latencies.append(Double(end - now))
        slice.eventCount += 1
        now = end
      } while now < deadline
      slice.nanoseconds = now - begin
      slice.latencies.sort()
      return slice
    }
  }
}
