import HyphaCore
import HyphaLog
import Testing

@testable import HyphaRuntime

/// When a node signs its log's head.
@Suite struct HeadPaceTests {
  private func time(_ seconds: UInt64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

  /// The seconds at which it signs, of which the log has something new in `busy`.
  private func signed(from head: UInt64, through end: UInt64, busy: (UInt64) -> Bool) -> [UInt64] {
    var pace = HeadPace()
    var head = head
    var seconds: [UInt64] = []
    for second in 100...end {
      if busy(second) { head += 1 }
      if pace.isDue(now: time(second), head: Position(rawValue: head)) {
        seconds.append(second - 100)
        // What the node states of it.
        head += 1
      }
    }
    return seconds
  }

  @Test func `what was there at the start is signed at once, then ever more seldom`() {
    #expect(
      signed(from: 7, through: 3500) { _ in true } == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030])
  }

  @Test func `an empty log is signed once it has something, and nothing new is not signed`() {
    #expect(signed(from: 0, through: 300) { $0 == 105 } == [10])
    #expect(signed(from: 5, through: 3000) { _ in false } == [0])
    #expect(signed(from: 5, through: 1000) { $0 == 120 } == [0, 30])
  }
}
