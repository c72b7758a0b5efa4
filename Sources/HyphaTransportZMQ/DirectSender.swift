internal import Glibc
internal import HyphaTransport
internal import Synchronization

/// Sends a lone event on the thread that publishes it, where the link's thread has nothing to do: that one need not wake for it.
///
/// Where events come sooner after each other than ``spacingNanoseconds``, they are left to the link's thread, which sends what
/// waits together.
///
/// `@unchecked Sendable`: all that it has is used in the turn.
final class DirectSender: @unchecked Sendable {
  /// The least time between two events that are sent so.
  static let spacingNanoseconds: UInt64 = 20_000

  let turn: LoopTurn
  private let queue: OutboundQueue
  private let sentAt = Atomic<UInt64>(0)

  init(_ queue: OutboundQueue) throws {
    self.queue = queue
    turn = try LoopTurn()
  }

  /// The loop of the link's thread, for who has the turn; nil before it begins and once it has ended.
  var loop: SocketLoop?

  /// Sends a run now. Returns false where it has to wait for its thread, or behind others.
  func send(_ run: OutboundRun) -> Bool { inTurn { $0.sendNow(run) } }

  /// Sends a frame now. Returns false where it has to wait for its thread, or behind others.
  func send(_ frame: OutboundFrame) -> Bool { inTurn { $0.sendNow(frame) } }

  private func inTurn(_ send: (SocketLoop) -> Void) -> Bool {
    let now = Self.now()
    let last = sentAt.exchange(now, ordering: .relaxed)
    guard now &- last >= Self.spacingNanoseconds, queue.isIdle, turn.tryTake() else { return false }
    defer { turn.giveBack() }
    // Once more: in this turn nothing is taken from the queue.
    guard let loop, queue.isIdle else { return false }
    send(loop)
    return true
  }

  private static func now() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
  }
}
