/// Halving with the number of events, in integers alone: the same on every machine.
///
/// Weights are hops in fixed point with 16 binary places. They halve in 64 steps; a step is a number of events
/// that follows from the number of agents. A weight stays at or below ``weightMax``, so that no product of a
/// weight and a factor leaves 64 bits.
struct Decay: Sendable {
  /// The steps in which a weight halves.
  static let stepsPerHalf = 64
  /// One hop.
  static let one: Int64 = 1 << 16
  /// The largest weight: 2^28 hops.
  static let weightMax: Int64 = 1 << 44

  /// The events in one step.
  let eventsPerStep: Int

  /// `2^(-step/64)` in 16 binary places, from 2^(-1/64) by multiplication.
  private let factors: [Int64]

  init(halfLifeEventCount: Int) {
    eventsPerStep = max(1, halfLifeEventCount / Self.stepsPerHalf)
    // 2^(-1/64) in 32 binary places.
    let root: UInt64 = 4_248_701_965
    var factor: UInt64 = 1 << 32
    var factors: [Int64] = []
    for _ in 0..<Self.stepsPerHalf {
      factors.append(Int64((factor + (1 << 15)) >> 16))
      factor = (factor * root) >> 32
    }
    self.factors = factors
  }

  /// `weight` after `steps`.
  func decayed(_ weight: Int64, steps: Int32) -> Int64 {
    guard steps > 0 else { return weight }
    let halvings = Int(steps) / Self.stepsPerHalf
    guard halvings < 45 else { return 0 }
    return (weight * factors[Int(steps) % Self.stepsPerHalf]) >> Int64(16 + halvings)
  }
}
