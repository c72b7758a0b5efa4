import HyphaCore
import HyphaLog
import Synchronization

/// One of the concurrent appenders: states events, hands them to the log, and runs ahead of the acknowledgements by a
/// bounded window.
final class Appender: Sendable {
  private let log: any EventLog
  private let batchEventCount: Int
  private let windowBatchCount: Int
  private let author: Mutex<Author>
  private let flight = Mutex(Flight())

  private struct Flight {
    var batchCount = 0
    var latencies: [Double] = []
    var failure: HyphaError?
    /// Who waits until at most so many batches are on their way.
    var waiter: (batchCountMax: Int, continuation: CheckedContinuation<Void, Never>)?
  }

  init(_ log: any EventLog, author: Author, batchEventCount: Int, windowBatchCount: Int) {
    self.log = log
    self.batchEventCount = batchEventCount
    self.windowBatchCount = windowBatchCount
    self.author = Mutex(author)
  }

  /// Appends until `deadline` or until `eventCountMax` is reached, then waits for the last acknowledgement.
  ///
  /// - Returns: how long each acknowledgement took, in nanoseconds.
  /// - Throws: what the log refused.
  func run(until deadline: UInt64, eventCountMax: Int = .max) async throws -> [Double] {
    var eventCount = 0
    while eventCount < eventCountMax, flight.withLock({ $0.failure }) == nil {
      await waitUntilOnTheWay(atMost: windowBatchCount - 1)
      let begin = Monotonic.nanoseconds()
      guard begin < deadline || eventCount == 0 else { break }
      let now = Timestamp(microseconds: WallClock().microseconds())
      let count = min(batchEventCount, eventCountMax - eventCount)
      let batch = try author.withLock { try $0.next(count, now: now) }
      eventCount += count
      flight.withLock { $0.batchCount += 1 }
      log.submit(batch) { self.completed($0, since: begin) }
    }
    await waitUntilOnTheWay(atMost: 0)
    return try flight.withLock { flight in
      if let failure = flight.failure { throw failure }
      defer { flight.latencies.removeAll(keepingCapacity: true) }
      return flight.latencies
    }
  }

  private func completed(_ result: Result<CommitReceipt, HyphaError>, since begin: UInt64) {
    let latency = Double(Monotonic.nanoseconds() - begin)
    let woken = flight.withLock { flight -> CheckedContinuation<Void, Never>? in
      flight.batchCount -= 1
      flight.latencies.append(latency)
      if case .failure(let error) = result, flight.failure == nil { flight.failure = error }
      guard let waiter = flight.waiter, flight.batchCount <= waiter.batchCountMax else { return nil }
      flight.waiter = nil
      return waiter.continuation
    }
    woken?.resume()
  }

  private func waitUntilOnTheWay(atMost batchCountMax: Int) async {
    guard flight.withLock({ $0.batchCount > batchCountMax }) else { return }
    await withCheckedContinuation { continuation in
      let isOver = flight.withLock { flight in
        if flight.batchCount <= batchCountMax { return true }
        flight.waiter = (batchCountMax, continuation)
        return false
      }
      if isOver { continuation.resume() }
    }
  }
}
