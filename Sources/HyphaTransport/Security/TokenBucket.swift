/// A bound on how often something may happen: a burst, and a rate that fills it up again. A pure state machine.
public struct TokenBucket: Sendable {
  private let capacity: Double
  private let perSecond: Double
  private var tokens: Double
  private var filledAt: Duration?

  /// A full bucket of `capacity` tokens that gets `perSecond` new ones.
  public init(capacity: Int, perSecond: Double) {
    self.capacity = Double(capacity)
    self.perSecond = perSecond
    tokens = Double(capacity)
  }

  /// Takes a token at `now`, by any clock that only grows. Returns false where there is none.
  public mutating func take(now: Duration) -> Bool {
    if let filledAt, now > filledAt {
      tokens = min(capacity, tokens + (now - filledAt) / .seconds(1) * perSecond)
    }
    filledAt = max(filledAt ?? now, now)
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }
}
