import HyphaCore

/// The agents together: references, the one root, and where each runs.
extension TopologyDecoder {
  /// The agents with their nodes; what they refer to in vain is reported and left out.
  mutating func placedAgents() -> [AgentSpec] {
    guard !drafts.isEmpty else { return [] }
    let supervisors = checkedSupervisors()
    checkRoots()
    let verdicts = checkCircles(supervisors)
    let places = checkedNodes(supervisors, verdicts)
    let standbys = checkedStandbys(supervisors, places)
    return drafts.compactMap { draft in
      guard let kind = draft.kind, let node = places[draft.id] else { return nil }
      return AgentSpec(
        id: draft.id, kind: kind, node: node, reportsTo: supervisors[draft.id], publishes: draft.publishes,
        subscribes: draft.subscribes, settings: settings(of: draft, kind: kind),
        supervision: draft.supervision, realtime: draft.realtime, standby: standbys[draft.id])
    }
  }

  private func settings(of draft: AgentDraft, kind: String) -> JSONValue {
    guard case .object(let shared)? = kinds[kind] else { return .object(draft.settings) }
    return .object(shared.merging(draft.settings) { _, own in own })
  }

  /// The supervisors that exist.
  private mutating func checkedSupervisors() -> [AgentID: AgentID] {
    var supervisors: [AgentID: AgentID] = [:]
    for draft in drafts {
      guard case .agent(let supervisor) = draft.supervisor else { continue }
      if sources.agents[supervisor] != nil {
        supervisors[draft.id] = supervisor
        continue
      }
      problems.report(
        sources.agents[draft.id]?.reportsTo ?? .start,
        "agent '\(draft.id)' reports to '\(supervisor)', which does not exist",
        remedy: problems.remedy(
          nearestTo: supervisor.text, among: drafts.lazy.map(\.id.text), otherwise: "add it under agents"))
    }
    return supervisors
  }

  private mutating func checkRoots() {
    let roots = drafts.filter { $0.supervisor == .nobody }
    guard let first = roots.first else {
      // One that could not be read may be the root.
      guard !drafts.contains(where: { $0.supervisor == .unreadable }) else { return }
      let mark = sources.agents[drafts[0].id]?.id ?? .start
      problems.report(
        mark, "no agent is the root: every agent reports to another",
        remedy: "leave reports-to out at exactly one agent")
      return
    }
    let line = sources.agents[first.id]?.id.line ?? 0
    for other in roots.dropFirst() {
      problems.report(
        sources.agents[other.id]?.id ?? .start,
        "agent '\(other.id)' reports to nobody, and neither does '\(first.id)' (line \(line)): "
          + "there can be one root",
        remedy: "add 'reports-to: \(first.id)', or another supervisor")
    }
  }

  /// Reports the circles, and the agents that hang below one.
  private mutating func checkCircles(_ supervisors: [AgentID: AgentID]) -> Hierarchy {
    let hierarchy = Hierarchy(drafts.map(\.id), supervisors: supervisors)
    for circle in hierarchy.circles {
      let mark = sources.agents[circle[0]]?.reportsTo ?? .start
      if circle.count == 1 {
        problems.report(
          mark, "agent '\(circle[0])' reports to itself", remedy: "let it report to another agent")
      } else {
        let chain = listed((circle + [circle[0]]).map { "'\($0)'" }, separator: " → ")
        problems.report(
          mark, "\(circle.count) agents report to each other in a circle: \(chain)",
          remedy: "let one of them report to an agent outside of the circle")
      }
    }
    for draft in drafts {
      guard case .below(let circle) = hierarchy.verdict(draft.id), let supervisor = supervisors[draft.id]
      else { continue }
      let first = hierarchy.circles[circle][0]
      let line = sources.agents[first]?.id.line ?? 0
      problems.report(
        sources.agents[draft.id]?.reportsTo ?? .start,
        "agent '\(draft.id)' has no way to the root: above '\(supervisor)' is the circle of '\(first)' "
          + "(line \(line))",
        remedy: "break that circle, or let it report to another agent")
    }
    return hierarchy
  }

