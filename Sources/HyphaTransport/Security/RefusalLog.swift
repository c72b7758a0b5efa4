/// Decides which refusals an operator is told of. A pure state machine.
///
/// Whoever is refused chooses what the refusal says: keys, names and lanes without end. So each text is told once, at
/// most ``burstCount`` different ones at a time and one a minute after that. All of them are counted elsewhere.
public struct RefusalLog: Sendable {
  /// The most texts that are told in one go, and that are remembered.
  public static let burstCount = 16

  private var bucket = TokenBucket(capacity: burstCount, perSecond: 1 / 60)
  private var told: Set<String> = []

  /// Nothing was refused yet.
  public init() {}

  /// Whether to tell `text` at `now`, by any clock that only grows.
  public mutating func tells(_ text: String, now: Duration) -> Bool {
    guard !told.contains(text), bucket.take(now: now) else { return false }
    if told.count >= Self.burstCount { told = [] }
    told.insert(text)
    return true
  }
}
