/// Paces the repair of lanes, so that it takes what live traffic leaves. A pure state machine.
///
/// One bucket of bytes is for both: what arrives live is taken from it in any case, and a fetch only where its answer fits.
/// A second, smaller one is for fetches alone, so that repair gets on however much there is live. A fetch takes the bytes
/// of the largest answer, and the answer gives back what it did not need; what is never answered is forfeited.
///
/// In any time, repair brings at most both buckets and what flows into them (repair-paced in docs/guarantees.md).
public struct RepairPace: Sendable {
  /// How much there may be.
  public struct Limits: Sendable, Hashable {
    /// What live traffic and repair may bring together before repair waits, in bytes a second.
    public var bytesPerSecond: Int
    /// What may come at once.
    public var burstByteCount: Int
    /// The share of both that is for repair alone, 0 to 1.
    public var share: Double

    /// By default 128 MiB a second, 16 MiB at once, and an eighth of it for repair alone.
    public init(bytesPerSecond: Int = 128 << 20, burstByteCount: Int = 16 << 20, share: Double = 1 / 8) {
      self.bytesPerSecond = bytesPerSecond
      self.burstByteCount = burstByteCount
      self.share = share
    }
  }

  /// The most bytes of records in one answer to a fetch, where one record alone has no more.
  public static let answerByteCountMax = 256 << 10

  private var common: TokenBucket
  private var own: TokenBucket

  /// Nothing has come yet.
  public init(_ limits: Limits = Limits()) {
    let rate = Double(limits.bytesPerSecond)
    common = TokenBucket(capacity: limits.burstByteCount, perSecond: rate)
    own = TokenBucket(
      capacity: max(Self.answerByteCountMax, Int(Double(limits.burstByteCount) * limits.share)),
      perSecond: rate * limits.share)
  }

  /// Live traffic has come.
  public mutating func live(byteCount: Int, now: Duration) { common.spend(byteCount, now: now) }

  /// Whether a fetch may be sent now; it counts as sent.
  public mutating func mayFetch(now: Duration) -> Bool {
    common.take(Self.answerByteCountMax, now: now) || own.take(Self.answerByteCountMax, now: now)
  }

  /// A fetch was answered with so many bytes, or not sent: 0.
  public mutating func answered(byteCount: Int) {
    common.giveBack(max(0, Self.answerByteCountMax - byteCount))
  }
}
