import HyphaCore

/// What is wrong with an agent's standby, and what to do about it.
struct StandbyProblem {
  var text: String
  var remedy: String
}

extension AgentSpec {
  /// Why the standby that it names cannot be one; nil where it can, or it names none.
  ///
  /// Who stands in for a supervisor stands beside it, or is one of its branch's heads: so whatever oversees the supervisor oversees the
  /// standby, and no two of them stand in for each other in a circle.
  func standbyProblem(in topology: Topology) -> StandbyProblem? {
    guard let standby else { return nil }
    let agents = topology.agents
    func supervisor(_ agent: AgentID) -> AgentID? { topology.agent(agent)?.reportsTo }
    return Self.standbyProblem(
      standby, of: id, has: { topology.agent($0) != nil },
      leads: agents.contains { $0.reportsTo == id }, supervisor: supervisor)
  }

  /// The same before there is a topology.
  static func standbyProblem(
    _ standby: AgentID, of agent: AgentID, has: (AgentID) -> Bool, leads: Bool,
    supervisor: (AgentID) -> AgentID?
  ) -> StandbyProblem? {
    let what = "agent '\(agent)' has the standby '\(standby)'"
    guard has(standby) else {
      return StandbyProblem(text: "\(what), which does not exist", remedy: "add it under agents:")
    }
    guard standby != agent else {
      return StandbyProblem(text: "agent '\(agent)' is its own standby", remedy: "name another agent")
    }
    guard leads else {
      return StandbyProblem(
        text: "\(what), and nobody reports to '\(agent)'", remedy: "remove it: a standby is a supervisor's")
    }
    let isBeside = supervisor(standby) == supervisor(agent) && supervisor(agent) != nil
    guard isBeside || supervisor(standby) == agent else {
      return StandbyProblem(
        text: "\(what), which stands neither beside it nor directly below it",
        remedy: "name one that reports to '\(agent)'"
          + (supervisor(agent).map { ", or to '\($0)'" } ?? ""))
    }
    return nil
  }
}

/// The standbys of a topology file.
extension TopologyDecoder {
  /// Those that can be; the others are reported and left out.
  mutating func checkedStandbys(_ supervisors: [AgentID: AgentID], _ places: [AgentID: NodeID]) -> [AgentID:
    AgentID]
  {
    var standbys: [AgentID: AgentID] = [:]
    let leading = Set(supervisors.values)
    for draft in drafts {
      guard let standby = draft.standby else { continue }
      let mark = sources.agents[draft.id]?.standby ?? .start
      let problem = AgentSpec.standbyProblem(
        standby, of: draft.id, has: { sources.agents[$0] != nil }, leads: leading.contains(draft.id)
      ) { supervisors[$0] }
      if let problem {
        let isUnknown = sources.agents[standby] == nil
        let remedy =
          isUnknown
          ? problems.remedy(
            nearestTo: standby.text, among: drafts.lazy.map(\.id.text), otherwise: problem.remedy)
          : problem.remedy
        problems.report(mark, problem.text, remedy: remedy)
      } else if let node = places[draft.id], places[standby] == node {
        problems.report(
          mark, "agent '\(draft.id)' and its standby '\(standby)' are on one node, '\(node)'",
          remedy: "place the standby on another node, which is there when that one is not")
      } else {
        standbys[draft.id] = standby
      }
    }
    return standbys
  }
}
