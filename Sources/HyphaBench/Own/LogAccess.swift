import HyphaCore
import HyphaLog
import HyphaLogLMDB

/// What the bench asks of a log beyond appending.
enum LogAccess {
  /// Goes over the entries from `next` on until `deadline`, and from the first again behind the last, looking at
  /// what the header says of each. Goes over all of them once where `deadline` is 0.
  static func scan(_ log: any LogReader, from next: inout Position, until deadline: UInt64) throws -> Slice {
    let begin = Monotonic.nanoseconds()
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    var sum: UInt64 = 0
    let first = Position(rawValue: 1)
    let head = try log.head()
    repeat {
      if next > head { next = first }
      try log.visit(next...max(next, head), .forward) { entry in
        let record = entry.record
        sum &+= record.id.low &+ record.time.rawValue &+ record.correlation.low &+ record.sequence
        sum &+= UInt64(record.agent.count + record.type.count + record.subject.count + record.payload.count)
        slice.eventCount += 1
        next = entry.position.next
        return deadline == 0 || !slice.eventCount.isMultiple(of: 4_096) || Monotonic.nanoseconds() < deadline
      }
    } while Monotonic.nanoseconds() < deadline
    slice.nanoseconds = Monotonic.nanoseconds() - begin
    withExtendedLifetime(sum) {}
    return slice
  }
}
