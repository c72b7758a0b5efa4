/// Time in at most 256 steps of equal width. A run whose length nobody knows yet is divided as it comes: where a time lies beyond
/// the steps that there may be, their width doubles until it does not, and what was counted is put together. Pure.
struct TimeSteps {
  /// How the steps before a change become those after it.
  struct Regrouping {
    fileprivate let origin: UInt64
    fileprivate let shift: UInt64
    fileprivate let newOrigin: UInt64

    /// The step that a former one has become a part of.
    func step(of former: Int) -> Int { Int(((origin + UInt64(former)) >> shift) - newOrigin) }

    /// Counts by steps of `stride` numbers each, put together.
    func regrouped(_ counts: [UInt32], stride: Int = 1) -> [UInt32] {
      var result = [UInt32](repeating: 0, count: counts.count)
      for place in counts.indices where counts[place] > 0 {
        let (former, rest) = place.quotientAndRemainder(dividingBy: stride)
        result[step(of: former) * stride + rest] &+= counts[place]
      }
      return result
    }
  }

  /// The most steps.
  static let countMax = 256
  /// The width that steps begin with, in microseconds.
  static let widthMin: UInt64 = 1_024

  /// The width of a step in microseconds: ``widthMin``, doubled as often as needed.
  private(set) var width = TimeSteps.widthMin
  /// How many steps there are.
  private(set) var count = 0
  private var origin: UInt64 = 0

  /// The time at which the first step begins, in microseconds.
  var start: UInt64 { origin * width }

  /// The step of a time in microseconds; where the steps have to change for it, how: what was counted by them has to be
  /// regrouped first.
  mutating func place(_ time: UInt64) -> (step: Int, change: Regrouping?) {
    let place = time / width
    if count == 0 {
      (origin, count) = (place, 1)
      return (0, nil)
    }
    if place >= origin, place - origin < UInt64(Self.countMax) {
      count = max(count, Int(place - origin) + 1)
      return (Int(place - origin), nil)
    }
    var (low, high) = (min(origin, place), max(origin + UInt64(count) - 1, place))
    var shift: UInt64 = 0
    while high - low >= UInt64(Self.countMax) {
      (low, high) = (low >> 1, high >> 1)
      shift += 1
    }
    let change = Regrouping(origin: origin, shift: shift, newOrigin: low)
    width <<= shift
    (origin, count) = (low, Int(high - low) + 1)
    return (Int(time / width - low), change)
  }
}
