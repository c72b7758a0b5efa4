public import HyphaCore

/// The agents that act out the resources of a recording.
///
/// Names in recordings are free text; agent ids are not. Each resource gets the id nearest to its name, and
/// where two would get the same one, the later in alphabetical order gets a number. So every node that reads
/// the recording finds the same ids.
public struct ResourceAgents: Sendable {
  /// Each resource's agent.
  public let agents: [String: AgentID]

  /// The agents of these resources.
  public init(_ resources: some Sequence<String>) {
    var agents: [String: AgentID] = [:]
    var taken: Set<AgentID> = []
    let names = Set(resources).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    // Names that are ids already keep them, whatever else would like to have them.
    for name in names where (try? AgentID(name)) != nil {
      let id = AgentID(slug: name)
      agents[name] = id
      taken.insert(id)
    }
    for name in names where agents[name] == nil { agents[name] = Self.free(name, &taken) }
    self.agents = agents
  }

  /// The agents of all who hand over or get something in a recording.
  public init(of recording: [HandOver]) {
    self.init(recording.flatMap { [$0.from, $0.to] })
  }

  /// An id near `name` that is not taken yet; it is then.
  public static func free(_ name: String, _ taken: inout Set<AgentID>) -> AgentID {
    var id = AgentID(slug: name)
    var number = 2
    while !taken.insert(id).inserted {
      id = AgentID(slug: "\(name.prefix(40))-\(number)")
      number += 1
    }
    return id
  }
}
