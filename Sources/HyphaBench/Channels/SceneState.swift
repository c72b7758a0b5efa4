import HyphaCore
import Synchronization

/// What the agents of one child process share with its main task: orders, and what came of them.
final class SceneState: Sendable {
  /// Who publishes: those who are measured, or the one whose events pass beside them.
  enum Role: Sendable { case source, pulse }

  private struct Seat: Sendable {
    var pace: Pace?
    var publisherCount = 0
    /// How many have ended the slice.
    var endedCount = 0
    var waiters: [CheckedContinuation<Pace?, Never>] = []
    /// Who waits for the end of the slice.
    var whenEnded: CheckedContinuation<Void, Never>?
    /// Whether no slice comes any more.
    var isClosed = false
  }

  let scene: Scene
  let tally: Tally
  let pulseTally: Tally
  private let board: Board
  private let seats = Mutex<(source: Seat, pulse: Seat)>((Seat(), Seat()))

  /// Receivers of what passes beside have their words behind those of the others.
  static let pulseReceiver = 16

  /// Set before any agent starts, and never again.
  private static let shared = Mutex<SceneState?>(nil)

  static var current: SceneState {
    guard let state = shared.withLock({ $0 }) else {
      preconditionFailure("a scene's agents run in its process")
    }
    return state
  }

  /// The state of the process that plays `receiver` in `scene`, or publishes.
  init(_ scene: Scene, receiver: Int) throws {
    self.scene = scene
    board = try Board("\(scene.directory)/board")
    tally = Tally(board, receiver: receiver)
    pulseTally = Tally(board, receiver: Self.pulseReceiver + receiver)
    seats.withLock {
      $0.source.publisherCount = scene.sourceCount
      $0.pulse.publisherCount = 1
    }
  }

  func makeCurrent() { Self.shared.withLock { $0 = self } }

  /// The pace of one publisher's slice.
  func pace(_ order: SliceOrder, of role: Role = .source) -> Pace {
    switch role {
    case .source: Pace(order, board, receiverCount: scene.receiverCount, window: scene.window)
    case .pulse:
      Pace(
        order, board, receiverCount: scene.receiverCount, from: Self.pulseReceiver, window: scene.window)
    }
  }

  /// Lets the publishers of a role work through a slice, and waits for its end.
  func run(_ order: SliceOrder, as role: Role) async -> SentSlice {
    let pace = pace(order, of: role)
    let processor = Monotonic.processorNanoseconds()
    await withCheckedContinuation { continuation in
      let waiters = withSeat(role) { seat in
        seat.pace = pace
        seat.endedCount = 0
        seat.whenEnded = continuation
        defer { seat.waiters = [] }
        return seat.waiters
      }
      for waiter in waiters { waiter.resume(returning: pace) }
    }
    return SentSlice(
      begin: pace.beginning, count: pace.sentCount,
      processorNanoseconds: Monotonic.processorNanoseconds() - processor)
  }

  /// The next slice of a publisher that has ended the one before; nil where none comes any more.
  func nextSlice(of role: Role) async -> Pace? {
    // A slice begins when all publishers wait for it.
    await withCheckedContinuation { continuation in
      let isClosed = withSeat(role) { seat in
        if !seat.isClosed { seat.waiters.append(continuation) }
        return seat.isClosed
      }
      if isClosed { continuation.resume(returning: nil) }
    }
  }

  func sliceEnded(of role: Role, _ pace: Pace) {
    let whenEnded = withSeat(role) { seat -> CheckedContinuation<Void, Never>? in
      seat.endedCount += 1
      guard seat.endedCount == seat.publisherCount else { return nil }
      seat.pace = nil
      return seat.whenEnded.take()
    }
    whenEnded?.resume()
  }

  /// Whether all publishers of a role wait for their next slice.
  func isReady(_ role: Role) -> Bool { withSeat(role) { $0.waiters.count == $0.publisherCount } }

  /// Ends the waiting of all publishers, of those too that begin to wait later.
  func close() {
    for role in [Role.source, .pulse] {
      let waiters = withSeat(role) { seat in
        seat.isClosed = true
        defer { seat.waiters = [] }
        return seat.waiters
      }
      for waiter in waiters { waiter.resume(returning: nil) }
    }
  }

  private func withSeat<Value: Sendable>(_ role: Role, _ body: (inout Seat) -> Value) -> Value {
    seats.withLock { seats in
      switch role {
      case .source: body(&seats.source)
      case .pulse: body(&seats.pulse)
      }
    }
  }
}
