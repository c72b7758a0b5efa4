import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// repair-from-copies, by simulation: random deployments that lose a node for good while others had not got all of it.
@Suite struct RepairSimulationTests {
  @Test(arguments: 0..<2)
  func `what one taker of a dead node's lane has, all have, byte for byte, and nobody else`(part: Int) throws
  {
    let seeds = seeds(60, part: part, of: 2)
    var (copiedCount, laneCount) = (0, 0)
    for seed in seeds {
      let run = try LostOrigin(seed: seed)
      #expect(
        run.violations.isEmpty, "HYPHA_SEED=\(seed): \(run.violations.prefix(4).joined(separator: "; "))")
      guard run.violations.isEmpty else { return }
      copiedCount += run.copiedCount
      laneCount += run.laneCount
    }
    guard seeds.count > 1 else { return }
    #expect(
      copiedCount > seeds.count && laneCount > seeds.count,
      "\(copiedCount) events of \(laneCount) lanes were fetched from copies")
  }
}

/// A run in which a node is cut off from some of the others, dies, and does not come back until they agree.
private struct LostOrigin {
  private(set) var violations: [String] = []
  /// How many events of the dead node's agents were fetched from others.
  private(set) var copiedCount = 0
  /// How many of its lanes somebody had taken.
  private(set) var laneCount = 0

  init(seed: UInt64) throws {
    var maker = ScenarioMaker(seed: seed)
    let topology = try maker.takenByMany()
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all), seed: seed, faults: maker.faults(),
      notary: { TestNotary($0) })
    let dead = topology.nodes[0].id
    let others = topology.nodes.map(\.id).filter { $0 != dead }
    let isCut = others.map { _ in maker.chance(50) }
    func cut(_ isOn: Bool) {
      for (node, _) in zip(others, isCut).filter(\.1) {
        deployment.network.setCut(isOn, between: dead, and: node)
      }
    }
    if maker.chance(70) { cut(true) }
    try deployment.start()
    deployment.run(for: .microseconds(maker.number(in: 0...300_000)))
    cut(true)
    deployment.run(for: .microseconds(maker.number(in: 0...100_000)))
    deployment.kill(dead)
    cut(false)
    // Whoever is asked first may have nothing, an answer may be lost, and asking again takes up to 8 s.
    for _ in 0..<30 {
      deployment.run(for: .seconds(2))
      violations = try check(deployment, topology, dead, others)
      if violations.isEmpty { break }
    }
    for status in deployment.summary().nodes {
      copiedCount += status.channels.values.reduce(0) { $0 + Int($1.counts["from copies"] ?? 0) }
      if status.contradictedLaneCount > 0 {
        violations.append("\(status.node): honest copies are contradicted")
      }
    }
    guard violations.isEmpty else { return }
    try deployment.start(dead)
    if !deployment.runToEnd(limit: .seconds(150)) {
      violations.append("with the node back, the deployment never completes")
    }
    deployment.run(for: .seconds(20))
    for status in deployment.summary().nodes where status.contradictedLaneCount > 0 {
      violations.append("\(status.node): its origin does not have what was fetched from a copy")
    }
    try deployment.stop()
  }

  /// What the logs of the living say of the dead node's lanes, knowing nothing of how they got it.
  private mutating func check(
    _ deployment: SimulatedDeployment, _ topology: Topology, _ dead: NodeID, _ living: [NodeID]
  ) throws -> [String] {
    let authors = Set(topology.agents.filter { $0.node == dead }.map(\.id))
    var taken: [Lane: [NodeID: [Record]]] = [:]
    for node in living {
      for entry in try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
      where authors.contains(entry.record.header.agent) {
        taken[entry.record.header.lane, default: [:]][node, default: []].append(entry.record)
      }
    }
    laneCount = taken.count
    return taken.sorted { "\($0.key)" < "\($1.key)" }.flatMap { lane, copies -> [String] in
      let takers = topology.agents.filter { agent in
        switch lane.target {
        case .addressee(let addressee): agent.id == addressee
        case .type(let type): agent.id != lane.agent && agent.subscribes.contains { $0.type == type }
        }
      }
      let nodes = Set(takers.map(\.node)).intersection(living)
      let longest = copies.values.max { $0.count < $1.count } ?? []
      var wrong = nodes.sorted().filter { copies[$0] != longest }
        .map { "\($0) has \(copies[$0]?.count ?? 0) of \(longest.count) events of \(lane)" }
      wrong += copies.keys.filter { !nodes.contains($0) }.sorted().map { "\($0) has events of \(lane)" }
      return wrong
    }
  }
}

extension ScenarioMaker {
  /// Three to six nodes; what agents of the first state, agents of most others take, over supervisors anywhere.
  fileprivate mutating func takenByMany() throws -> Topology {
    let nodes = (0..<number(in: 3...6)).map { NodeID(unchecked: "n\($0)") }
    var agents = [AgentSpec(id: "root", kind: "supervisor", node: one(of: nodes))]
    for number in 0..<number(in: 0...2) {
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "sup\(number)"), kind: "supervisor", node: one(of: nodes), reportsTo: "root")
      )
    }
    let supervisors = agents.map(\.id)
    for node in nodes.dropFirst() {
      let types: [EventTypeName] = ["load.Entry", "load.Alarm", "hypha.AgentActivated"]
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "taker-\(node)"), kind: "recorder", node: node,
          reportsTo: one(of: supervisors),
          subscribes: types.filter { _ in chance(80) }.map { Subscription(type: $0) }))
    }
    for index in 0..<number(in: 1...3) {
      let settings: [String: JSONValue] = [
        "event": .string(one(of: ["entry", "entry", "alarm"])), "count": .integer(Int64(number(in: 1...150))),
        "every": .number(Double(number(in: 0...20)) / 8), "padding": .integer(Int64(number(in: 0...500))),
      ]
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "gen\(index)"), kind: "generator", node: nodes[0],
          reportsTo: one(of: supervisors), settings: .object(settings)))
    }
    let after = Duration.milliseconds(number(in: 600...3000))
    return try Topology(
      name: "many", nodes: nodes.map { NodeSpec(id: $0) }, agents: agents,
      membership: MembershipSettings(suspicion: .fixed(after: after), downAfter: after * 2))
  }
}
