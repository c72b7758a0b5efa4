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

  /// Takes tokens at `now`, by any clock. Returns false, and takes none, where there are too few.
  public mutating func take(_ count: Int = 1, now: Duration) -> Bool {
    fill(now: now)
    guard tokens >= Double(count) else { return false }
    tokens -= Double(count)
    return true
  }

  /// Takes tokens that were used already, into a debt of at most the capacity.
  public mutating func spend(_ count: Int, now: Duration) {
    fill(now: now)
    tokens = max(tokens - Double(count), -capacity)
  }

  /// Gives back tokens that were taken and not used.
  public mutating func giveBack(_ count: Int) { tokens = min(capacity, tokens + Double(count)) }

  private mutating func fill(now: Duration) {
    if let filledAt, now > filledAt {
      tokens = min(capacity, tokens + (now - filledAt) / .seconds(1) * perSecond)
    }
    // A clock that was set back goes on from there.
    filledAt = now
  }
}
