import HyphaCore

/// The hierarchy with some branches attached elsewhere (``BranchAttachment``): which way events go, and nothing else.
///
/// A supervisor whose branch is attached elsewhere passes nothing on. It stands at the end of its edges: what is for itself comes to
/// it, from its own branch without leaving that, so that what it oversees `in` comes to nobody beyond it.
struct AttachedTree: Sendable {
  private let topology: Topology
  /// Who stands in for whom.
  let places: [AgentID: AgentID]
  /// Whom each agent reports to; nobody, for the one at the top.
  let supervisors: [AgentID: AgentID]
  private let depths: [AgentID: Int]

  /// Nil where no branch is attached elsewhere, and where the attachments lead in a circle, or to nobody.
  init?(_ topology: Topology, _ attachments: [BranchAttachment]) {
    guard !attachments.isEmpty else { return nil }
    self.topology = topology
    let places = Dictionary(attachments.map { ($0.supervisor, $0.to) }) { $1 }
    self.places = places
    func above(_ agent: AgentID) -> AgentID? {
      guard let up = topology.agent(agent)?.reportsTo else { return nil }
      let place = places[up] ?? up
      // The one among them that stands in for their supervisor reports to whom that has reported to.
      return place == agent ? above(up) : place
    }
    var supervisors: [AgentID: AgentID] = [:]
    var below: [AgentID: [AgentID]] = [:]
    var tops: [AgentID] = []
    for agent in topology.agents.map(\.id) {
      let up = agent == topology.root ? places[agent] : above(agent)
      supervisors[agent] = up
      if let up { below[up, default: []].append(agent) } else { tops.append(agent) }
    }
    guard tops.count == 1 else { return nil }
    var depths = [tops[0]: 0]
    var open = tops
    while let agent = open.popLast() {
      for child in below[agent] ?? [] where depths[child] == nil {
        depths[child] = (depths[agent] ?? 0) + 1
        open.append(child)
      }
    }
    guard depths.count == topology.agents.count else { return nil }
    (self.supervisors, self.depths) = (supervisors, depths)
  }

  /// The edges that the topology file does not have.
  var edges: Set<DirectLink> {
    supervisors.reduce(into: []) { edges, edge in
      let (agent, up) = edge
      guard topology.agent(agent)?.reportsTo != up, topology.agent(up)?.reportsTo != agent else { return }
      edges.insert(DirectLink(agent, up))
    }
  }

  /// The agents on the way from one to another, both ends included.
  func path(from first: AgentID, to last: AgentID) -> [AgentID] {
    if first == last { return [first] }
    if places[last] != nil, isBelow(first, last) { return climb(first, to: last) }
    if places[first] != nil, isBelow(last, first) { return climb(last, to: first).reversed() }
    var (up, down) = ([first], [last])
    while let one = up.last, let other = down.last, one != other {
      guard let oneDepth = depths[one], let otherDepth = depths[other] else { return [first] }
      guard let next = supervisors[oneDepth >= otherDepth ? one : other] else { return [first] }
      if oneDepth >= otherDepth { up.append(next) } else { down.append(next) }
    }
    return up + down.dropLast().reversed()
  }

  /// The way up to a supervisor whose branch is attached elsewhere, within that branch.
  private func climb(_ agent: AgentID, to supervisor: AgentID) -> [AgentID] {
    var agents = [agent]
    while let last = agents.last, last != supervisor, agents.count <= depths.count {
      let inside = supervisors[last].flatMap { $0 == supervisor || isBelow($0, supervisor) ? $0 : nil }
      guard let next = inside ?? topology.agent(last)?.reportsTo else { break }
      agents.append(next)
    }
    return agents
  }

  /// Whether the topology file has an agent below another one.
  private func isBelow(_ agent: AgentID, _ supervisor: AgentID) -> Bool {
    guard let depth = topology.depth(of: supervisor), var high = topology.depth(of: agent) else {
      return false
    }
    var up = agent
    while high > depth, let next = topology.agent(up)?.reportsTo { (up, high) = (next, high - 1) }
    return up == supervisor && agent != supervisor
  }
}