  /// The node of each agent: its own, or that of the nearest supervisor that names one.
  private mutating func checkedNodes(_ supervisors: [AgentID: AgentID], _ hierarchy: Hierarchy)
    -> [AgentID: NodeID]
  {
    let names = nodes.map(\.id.text)
    var places: [AgentID: NodeID] = [:]
    var unplaced: Set<AgentID> = []
    for draft in drafts where draft.namesNode {
      guard let node = draft.node else {
        unplaced.insert(draft.id)
        continue
      }
      places[draft.id] = node
      if sources.nodes[node] == nil, !nodes.isEmpty {
        problems.report(
          sources.agents[draft.id]?.node ?? .start,
          "agent '\(draft.id)' is placed on node '\(node)', which does not exist",
          remedy: problems.remedy(
            nearestTo: node.text, among: names,
            otherwise: "add it under nodes, or name one of \(listed(names))"))
      }
    }
    let root = drafts.first { $0.supervisor == .nobody }?.id
    for draft in drafts where places[draft.id] == nil && hierarchy.verdict(draft.id) == .open {
      var path: [AgentID] = []
      var agent: AgentID? = draft.id
      while let current = agent, places[current] == nil, !unplaced.contains(current) {
        path.append(current)
        agent = supervisors[current]
      }
      if agent == nil, let top = path.last, top == root { places[top] = defaultNode(ofRoot: top) }
      let node = (agent ?? path.last).flatMap { places[$0] }
      for member in path {
        places[member] = node
        if node == nil { unplaced.insert(member) }
      }
    }
    return places
  }

  /// The only node. Where an agent that is not the root gets no node from above, its supervisor is wrong,
  /// and that is reported.
  private mutating func defaultNode(ofRoot root: AgentID) -> NodeID? {
    guard nodes.count > 1 else { return nodes.first?.id }
    problems.report(
      sources.agents[root]?.id ?? .start, "the root '\(root)' names no node, and there are \(nodes.count)",
      remedy: "add 'node: ' and one of \(listed(nodes.map(\.id.text)))")
    return nil
  }
}

/// Which agents have an end to their way up. Linear in their number.
struct Hierarchy {
  /// What lies above an agent.
  enum Verdict: Equatable {
    /// The way up ends: at the root, or at a supervisor that does not exist.
    case open
    /// The agent is a member of the circle with this index.
    case member(Int)
    /// The way up leads into the circle with this index.
    case below(Int)
  }

  /// The circles, each from its first member in the order of the agents, upwards.
  private(set) var circles: [[AgentID]] = []
  private var verdicts: [AgentID: Verdict] = [:]

  init(_ agents: [AgentID], supervisors: [AgentID: AgentID]) {
    for agent in agents where verdicts[agent] == nil {
      var path: [AgentID] = []
      var places: [AgentID: Int] = [:]
      var next: AgentID? = agent
      while let current = next, verdicts[current] == nil, places[current] == nil {
        places[current] = path.count
        path.append(current)
        next = supervisors[current]
      }
      var verdict = Verdict.open
      if let end = next, let start = places[end] {
        for member in path[start...] { verdicts[member] = .member(circles.count) }
        verdict = .below(circles.count)
        circles.append(Array(path[start...]))
        path.removeSubrange(start...)
      } else if let end = next, let known = verdicts[end], case .member(let circle) = known {
        verdict = .below(circle)
      } else if let end = next, let known = verdicts[end] {
        verdict = known
      }
      for member in path { verdicts[member] = verdict }
    }
    // A circle was entered where the walk met it; begin each at its first member in the file.
    let order = Dictionary(agents.enumerated().map { ($0.element, $0.offset) }) { first, _ in first }
    circles = circles.map { circle in
      let start = circle.indices.min { order[circle[$0]] ?? 0 < order[circle[$1]] ?? 0 } ?? 0
      return Array(circle[start...] + circle[..<start])
    }
  }

  func verdict(_ agent: AgentID) -> Verdict { verdicts[agent] ?? .open }
}
