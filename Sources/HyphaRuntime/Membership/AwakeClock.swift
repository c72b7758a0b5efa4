/// How long this node has been awake: a clock that only counts time in which somebody looked at it.
///
/// A process that was stopped, that a busy machine kept from running, or whose machine was suspended cannot have heard
/// anything meanwhile, so that time must not count as the silence of others. Between two looks at most ``strideMax``
/// passes here, however far the machine's clock has moved: forward as after such a pause or when it is set, or
/// backward, when nothing passes.
struct AwakeClock: Sendable {
  /// The most that passes between two looks, in microseconds.
  let strideMax: UInt64
  /// Microseconds awake since the first look.
  private(set) var now: UInt64 = 0
  /// Microseconds by which the machine's clock moved on beyond what was counted.
  private(set) var missed: UInt64 = 0
  private var last: UInt64

  /// A clock that is first looked at when the machine's clock shows `start`, in microseconds.
  init(start: UInt64, strideMax: UInt64) {
    last = start
    self.strideMax = strideMax
  }

  /// Looks at the clock when the machine's shows `machine`. Returns ``now``.
  @discardableResult
  mutating func look(at machine: UInt64) -> UInt64 {
    let passed = machine > last ? machine - last : 0
    last = machine
    now += min(passed, strideMax)
    missed += passed - min(passed, strideMax)
    return now
  }
}
