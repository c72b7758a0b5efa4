import HyphaCore
import Synchronization

/// What a publisher is to do in one slice.
struct SliceOrder: Codable, Sendable {
  /// When it ends, on the machine's monotonic clock, in nanoseconds.
  var deadline: UInt64
  /// Events a second; 0 for as many as the window allows.
  var rate: Double
  /// Whether events are stamped with the time at which they were due instead of that of stating.
  var stampsDue: Bool
}

/// What a publisher did in one slice.
struct SentSlice: Codable, Sendable {
  var begin: UInt64
  var count: Int
  var processorNanoseconds: UInt64
}

/// Lets publishers state events at a rate, or as fast as the slowest receiver takes them; the same for ours and for
/// the bare part. Called by several threads.
final class Pace: Sendable {
  private let order: SliceOrder
  private let board: Board
  private let receiverCount: Int
  private let firstReceiver: Int
  private let window: Int
  private let begin: UInt64
  private let sent = Atomic<Int>(0)

  init(_ order: SliceOrder, _ board: Board, receiverCount: Int, from firstReceiver: Int = 0, window: Int) {
    self.order = order
    self.firstReceiver = firstReceiver
    self.board = board
    self.receiverCount = receiverCount
    self.window = window
    begin = Monotonic.nanoseconds()
  }

  var sentCount: Int { sent.load(ordering: .relaxed) }
  var beginning: UInt64 { begin }

  /// A share of events that may be stated now: the number of the first, and how many.
  struct Share {
    var first: Int
    var count: Int
  }

  /// What a publisher may do now.
  enum Step {
    case state(Share)
    /// Nothing for this long.
    case wait(nanoseconds: UInt64)
    case end
  }

  /// Decides what a publisher may do now, and counts it as stated.
  func step(upTo countMax: Int) -> Step {
    while true {
      let now = Monotonic.nanoseconds()
      if now >= order.deadline { return .end }
      let sent = sent.load(ordering: .relaxed)
      let taken = Int(board.slowest(of: receiverCount, from: firstReceiver))
      var room = min(countMax, taken + window - sent)
      if order.rate > 0 { room = min(room, Int(Double(now - begin) / 1e9 * order.rate) + 1 - sent) }
      guard room > 0 else { return .wait(nanoseconds: min(untilDue(sent, now: now), order.deadline - now)) }
      let result = self.sent.compareExchange(
        expected: sent, desired: sent + room, ordering: .acquiringAndReleasing)
      if result.exchanged { return .state(Share(first: sent, count: room)) }
    }
  }

  /// Waits until something may be stated; nil at the end of the slice. The calling thread sleeps.
  func next(upTo countMax: Int) -> Share? {
    while true {
      switch step(upTo: countMax) {
      case .state(let share): return share
      case .end: return nil
      case .wait(let nanoseconds):
        Monotonic.sleep(nanoseconds: nanoseconds)
      }
    }
  }

  /// The stamp of the event with this number.
  func stamp(_ number: Int) -> UInt64 {
    guard order.stampsDue, order.rate > 0 else { return Monotonic.nanoseconds() }
    return begin + UInt64(Double(number) / order.rate * 1e9)
  }

  /// How long until the next event is due; a moment where only the window is in the way.
  private func untilDue(_ sent: Int, now: UInt64) -> UInt64 {
    guard order.rate > 0 else { return Self.moment }
    let due = begin + UInt64(Double(sent) / order.rate * 1e9)
    return max(Self.moment, due > now ? due - now : 0)
  }

  private static var moment: UInt64 { 20_000 }
}
