import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport

@testable import HyphaRuntime

/// A deployment of ticking agents whose topology file changes again and again while nodes crash, and what must be true then.
final class RevisionScenario {
  let deployment: SimulatedDeployment
  private let seed: UInt64
  private let texts = TopologyTexts()
  private let first: Topology
  private var random: SeededGenerator
  private(set) var topology: Topology
  private(set) var appliedCount = 0
  /// How often another node came to order what is applied.
  private(set) var seatCount = 0
  private(set) var violations: [String] = []
  private let nodes: [NodeID] = ["hub", "x", "y", "z"]
  private var seat: NodeID = "hub"
  private var names = 0
  /// Which nodes files drop.
  enum Leaves { case none, allButTheSeat, any }
  private let leaves: Leaves

  init(
    seed: UInt64, faults: MemoryNetwork.Faults = .none, observed: Bool = false, leaves: Leaves = .none
  ) throws {
    (self.seed, self.leaves) = (seed, leaves)
    random = SeededGenerator(seed: seed, name: "revisions")
    var policy = ObserverPolicy()
    if observed {
      policy.node = "hub"
      policy.charge = 1
    }
    first = try Topology(
      name: "revisions", nodes: nodes.map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "hub"),
        AgentSpec(id: "desk", kind: "supervisor", node: "x", reportsTo: "root"),
        Self.tally("t1", "x", under: "desk", takesAll: true), Self.tally("t2", "y", under: "root"),
        Self.tally("t3", "z", under: "desk", takesAll: true),
        Self.pulse("p1", "y", under: "root", to: ["t1", "t2"]),
        Self.pulse("p2", "z", under: "desk", to: ["t2"]),
        Self.pulse("p3", "hub", under: "root", to: []),
      ], observer: policy)
    topology = first
    deployment = SimulatedDeployment(
      first, kinds: try KindRegistry(BuiltInKinds.all + [Beater.self, TickTaker.self]), seed: seed,
      faults: faults)
    deployment.file = try texts.file(first)
  }

  static func pulse(_ id: AgentID, _ node: NodeID, under: AgentID, to: [AgentID]) -> AgentSpec {
    AgentSpec(
      id: id, kind: Beater.kind, node: node, reportsTo: under,
      settings: .object(["to": .array(to.map { .string($0.text) }), "count": .integer(300)]))
  }

  static func tally(_ id: AgentID, _ node: NodeID, under: AgentID, takesAll: Bool = false) -> AgentSpec {
    AgentSpec(
      id: id, kind: TickTaker.kind, node: node, reportsTo: under,
      subscribes: takesAll ? [Subscription(type: RevisionTick.eventType)] : [])
  }

  /// Runs it: revisions one after the other, with crashes between if there are to be any.
  func run(revisions: Int = 3, crashes: Bool) throws {
    try deployment.start()
    for _ in 0..<revisions {
      deployment.run(for: .milliseconds(Int.random(in: 5...400, using: &random)))
      try apply()
      if crashes {
        for _ in 0..<Int.random(in: 0...3, using: &random) {
          deployment.run(for: .milliseconds(Int.random(in: 0...120, using: &random)))
          let node = nodes[Int.random(in: 0...nodes.count - 1, using: &random)]
          deployment.kill(node)
          if Int.random(in: 0...2, using: &random) > 0 {
            deployment.run(for: .milliseconds(Int.random(in: 1...600, using: &random)))
            _ = try deployment.begin(node)
          }
        }
      }
      deployment.run(for: .milliseconds(Int.random(in: 50...1500, using: &random)))
      for node in nodes where deployment.node(node) == nil { _ = try deployment.begin(node) }
      // The next plan is made from what is known by then.
      deployment.run(for: .seconds(5))
      if let order = try newest().revisions.newest {
        topology = try deployment.file!.read(order.file)
        appliedCount = Int(order.revision) - 1
        seatCount += order.seat == seat ? 0 : 1
        seat = order.seat
      }
    }
    let isComplete = deployment.runToEnd(limit: .seconds(600))
    if !isComplete {
      violations.append(
        "not complete: \(deployment.summary().nodes.map { ($0.node, $0.backlog, $0.behindLaneCount, $0.channels["persistent"].map { [$0.statedPairCount, $0.handledPairCount] } ?? [], $0.notes.suffix(3)) })"
      )
    }
    try deployment.stop()
    try check()
  }

  /// Runs it while nodes are stopped or killed, one after the other, and started with other protocol versions.
  func upgrade(_ versions: [ClosedRange<UInt8>]) throws {
    try deployment.start()
    for next in versions {
      for node in nodes {
        deployment.run(for: .milliseconds(Int.random(in: 20...150, using: &random)))
        if Bool.random(using: &random) { try deployment.stop(node) } else { deployment.kill(node) }
        deployment.versions[node] = next
        deployment.run(for: .milliseconds(Int.random(in: 1...100, using: &random)))
        try deployment.start(node)
      }
    }
    if !deployment.runToEnd(limit: .seconds(600)) { violations.append("not complete") }
    try deployment.stop()
    try check()
  }

  // MARK: Changes

  /// What the node knows that knows of the most files.
  private func newest() throws -> MoveReading {
    try nodes.map { try MoveReading(deployment.reader(of: $0)) }.max {
      $0.revisions.number < $1.revisions.number
    }!
  }

  private func apply() throws {
    let reading = try newest()
    let next = try changed(reading.moves)
    let text = try texts.text(next)
    let node = nodes[Int.random(in: 0...nodes.count - 1, using: &random)]
    guard let asked = deployment.node(node) ?? nodes.lazy.compactMap({ self.deployment.node($0) }).first
    else { return }
    _ = try asked.apply(text, after: reading.revisions.number, by: "ana", note: nil)
  }

  private func changed(_ moves: AgentMoves) throws -> Topology {
    var agents = topology.agents
    for _ in 0..<Int.random(in: 1...3, using: &random) { change(&agents, moves) }
    guard leaves != .none, let gone = leave(&agents, moves) else {
      return try topology.replacing(agents: agents)
    }
    return try topology.replacing(nodes: topology.nodes.filter { $0.id != gone }, agents: agents)
  }

  /// Has a node leave: its agents go, or move.
  private func leave(_ agents: inout [AgentSpec], _ moves: AgentMoves) -> NodeID? {
    let gone = topology.nodes.map(\.id).filter { leaves == .any || $0 != "hub" }.randomElement(using: &random)
    guard let gone, topology.nodes.count > 1, Int.random(in: 0...3, using: &random) > 0 else { return nil }
    let places = topology.nodes.map(\.id).filter { $0 != gone }
    // One step at a time: what moves is otherwise as it was.
    agents = agents.filter { topology.agent($0.id) != nil || $0.node != gone }.map { agent in
      let known = topology.agent(agent.id) ?? agent
      return known.node == gone || moves.places[agent.id] == gone || agent.node == gone ? known : agent
    }
    for index in agents.indices where agents[index].node == gone {
      agents[index].node = places.randomElement(using: &random)!
    }
    if let index = agents.indices.filter({
      topology.agent(agents[$0].id)?.node == gone && agents[$0].kind == TickTaker.kind
    }).first, Bool.random(using: &random) {
      remove(index, &agents)
    }
    // Nobody addresses whom another change has taken away.
    let all = Set(agents.map(\.id.text))
    for place in agents.indices where agents[place].kind == Beater.kind {
      guard case .array(let to) = agents[place].settings["to"] else { continue }
      agents[place].settings["to"] = .array(to.filter { all.contains($0.text ?? "") })
    }
    return gone
  }

  private func remove(_ index: Int, _ agents: inout [AgentSpec]) {
    let id = agents.remove(at: index).id
    // Nobody addresses it any more.
    for place in agents.indices where agents[place].kind == Beater.kind {
      guard case .array(let to) = agents[place].settings["to"] else { continue }
      agents[place].settings["to"] = .array(to.filter { $0 != .string(id.text) })
    }
  }

  private func change(_ agents: inout [AgentSpec], _ moves: AgentMoves) {
    let nodes = topology.nodes.map(\.id)
    func place() -> NodeID { nodes[Int.random(in: 0...nodes.count - 1, using: &random)] }
    let workers = agents.indices.filter { agents[$0].kind != "supervisor" }
    let index = workers[Int.random(in: 0...workers.count - 1, using: &random)]
    let id = agents[index].id
    let isAsBefore = topology.agent(id) == agents[index]
    switch Int.random(in: 0...6, using: &random) {
    case 0:
      names += 1
      agents.append(
        Self.tally(
          AgentID(unchecked: "n\(names)"), place(),
          under: Bool.random(using: &random) ? "root" : "desk",
          takesAll: Bool.random(using: &random)))
    case 1:
      names += 1
      let takers = agents.filter { $0.kind == TickTaker.kind }.map(\.id)
      agents.append(
        Self.pulse(
          AgentID(unchecked: "n\(names)"), place(), under: "root",
          to: Array(takers.prefix(1))))
    case 2:
      remove(index, &agents)
    case 3: agents[index].reportsTo = agents[index].reportsTo == "root" ? "desk" : "root"
    case 4 where agents[index].kind == TickTaker.kind && isAsBefore:
      agents[index].subscribes =
        agents[index].subscribes.isEmpty ? [Subscription(type: RevisionTick.eventType)] : []
    case 5 where isAsBefore && topology.agent(id) != nil:
      if moves.newest(of: id).map({ $0.stage == .arrived }) ?? true {
        agents[index].node = place()
      }
    default: break
    }
  }

  private func check() throws {
    let logs = try Dictionary(uniqueKeysWithValues: nodes.map { ($0, try deployment.reader(of: $0)) })
    violations += try RevisionChecker(
      logs, first: first, file: deployment.file!, left: deployment.left
    ).violations
    if leaves != .none { for (node, log) in logs { try checkLeave(of: node, log) } }
  }

  /// Whoever the last file has not has left, and is not watched or waited for from then on.
  private func checkLeave(of node: NodeID, _ log: any LogReader) throws {
    let isGone = topology.node(node) == nil
    if isGone != deployment.left.contains(node) {
      violations.append("node-left: \(node) \(isGone ? "stays" : "has left")")
    }
    var gone: Set<NodeID> = []
    for entry in try log.read(after: .start, limit: .max, byteLimit: .max) {
      switch entry.record.type {
      case NodeRetired.eventType: gone.insert(try NodeRetired.decode(entry.record).node)
      case NodeDown.eventType where entry.source == .stated && entry.record.agent == node.author:
        let event = try NodeDown.decode(entry.record)
        if gone.contains(event.node) {
          violations.append("node-left-unmissed: \(node) takes \(event.node) for down")
        }
      default: break
      }
    }
    if !deployment.left.contains(node), !gone.isSuperset(of: deployment.left) {
      violations.append("node-left-told: \(node)")
    }
  }
}

extension Revisions.Taking {
  var topology: Topology {
    switch self {
    case .runs(let topology, _): topology
    case .differs(let topology): topology
    }
  }
}
