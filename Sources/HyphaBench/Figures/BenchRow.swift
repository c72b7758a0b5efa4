/// One figure of a bench: what Hypha gives, what the bare part below it gives, and what was aimed at.
public struct BenchRow: Hashable, Sendable {
  /// Which figure it is: `append-rate`.
  public let name: String
  /// Under what it was measured, with the sizes that were achieved.
  public let workload: String
  /// What ``ours`` and ``bare`` are counted in.
  public let unit: BenchUnit
  /// What Hypha gave: the median of its slices.
  public let ours: Double
  /// What the bare part gave: the median of its slices; nil where there is none to compare with.
  public let bare: Double?
  /// The median of what neighbouring slices gave, ours to bare; nil where there is no bare part.
  public let ratio: Double?
  /// The first and third quartile of the ratio, or of ours where there is no bare part.
  public let spread: Spread
  /// What was aimed at, or nil.
  public let goal: BenchGoal?

  /// A figure beside a bare part: `ratios` are those of neighbouring slices.
  init(
    _ name: String, _ workload: String, _ unit: BenchUnit, ours: Spread, bare: Double, ratios: Spread,
    goal: BenchGoal? = nil
  ) {
    (self.name, self.workload, self.unit, self.goal) = (name, workload, unit, goal)
    (self.ours, self.bare, ratio, spread) = (ours.median, bare, ratios.median, ratios)
  }

  /// A figure beside another, with a ratio that was worked out from all slices together.
  init(
    _ name: String, _ workload: String, _ unit: BenchUnit, ours: Spread, bare: Double, ratio: Double,
    spread: Spread, goal: BenchGoal? = nil
  ) {
    (self.name, self.workload, self.unit, self.goal) = (name, workload, unit, goal)
    (self.ours, self.bare, self.ratio, self.spread) = (ours.median, bare, ratio, spread)
  }

  /// A figure with nothing to compare with.
  init(_ name: String, _ workload: String, _ unit: BenchUnit, ours: Spread, goal: BenchGoal? = nil) {
    (self.name, self.workload, self.unit, self.goal) = (name, workload, unit, goal)
    (self.ours, bare, ratio, spread) = (ours.median, nil, nil, ours)
  }

  /// Whether the goal is met; nil where there is none, or where the machine is not one that it is set for.
  public var isMet: Bool? { goal?.isMet(ours: ours, bare: bare, ratio: ratio) }

  /// Why the goal is missed; nil where it is not, or where that is not known.
  public var reason: String? { isMet == false ? goal?.limit : nil }
}

/// What a figure is counted in.
public enum BenchUnit: String, Sendable {
  case eventsPerSecond = "events/s"
  case seconds = "s"
  case processorSecondsPerMillion = "CPU s/M events"
  case bytes = "B"
  case bytesPerSecond = "B/s"
  case bytesPerEvent = "B/event"
  case events = "events"
  case hops = "hops"
  case allocationsPerEvent = "allocations/event"
}

/// The median of some numbers and the quartiles around it.
public struct Spread: Hashable, Sendable {
  /// The value that half of the numbers lie below.
  public let median: Double
  /// The first quartile.
  public let low: Double
  /// The third quartile.
  public let high: Double

  /// The spread of `values`; nil where there are none.
  public init?(_ values: [Double]) {
    let sorted = values.sorted()
    guard let median = sorted.quantile(0.5), let low = sorted.quantile(0.25),
      let high = sorted.quantile(0.75)
    else { return nil }
    (self.median, self.low, self.high) = (median, low, high)
  }

  /// A number between two others.
  init(median: Double, low: Double, high: Double) {
    (self.median, self.low, self.high) = (median, low, high)
  }

  /// A single number.
  init(_ value: Double) { (median, low, high) = (value, value, value) }
}

extension Array where Element: BinaryFloatingPoint {
  /// The value below which a `share` (0 to 1) of these sorted numbers lies, between two of them where it falls
  /// there (type 7 of Hyndman and Fan, 1996); nil where there are none.
  func quantile(_ share: Element) -> Element? {
    guard let first, let last else { return nil }
    let place = share * Element(count - 1)
    let below = Int(place.rounded(.down))
    guard below >= 0 else { return first }
    guard below + 1 < count else { return last }
    return self[below] + (self[below + 1] - self[below]) * (place - Element(below))
  }
}
