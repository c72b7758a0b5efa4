public import HyphaCore

/// How a supervisor takes part in the events of one type that the agents below it publish.
///
/// It is a part of the topology file, and so the same on every node. Direct links change nothing of it: whom an event is
/// for is decided before the way to them.
public struct OversightRule: Sendable, Hashable, Codable {
  /// What part it takes, the closest first.
  public enum Mode: String, Sendable, Hashable, Codable, CaseIterable {
    /// The events end at the supervisor. What passes is an event of its own, stated by one of its handlers.
    case `in`
    /// They go their way, and the supervisor gets each of them, too.
    case parallel
    /// They go their way, and the supervisor gets a digest of them now and then (``OversightDigest``).
    case after
    /// They go their way. As if there were no rule: to take one back and keep its place in the file.
    case outside
  }

  /// The type of the events.
  public var type: EventTypeName
  /// The supervisor. The rule is for all agents below it, however deep.
  public var by: AgentID
  /// What part it takes.
  public var mode: Mode
  /// How often it gets a digest at the most, of ``Mode/after``.
  public var every: Duration

  /// A rule of its parts.
  ///
  /// - Parameter every: default: 1 min; from 1 s to 7 d.
  public init(_ type: EventTypeName, by: AgentID, _ mode: Mode, every: Duration = Self.usualPeriod) {
    self.type = type
    self.by = by
    self.mode = mode
    self.every = every
  }

  /// How often digests come where the file does not say.
  public static let usualPeriod: Duration = .seconds(60)
  /// What ``every`` may be.
  public static let periodRange: ClosedRange<Duration> = .seconds(1) ... .seconds(7 * 86_400)
}

extension Topology {
  /// Checks the rules of oversight against the agents.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for the first one that cannot hold.
  static func check(_ rules: [OversightRule], has: (AgentID) -> Bool, leads: (AgentID) -> Bool) throws {
    var seen: Set<[String]> = []
    for rule in rules {
      let name = "the oversight of \(rule.type) by '\(rule.by)'"
      guard has(rule.by) else {
        throw HyphaError(.invalidTopology, "\(name): there is no such agent", remedy: "add it under agents:")
      }
      guard leads(rule.by) else {
        throw HyphaError(
          .invalidTopology, "\(name): nobody reports to it",
          remedy: "name a supervisor of those who publish it")
      }
      guard !rule.type.isOfTheBus else {
        throw HyphaError(
          .invalidTopology, "\(name): the bus states these events itself",
          remedy: "name a type that agents publish")
      }
      guard OversightRule.periodRange.contains(rule.every) else {
        throw HyphaError(
          .invalidTopology, "\(name): a digest every \(rule.every)", remedy: "use 1s to 7d")
      }
      guard seen.insert([rule.type.text, rule.by.text]).inserted else {
        throw HyphaError(
          .invalidTopology, "\(name) is declared twice", remedy: "remove one of them")
      }
    }
  }
}
