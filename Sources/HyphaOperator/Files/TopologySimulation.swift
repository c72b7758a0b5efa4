import Foundation
import HyphaCore
import HyphaFormats
import HyphaTopology

/// A recording's traffic in a hierarchy: that of a topology file, or one made of the recording's groups.
struct TopologySimulation {
  let simulation: Simulation
  /// The agents of the recording.
  let agentCount: Int
  let levelCount: Int
  /// Events that were for so many agents each that no pair of them is worth a link: in no figure.
  var broadcastCount = 0

  /// Where the hierarchy comes from.
  enum Hierarchy {
    case topology(Topology, name: String)
    case groups([String: String])
    case groupSize(Int)
    case recorded
  }

  /// - Parameter policyPath: a policy file; nil for the topology's, or the default.
  init(_ recording: RecordedTraffic, named trace: String, _ hierarchy: Hierarchy, policyPath: String?) throws
  {
    var policy = try policyPath.map(TopologyFiles.policy)
    let ids = ResourceAgents(recording.names).agents
    var numbers: [AgentID: Int32] = [:]
    let places: [Int32]
    let parents: [Int32]
    switch hierarchy {
    case .topology(let topology, let file):
      policy = policy ?? topology.observer
      for (place, agent) in topology.agents.enumerated() { numbers[agent.id] = Int32(place) }
      parents = topology.agents.map { $0.reportsTo.flatMap { numbers[$0] } ?? -1 }
      places = try recording.names.map { name in
        guard let id = ids[name], let number = numbers[id] else {
          throw HyphaError(
            .invalidInput, "\(trace) names '\(name.shown(60))', and \(file) has no such agent",
            remedy: "give the topology that the recording was made in, or --groups")
        }
        return number
      }
    default:
      let grouped = GroupedAgents(try Self.groups(recording, trace, hierarchy))
      parents = grouped.parents
      places = recording.names.indices.map { Int32($0) + grouped.firstAgent }
      for (name, place) in zip(recording.names, places) { numbers[ids[name] ?? AgentID(slug: name)] = place }
      // The made supervisors have names too, where no agent has them.
      var taken = Set(numbers.keys)
      numbers[ResourceAgents.free("root", &taken)] = 0
      for (place, group) in grouped.groups.enumerated() {
        numbers[ResourceAgents.free(group, &taken)] = Int32(place + 1)
      }
    }
    let chosen = policy ?? ObserverPolicy()
    let tree = try AgentTree(
      parents: parents, gates: Set(chosen.mustPass.map { try Self.number($0, numbers) }))
    let traffic = Traffic(
      tree: tree,
      events: recording.events.map { .init(from: places[Int($0.from)], to: places[Int($0.to)]) })
    func pairs(_ links: [DirectLink]) throws -> [AgentPair] {
      try links.map { AgentPair(try Self.number($0.one, numbers), try Self.number($0.other, numbers)) }
    }
    simulation = Simulation(
      traffic, policy: chosen, pins: try pairs(chosen.pins), forbids: Set(try pairs(chosen.forbids)))
    agentCount = recording.names.count
    levelCount = places.reduce(0) { max($0, tree.depth($1)) } + 1
  }

  private static func number(_ agent: AgentID, _ numbers: [AgentID: Int32]) throws -> Int32 {
    guard let number = numbers[agent] else {
      throw HyphaError(
        .invalidTopology, "the policy names agent '\(agent)', which the simulation does not have",
        remedy: "name an agent of the recording, the supervisor of a group by the group's name, or 'root'")
    }
    return number
  }

  private static func groups(_ recording: RecordedTraffic, _ trace: String, _ hierarchy: Hierarchy) throws
    -> [String?]
  {
    switch hierarchy {
    case .topology, .recorded: return recording.groups
    case .groups(let groups): return recording.names.map { groups[$0] }
    case .groupSize(let size):
      return try recording.names.map { name in
        guard let number = Int(name), number >= 0 else {
          throw HyphaError(
            .invalidInput, "\(trace) names '\(name.shown(60))', which is no number",
            remedy: "give --groups FILE in place of --group-size")
        }
        return "\(number / size)"
      }
    }
  }
}

/// Files of topologies and policies that are read for themselves: nothing is run by them.
enum TopologyFiles {
  private static func contents(_ path: String, _ what: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw HyphaError(
        .fileUnavailable, "the \(what) \(path) cannot be read", remedy: "give the path of a readable file")
    }
    return Array(data)
  }

  /// A policy file.
  static func policy(_ path: String) throws -> ObserverPolicy {
    do {
      return try ObserverPolicy.read(yaml: contents(path, "policy file"), file: path)
    } catch let error as TopologyDiagnostics {
      throw error.error
    }
  }

  /// A topology file; kinds and keys are not looked at.
  static func topology(_ path: String) throws -> Topology {
    do {
      return try TopologyFile.read(yaml: contents(path, "topology file"), file: path).topology
    } catch let error as TopologyDiagnostics {
      throw error.error
    }
  }
}
