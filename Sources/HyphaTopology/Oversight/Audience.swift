public import HyphaCore

/// Whom published events are for: a pure function of their type and author, of subscriptions and of oversight.
///
/// It is made of a topology once, and is all that a node and a log need of it to tell whom an event was for. Where nobody
/// oversees a type its events are for all who subscribe to it, their author excluded. Otherwise the author's supervisors
/// are asked, the nearest first: one that oversees `parallel` is added; one that is `in` is the last, and there is nobody else.
public struct Audience: Sendable, Hashable, Codable {
  /// Who subscribes to one type.
  private struct Takers: Sendable, Hashable, Codable {
    /// In the order of the topology.
    var agents: [AgentID] = []
    /// The subjects that each takes; none means all.
    var subjects: [AgentID: [Pattern]] = [:]
  }

  private var takers: [EventTypeName: Takers] = [:]
  private var modes: [EventTypeName: [AgentID: OversightRule.Mode]] = [:]
  /// Who reports to whom; empty where nothing is overseen.
  private var supervisors: [AgentID: AgentID] = [:]

  /// Whom events are for by a topology.
  ///
  /// - Parameter types: those that are asked about; nil for all.
  public init(_ topology: Topology, of types: Set<EventTypeName>? = nil) {
    for agent in topology.agents {
      let subscribed = Dictionary(grouping: agent.subscribes, by: \.type)
      for (type, subscriptions) in subscribed where types?.contains(type) ?? true {
        let subjects = subscriptions.map(\.subjects)
        takers[type, default: Takers()].agents.append(agent.id)
        takers[type]?.subjects[agent.id] = subjects.contains(.everything) ? [] : subjects
      }
    }
    for rule in topology.oversight where [.in, .parallel].contains(rule.mode) {
      guard types?.contains(rule.type) ?? true else { continue }
      modes[rule.type, default: [:]][rule.by] = rule.mode
    }
    guard !modes.isEmpty else { return }
    for agent in topology.agents { supervisors[agent.id] = agent.reportsTo }
  }

  /// The agents that an author's events of a type are for: those who subscribe in the order of the topology, then those who
  /// oversee them, the nearest first.
  public func agents(for type: EventTypeName, by author: AgentID) -> [AgentID] {
    let overseers = overseers(of: type, by: author)
    if let gate = overseers.gate { return overseers.watchers + [gate] }
    let subscribers = (takers[type]?.agents ?? []).filter { $0 != author }
    return subscribers + overseers.watchers.filter { !subscribers.contains($0) }
  }

  /// The agents that an event is for.
  public func agents(for type: EventTypeName, _ subject: Subject, by author: AgentID) -> [AgentID] {
    agents(for: type, by: author).filter { agent in
      let subjects = subjects(of: type, by: author, for: agent)
      return subjects.isEmpty || subjects.contains { $0.matches(subject) }
    }
  }

  /// Whether an author's event is for `agent`.
  public func takes(_ agent: AgentID, _ type: EventTypeName, _ subject: Subject, by author: AgentID) -> Bool {
    if isOverseen(type) { return agents(for: type, subject, by: author).contains(agent) }
    guard agent != author, let subjects = takers[type]?.subjects[agent] else { return false }
    return subjects.isEmpty || subjects.contains { $0.matches(subject) }
  }

  /// The subjects that `agent` takes of an author's events of a type, if they are for it; none means all. Who oversees
  /// them takes all.
  public func subjects(of type: EventTypeName, by author: AgentID, for agent: AgentID) -> [Pattern] {
    let overseers = overseers(of: type, by: author)
    if overseers.gate == agent || overseers.watchers.contains(agent) { return [] }
    return takers[type]?.subjects[agent] ?? []
  }

  /// Whether whom events of a type are for depends on the supervisors of their author.
  public func isOverseen(_ type: EventTypeName) -> Bool { modes[type] != nil }

  /// The nearest supervisor of an author who takes part in its events of a type on their way. Such events have no addressee:
  /// those who oversee them would miss them.
  public func overseer(of type: EventTypeName, by author: AgentID) -> AgentID? {
    let overseers = overseers(of: type, by: author)
    return overseers.watchers.first ?? overseers.gate
  }

  /// Whether an agent subscribes to a type.
  func subscribes(_ agent: AgentID, to type: EventTypeName) -> Bool { takers[type]?.subjects[agent] != nil }

  /// A type's name as the topology has it, where somebody subscribes to it.
  func name(of type: EventTypeName) -> EventTypeName? {
    takers.index(forKey: type).map { takers[$0].key }
  }

  /// Who oversees an author's events of a type: those who get a copy, and who ends their way.
  private func overseers(of type: EventTypeName, by author: AgentID) -> (watchers: [AgentID], gate: AgentID?)
  {
    guard let modes = modes[type] else { return ([], nil) }
    var watchers: [AgentID] = []
    var above = supervisors[author]
    while let agent = above {
      switch modes[agent] {
      case .in: return (watchers, agent)
      case .parallel: watchers.append(agent)
      case .after, .outside, nil: break
      }
      above = supervisors[agent]
    }
    return (watchers, nil)
  }
}
