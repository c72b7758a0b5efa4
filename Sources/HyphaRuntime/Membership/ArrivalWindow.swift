/// How regularly a node was heard: the newest ``countMax`` spans between its heartbeats, in microseconds, and what
/// silence they make believable.
///
/// Integer arithmetic, so that every machine comes to the same result.
struct ArrivalWindow: Sendable {
  /// The most spans that are remembered; 4 bytes each.
  static let countMax = 64
  /// As many spans must be known before they are believed to be more regular than what was agreed upon.
  static let trustCount = 16

  private let expected: UInt64
  private var spans: [UInt32] = []
  private var oldest = 0
  private(set) var mean: UInt64
  /// The standard deviation, never below a quarter of the expected span: what was regular so far may not stay so.
  private(set) var deviation: UInt64

  /// A window without spans; `expected` is the span that was agreed upon.
  init(expected: UInt64) {
    self.expected = expected
    mean = expected
    deviation = expected
  }

  var count: Int { spans.count }

  /// Takes a span between two heartbeats.
  mutating func add(_ span: UInt64) {
    let span = UInt32(clamping: span)
    if spans.count < Self.countMax {
      spans.append(span)
    } else {
      spans[oldest] = span
      oldest = (oldest + 1) % Self.countMax
    }
    let count = UInt64(spans.count)
    // At most 2⁶ · 2³² here, and 2⁶ · 2⁶⁴ below, where each square is divided first.
    mean = spans.reduce(0) { $0 + UInt64($1) } / count
    let variance = spans.reduce(UInt64(0)) { sum, span in
      let distance = UInt64(span) > mean ? UInt64(span) - mean : mean - UInt64(span)
      return sum + distance * distance / count
    }
    deviation = max(variance.squareRoot, expected / 4)
    guard count < Self.trustCount else { return }
    mean = max(mean, expected)
    deviation = max(deviation, expected)
  }

  /// The silence that is as unlikely as one in 10^`level`, were the spans normally distributed; `level` is one of
  /// `Suspicion.levelRange`.
  func silence(ofLevel level: Int) -> UInt64 {
    mean + deviation * Self.distances[level - 1] / 1000
  }

  /// Of each level from 1 on, how many thousandths of a standard deviation above the mean a normally distributed
  /// number lies with a probability of 10^-level: the solution of erfc(z / √2) / 2 = 10^-level.
  static let distances: [UInt64] = [
    1282, 2326, 3090, 3719, 4265, 4753, 5199, 5612, 5998, 6361, 6706, 7034, 7349, 7651, 7941, 8222,
  ]
}

extension UInt64 {
  /// The largest number whose square is not above this one, by Newton's method.
  var squareRoot: UInt64 {
    guard self > 1 else { return self }
    // A power of two that is not below the root.
    var root: UInt64 = 1 << UInt64((65 - leadingZeroBitCount) / 2)
    while true {
      let next = (root + self / root) / 2
      if next >= root { return root }
      root = next
    }
  }
}
