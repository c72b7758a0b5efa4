/// The bounds of one lane at its receiver, the same for all lanes of a channel.
public struct LaneLimits: Sendable, Hashable {
  /// The most events parked at a time.
  public var parkedCountMax: Int
  /// The most bytes that they have.
  public var parkedByteCountMax: Int
  /// How long a gap may stand before it is fetched: what is missing may be on its way.
  public var grace: Duration
  /// How long an answer to a fetch may take before the fetch is sent again; doubled for each attempt.
  public var answerTimeout: Duration
  /// The longest such wait.
  public var answerTimeoutMax: Duration

  /// 256 events and 4 MiB parked, 20 ms of grace, answers within 1 to 8 s.
  public static let standard = LaneLimits()

  /// Limits by their parts; see ``standard``.
  public init(
    parkedCountMax: Int = 256, parkedByteCountMax: Int = 4 << 20, grace: Duration = .milliseconds(20),
    answerTimeout: Duration = .seconds(1), answerTimeoutMax: Duration = .seconds(8)
  ) {
    self.parkedCountMax = parkedCountMax
    self.parkedByteCountMax = parkedByteCountMax
    self.grace = grace
    self.answerTimeout = answerTimeout
    self.answerTimeoutMax = answerTimeoutMax
  }
}
