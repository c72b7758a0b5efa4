import Dispatch
import Foundation
import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// New logs of what agents state when they are run again, one for each node. They have their place only when all of them are
/// whole: until then they are in a directory beside it, `PLACE.XXXXXXXX.partial`, which a run that is killed leaves.
final class RerunWriters {
  private struct Writer {
    let log: any EventLog
    let clock: RecordedClock
    var waiting: [LogBatch.Append] = []
  }

  let directory: String
  let place: NewDirectory
  private var writers: [NodeID: Writer] = [:]
  private let failure = Failure()
  /// Batches that were submitted and are not durable yet.
  private let room = DispatchSemaphore(value: RerunWriters.batchCountMax)
  private static let (batchCountMax, batchEventCount) = (4, 512)

  private final class Failure: Sendable { let error = Mutex<HyphaError?>(nil) }

  /// The time that events state, so that the new logs look as the old ones do.
  private final class RecordedClock: TimeSource {
    let now = Mutex<UInt64>(0)
    func microseconds() -> UInt64 { now.withLock { $0 } }
  }

  /// Makes an empty log for each of `logs`.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` where there is one already, and what opening throws.
  init(_ directory: String, for logs: [any LogReader], _ program: Program) throws {
    let path = String(directory.reversed().drop { $0 == "/" }.reversed())
    (self.directory, place) = (path, NewDirectory(path))
    if (try? DataPlaces.logs(in: path)) != nil {
      throw HyphaError(
        .fileUnavailable, "\(directory) holds logs already", remedy: "give another directory to -o")
    }
    // An empty directory is as good as none.
    rmdir(path)
    do { try place.make() } catch let error as HyphaError {
      throw HyphaError(error.code, error.problem, remedy: "give another directory to -o", cause: error.cause)
    }
    do {
      for log in logs {
        let node = log.identity.node
        let clock = RecordedClock()
        let place = DataPlaces.directory(of: node, in: place.partial)
        writers[node] = Writer(
          log: try program.openLog(place, node, LogSettings(), clock) { _ in }, clock: clock)
      }
    } catch {
      abandon()
      throw error
    }
  }

  /// Appends what a call has stated.
  func add(_ records: [Record], of node: NodeID) throws {
    guard !records.isEmpty else { return }
    writers[node]?.waiting += records.map { LogBatch.Append($0) }
    if writers[node]?.waiting.count ?? 0 >= Self.batchEventCount { try submit(node) }
  }

  private func submit(_ node: NodeID) throws {
    guard let writer = writers[node], let last = writer.waiting.last else { return }
    writers[node]?.waiting = []
    writer.clock.now.withLock { $0 = max($0, last.record.time.microseconds) }
    room.wait()
    writer.log.submit(LogBatch(appends: writer.waiting)) { [room, failure] result in
      if case .failure(let error) = result { failure.error.withLock { $0 = $0 ?? error } }
      room.signal()
    }
    if let error = failure.error.withLock({ $0 }) { throw error }
  }

  /// Waits until all is durable, closes the logs, and gives them their place.
  ///
  /// - Throws: what writing them did; ``HyphaError/Code/fileUnavailable`` where there is something in their place by now.
  func finish() throws {
    for node in writers.keys.sorted() { try submit(node) }
    for writer in writers.values { writer.log.close() }
    if let error = failure.error.withLock({ $0 }) { throw error }
    try place.finish()
  }

  /// Removes what was written: half a re-run is none.
  func abandon() {
    for writer in writers.values { writer.log.close() }
    place.remove()
  }
}
