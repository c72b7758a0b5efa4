import HyphaCore
import HyphaLog
import HyphaLogLMDB

/// Hypha's log with its appenders, as a part of a comparison.
final class OwnLog: Sendable {
  let directory: String
  let log: LMDBLog
  private let appenders: [Appender]
  private let streamCount: Int

  /// A new log in `directory` for a workload.
  ///
  /// - Parameters:
  ///   - firstAgent: the number of its first agent: agents of several logs have names of their own.
  ///   - chainLength, namesCases: see ``Author``.
  init(
    _ directory: String, _ workload: AppendWorkload, node: NodeID = "bench", firstAgent: Int = 0,
    chainLength: Int = 1, namesCases: Bool = false
  ) throws {
    self.directory = directory
    var settings = LMDBLogSettings.standard
    if let count = workload.groupEventCountMax { settings.groupAppendCountMax = count }
    let log = try LMDBLog(directory: directory, node: node, settings: settings, time: WallClock())
    self.log = log
    streamCount = max(workload.streamCount, workload.appenderCount)
    let count = streamCount
    appenders = try workload.windowBatchCounts.enumerated().map { index, windowBatchCount in
      let agents = stride(from: firstAgent + index, to: firstAgent + count, by: workload.appenderCount)
      return Appender(
        log,
        author: try Author(
          agents: agents, payloadByteCount: workload.payloadByteCount, chainLength: chainLength,
          namesCases: namesCases),
        batchEventCount: workload.batchEventCount, windowBatchCount: windowBatchCount)
    }
  }

  /// The nice value of the log's own threads.
  static let niceValue = LMDBLogSettings.standard.niceValue

  /// Lets all appenders append until `deadline`, and until all of it is acknowledged.
  func append(until deadline: UInt64) async throws -> Slice {
    try await append { try await $0.run(until: deadline) }
  }

  /// Appends so many events, a share by each appender.
  func append(eventCount: Int) async throws {
    let share = (eventCount + appenders.count - 1) / appenders.count
    _ = try await append { try await $0.run(until: .max, eventCountMax: share) }
  }

  private func append(_ body: @escaping @Sendable (Appender) async throws -> [Double]) async throws -> Slice {
    let (head, groups) = (try log.head(), groupCount)
    let begin = Monotonic.nanoseconds()
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    slice.latencies = try await withThrowingTaskGroup(of: [Double].self) { group in
      for appender in appenders { group.addTask { try await body(appender) } }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    slice.nanoseconds = Monotonic.nanoseconds() - begin
    slice.latencies.sort()
    slice.eventCount = Int(try log.head().rawValue - head.rawValue)
    slice.groupCount = groupCount - groups
    return slice
  }

  /// How many events the index does not have yet.
  func indexLag() throws -> UInt64 {
    guard let status = log.indexStatus() else { return 0 }
    if let failure = status.failure { throw failure }
    return status.lagCount
  }

  /// Waits until the index has everything.
  ///
  /// - Returns: the nanoseconds that it took.
  func waitUntilIndexed() async throws -> UInt64 {
    let begin = Monotonic.nanoseconds()
    while try indexLag() > 0 { try await Task.sleep(for: .microseconds(500), clock: .suspending) }
    return Monotonic.nanoseconds() - begin
  }

  /// What of that the index does nothing, since it waits for more to come.
  static let indexIdleNanoseconds = LogIndexSettings.standard.idleDelay.wholeMicroseconds * 1000

  /// Lets another process open it.
  func close() { log.close() }

  /// How many transactions the log's file has seen: one a commit group.
  private var groupCount: Int { Int(Disk.transactionCount(directory + "/log/data.mdb") ?? 0) }

  /// Holds what is in the log against what was appended, so that the figures of a broken log never count.
  ///
  /// - Throws: ``HyphaError/Code/failed`` when an event is missing or too many.
  func check() throws {
    let head = try log.head()
    var last = Position.start
    try log.visit(last.next...max(last.next, head), .forward) { entry in
      guard entry.position == last.next else { return false }
      last = entry.position
      return true
    }
    let heads = try log.streamHeads()
    let counted = heads.values.reduce(UInt64(0)) { $0 + $1.count }
    let isWhole = heads.values.allSatisfy { $0.count == $0.sequence }
    guard last == head, counted == head.rawValue, isWhole, heads.count <= streamCount else {
      throw HyphaError(
        .failed,
        "the bench's own log is broken: its head is \(head), a scan came to \(last), its streams count \(counted)",
        remedy: "take none of these figures; run 'hypha log verify' on a log of this version")
    }
  }
}
