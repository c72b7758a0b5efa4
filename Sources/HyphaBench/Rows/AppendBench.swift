import HyphaLog
import HyphaLogLMDB
import Synchronization

extension LogBench {
  /// Synced appends through the public API, beside LMDB and a file that are given the group size that ours achieved.
  func appendRows(_ take: @Sendable (BenchRow) throws -> Void) async throws -> [BenchRow] {
    for workload in settings.isQuick ? AppendWorkload.few : AppendWorkload.all {
      for row in try await appendRows(workload) { try take(row) }
    }
    return []
  }

  private func appendRows(_ workload: AppendWorkload) async throws -> [BenchRow] {
    try await withDirectory("append") { directory in
      let parts = try AppendParts(in: directory, workload)
      let comparison = try await compare(
        "append: \(workload.text(groupSize: 0))",
        [
          { try await parts.appendOurs(until: $0) }, { try await parts.appendLMDB(until: $0) },
          { try await parts.appendFile(until: $0) },
        ])
      progress("append: checking what was written")
      try parts.ours.check()
      return rows(of: workload, comparison, parts)
    }
  }

  private func rows(of workload: AppendWorkload, _ comparison: Comparison, _ parts: AppendParts) -> [BenchRow]
  {
    let text = workload.text(groupSize: comparison.spread(\.groupSize).median)
    let isGoal = workload.isConcurrentAndSmall
    var rows = [
      comparison.row(
        "append-rate", text, .eventsPerSecond, against: 1, goal: isGoal ? .concurrentAppendRatio : nil, \.rate
      )
    ]
    if isGoal, workload.isGrouped {
      rows.append(
        comparison.row(
          "append-rate-absolute", text, .eventsPerSecond, against: 1, goal: .concurrentAppendRate,
          \.indexedRate))
    }
    return rows + [
      comparison.row(
        "append-rate-indexed", text, .eventsPerSecond, against: 1,
        goal: isGoal ? .concurrentAppendRatio : nil,
        \.indexedRate),
      comparison.row("append-rate-file", text, .eventsPerSecond, against: 2, \.rate),
      comparison.row("append-ack-p50", text, .seconds, against: 1) { $0.latency(0.5) },
      comparison.row("append-ack-p99", text, .seconds, against: 1) { $0.latency(0.99) },
      parts.diskRow("append-disk", text),
    ]
  }

  /// One appender that waits for each event, from stating it to going on, beside a commit of one value.
  func loneRows() async throws -> [BenchRow] {
    var rows: [BenchRow] = []
    for payload in settings.isQuick ? [128] : [128, 1024] {
      rows += try await withDirectory("lone") { directory in
        var workload = AppendWorkload.alone(1, payload: payload)
        workload.streamCount = 1
        let parts = try AppendParts(in: directory, workload)
        let lone = try LoneAppender(parts.ours.log, payloadByteCount: payload)
        let comparison = try await compare(
          "lone: \(workload.text(groupSize: 1))",
          [
            { try await lone.append(until: $0) }, { try await parts.appendLMDB(until: $0) },
            { try await parts.appendFile(until: $0) },
          ])
        try parts.ours.check()
        let text = workload.text(groupSize: 1)
        return [
          comparison.row("lone-ack-p50", text, .seconds, against: 1, goal: .loneLatency) { $0.latency(0.5) },
          comparison.row("lone-ack-p99", text, .seconds, against: 1) { $0.latency(0.99) },
          comparison.row("lone-ack-p50-file", text, .seconds, against: 2) { $0.latency(0.5) },
        ]
      }
    }
    return rows
  }
}

/// Ours and the bare parts for one workload, each in a directory of its own.
final class AppendParts: Sendable {
  let ours: OwnLog
  let lmdb: BareLMDB
  private let file: BareFile
  private let directory: String
  /// What ours achieved in its last slice.
  private let groupSize = Atomic<Int>(1)

  init(in directory: String, _ workload: AppendWorkload, chainLength: Int = 1) throws {
    self.directory = directory
    for name in ["ours", "lmdb"] { try Disk.makeDirectory("\(directory)/\(name)") }
    ours = try OwnLog("\(directory)/ours", workload, chainLength: chainLength)
    lmdb = try BareLMDB("\(directory)/lmdb", valueByteCount: workload.payloadByteCount)
    file = try BareFile("\(directory)/file", valueByteCount: workload.payloadByteCount)
  }

  func appendOurs(until deadline: UInt64) async throws -> Slice {
    var slice = try await ours.append(until: deadline)
    // The index takes no time from the part whose turn is next, and its own counts.
    let nanoseconds = try await ours.waitUntilIndexed()
    slice.indexNanoseconds = nanoseconds - min(nanoseconds, OwnLog.indexIdleNanoseconds)
    groupSize.store(max(1, Int(slice.groupSize.rounded())), ordering: .relaxed)
    return slice
  }

  func appendLMDB(until deadline: UInt64) async throws -> Slice {
    let (lmdb, groupSize) = (lmdb, groupSize.load(ordering: .relaxed))
    return try await onThread(niceValue: OwnLog.niceValue) {
      try lmdb.append(groupSize: groupSize, until: deadline)
    }
  }

  func appendFile(until deadline: UInt64) async throws -> Slice {
    let (file, groupSize) = (file, groupSize.load(ordering: .relaxed))
    return try await onThread(niceValue: OwnLog.niceValue) {
      try file.append(groupSize: groupSize, until: deadline)
    }
  }

  /// What an event takes on disk, with all that the log keeps beside it.
  func diskRow(_ name: String, _ text: String) -> BenchRow {
    let head = (try? ours.log.head().rawValue) ?? 0
    let own = Double(Disk.byteCount(below: "\(directory)/ours")) / max(1, Double(head))
    let bare = Double(Disk.byteCount(below: "\(directory)/lmdb")) / max(1, Double(lmdb.eventCount))
    return BenchRow(
      name, text, .bytesPerEvent, ours: Spread(own), bare: bare, ratios: Spread(own / bare))
  }
}
