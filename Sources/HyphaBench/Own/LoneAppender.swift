import HyphaCore
import HyphaLog
import Synchronization

/// One appender that states an event, waits for it, and goes on: what `await log.append` costs a caller.
final class LoneAppender: Sendable {
  private let log: any EventLog
  private let author: Mutex<Author>

  init(_ log: any EventLog, payloadByteCount: Int) throws {
    self.log = log
    author = Mutex(try Author(agents: 0...0, payloadByteCount: payloadByteCount))
  }

  /// Appends one event after the other until `deadline`, at least one.
  func append(until deadline: UInt64) async throws -> Slice {
    let begin = Monotonic.nanoseconds()
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    var now = begin
    repeat {
      let time = Timestamp(microseconds: WallClock().microseconds())
      _ = try await log.append(author.withLock { try $0.next(1, now: time) })
      let end = Monotonic.nanoseconds()
      slice.latencies.append(Double(end - now))
      slice.eventCount += 1
      now = end
    } while now < deadline
    slice.nanoseconds = now - begin
    slice.groupCount = slice.eventCount
    slice.latencies.sort()
    return slice
  }
}
