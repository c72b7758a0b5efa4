/// The urgency class of an event, and with it the contract under which the event travels.
///
/// | | persistent | alert | realtime |
/// |---|---|---|---|
/// | `publish` returns | when the log has synced it | when it was handed to the transport | at once |
/// | logged | before it leaves the node | while it is being sent | no |
/// | delivery | every event, repaired from the log | every event, from its commit on | at most once, newest wins |
/// | order | per lane, no gaps | per lane, no gaps | per subject, never backwards |
public enum Channel: UInt8, Hashable, CaseIterable, Sendable, Codable, CustomStringConvertible {
  /// Slow, nothing lost.
  case persistent = 0
  /// Fast, answered.
  case alert = 1
  /// Fastest, newest wins.
  case realtime = 2

  /// Whether the channel's events are in the log of every node that takes them.
  public var isLogged: Bool { self != .realtime }

  /// Whether an event may leave its node before the log holds it.
  public var leavesBeforeCommit: Bool { self != .persistent }

  /// Whether a receiver fetches what is missing.
  public var isRepaired: Bool { isLogged }

  /// The channel's name.
  public var description: String {
    switch self {
    case .persistent: "persistent"
    case .alert: "alert"
    case .realtime: "realtime"
    }
  }

  /// The channel with this name.
  public init?(name: String) {
    guard let channel = Channel.allCases.first(where: { $0.description == name }) else { return nil }
    self = channel
  }
}
