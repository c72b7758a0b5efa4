/// A change of the links that the observer decided on, with the evidence that it had: one atomic event.
public struct RewireDecision: Sendable, Hashable, Codable {
  /// Why a change is made.
  public enum Cause: String, Sendable, Codable {
    /// The traffic has earned the link.
    case earned
    /// The link has carried nothing for long.
    case idle
    /// An operator asked for it.
    case operated
  }

  /// A link that comes or goes, with its score at that time.
  public struct Link: Sendable, Hashable, Codable {
    public var pair: AgentPair
    public var kind: LinkKind
    /// What it saved or would have saved, decayed, in 1/65,536 hop.
    public var score: Int64
  }

  /// The number of events observed so far, this one included.
  public var event: Int64
  public var cause: Cause
  /// The link that is made, if any.
  public var promoted: Link?
  /// The links that go: those it displaces, or the one that is retired.
  public var retired: [Link]
  /// The evidence since the link was last considered, and what it had to reach, in 1/65,536 hop.
  public var credit: Int64
  public var threshold: Int64
  /// What links have saved less what changes have cost, in hops, before and after this change.
  public var ledgerBefore: Int64
  public var ledgerAfter: Int64
  /// The policy that it was decided under.
  public var policyVersion: UInt32
  /// Whether an operator has to say; then nothing has changed yet.
  public var isSuggestion: Bool

  /// The links that were added or removed.
  public var changeCount: Int { (promoted == nil ? 0 : 1) + retired.count }
}
