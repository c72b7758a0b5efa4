import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport

@testable import HyphaRuntime

/// `ana` on `far` and `ben` on `mid` ask; `boss` on `top`, above them, decides.
struct DecisionPlace {
  let deployment: SimulatedDeployment
  let topology: Topology
  static let nodes: [NodeID] = ["far", "mid", "top"]
  static let desk: AgentID = "hypha.desk.boss"

  /// A policy that little evidence is enough for.
  static func policy(_ mode: ObserverPolicy.Mode, _ change: (inout DeskPolicy) -> Void = { _ in })
    -> DeskPolicy
  {
    var policy = DeskPolicy(approver: "boss")
    policy.delegation.mode = mode
    policy.delegation.risk = 2000
    policy.delegation.shadowed = 4
    policy.delegation.audit = 300
    policy.version = 3
    change(&policy)
    return policy
  }

  init(
    _ policy: DeskPolicy, count: Int = 0, bad: Int? = nil, judge: [String: JSONValue] = [:], seed: UInt64 = 1,
    faults: MemoryNetwork.Faults = .none
  ) throws {
    var asker: [String: JSONValue] = ["count": .integer(Int64(count))]
    if let bad { asker["bad"] = .integer(Int64(bad)) }
    var observer = ObserverPolicy()
    observer.node = "top"
    topology = try Topology(
      name: "decisions", nodes: Self.nodes.map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "mid"),
        AgentSpec(id: "boss", kind: Judge.kind, node: "top", reportsTo: "root", settings: .object(judge)),
        AgentSpec(id: "ana", kind: Asker.kind, node: "far", reportsTo: "boss", settings: .object(asker)),
        AgentSpec(id: "ben", kind: Asker.kind, node: "mid", reportsTo: "boss", settings: .object(asker)),
        AgentSpec(id: "eve", kind: Asker.kind, node: "top", reportsTo: "boss"),
        AgentSpec(
          id: Self.desk, kind: DeskPolicy.kind, node: "top", reportsTo: "boss",
          settings: try JSON.decode(JSONValue.self, from: JSON.encode(policy))),
      ], supervision: SupervisionSettings(retry: RetryPolicy(jitterPercent: 0, attemptCountMax: 2)),
      observer: observer)
    let kinds = try KindRegistry(BuiltInKinds.all + [Asker.self, Judge.self])
    deployment = SimulatedDeployment(topology, kinds: kinds, seed: seed, faults: faults)
    try deployment.start()
  }

  func records(on node: NodeID) throws -> [Record] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
  }

  /// What the desk has stated, in order, as the log of a node has it.
  func stated<E: Event>(_ type: E.Type, on node: NodeID = "top") throws -> [(event: E, record: Record)] {
    try records(on: node).filter { $0.agent == Self.desk && $0.type == E.eventType }
      .map { (try E.decode($0), $0) }
  }

  func ledger(on node: NodeID = "top") throws -> DecisionLedger {
    try DecisionLedger.read(desk: Self.desk, in: deployment.reader(of: node))
  }

  func asker(_ agent: AgentID) throws -> Asker.State {
    try deployment.state(
      of: agent, Asker.self, in: deployment.reader(of: agent == "ana" ? "far" : "mid"))
  }

  func judge() throws -> Judge.State {
    try deployment.state(of: "boss", Judge.self, in: deployment.reader(of: "top"))
  }

  /// Has `ana` ask for one more, and lets all come to rest.
  func ask(isBad: Bool = false, amount: Int64 = 0) throws {
    try deployment.publish(
      Trip.Wanted(trip: Trip(number: 1, isBad: isBad), amount: amount), from: "ana", to: "ana")
    deployment.run(for: .milliseconds(200))
  }

  /// Has `ana` ask until the stratum is in a stage.
  func ask(until stage: Delegation.Stage, limit: Int = 100) throws -> Int {
    for count in 1...limit {
      try ask()
      if try ledger().strata.contains(where: { $0.report.stage == stage }) { return count }
    }
    return limit + 1
  }
}
