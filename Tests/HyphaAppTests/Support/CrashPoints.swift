import HyphaCore

/// The points in a process's life at which tests kill it, drawn from a seed without one coming twice. Pure.
struct CrashPoints {
  /// A call that changes files, and what becomes of it.
  struct Point: Hashable {
    /// Its number, from 1.
    var call: Int
    /// What the fault shim does (`Tests/Support/fault-shim`).
    var what: String
  }

  static let ways = ["kill-before", "kill-torn", "kill-after"]
  /// No life is longer.
  static let callCountMax = 400

  private var left: [Point]
  /// Calls beyond this one do not come.
  private var last = Self.callCountMax
  private let slack: Int

  /// - Parameter slack: how many calls more than another a life may have: with 0 few points are drawn in vain, with some all that may
  ///   come are drawn.
  init(seed: UInt64, slack: Int) {
    var random = SeededGenerator(seed: seed, name: "crash-points")
    left = (1...Self.callCountMax).flatMap { call in Self.ways.map { Point(call: call, what: $0) } }
      .shuffled(using: &random)
    self.slack = slack
  }

  /// The next points, at most `count`; none where all were drawn that may come.
  mutating func next(_ count: Int) -> [Point] {
    var points: [Point] = []
    while points.count < count, let point = left.popLast() {
      if point.call <= last { points.append(point) }
    }
    return points
  }

  /// Takes note that a life had not as many calls.
  mutating func missed(_ point: Point) { last = min(last, max(1, point.call - 1 + slack)) }
}
