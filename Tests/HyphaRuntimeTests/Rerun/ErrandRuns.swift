import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// Runs in which a taker does errands on the only node, beside those whom it asks and who see what it does.
enum ErrandRuns {
  /// What the taker's state was where nothing was under way.
  struct Truth {
    let position: Position
    let state: JSONValue
  }

  static let errands = [
    "time", "chance", "ask", "ask badly", "timer", "alert", "glimpse", "wake", "uncaused", "fail once",
    "hopeless", "many", "plain",
  ]

  static func topology() throws -> Topology {
    try Topology(
      name: "errands", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "teller", kind: Teller.kind, node: "x", reportsTo: "root"),
        AgentSpec(
          id: "seer", kind: Seer.kind, node: "x", reportsTo: "root",
          subscribes: [Subscription(type: DoneAlert.eventType)]),
        AgentSpec(
          id: "taker", kind: "taker", node: "x", reportsTo: "root",
          supervision: SupervisionSettings(
            retry: RetryPolicy(initial: .milliseconds(10), jitterPercent: 20, attemptCountMax: 3))),
      ])
  }

  static func kinds(_ taker: any Agent.Type) throws -> KindRegistry {
    try KindRegistry(BuiltInKinds.all + [Teller.self, Seer.self, taker])
  }

  /// Runs errands, with crashes between some of them: the log that they leave, and what the taker's state was where nothing was
  /// under way.
  static func run(_ errands: [String], as taker: any Agent.Type, seed: UInt64, crashes: Bool) throws -> (
    log: any LogReader, truths: [Truth]
  ) {
    let deployment = SimulatedDeployment(try topology(), kinds: try kinds(taker), seed: seed)
    try deployment.start()
    var random = SeededGenerator(seed: seed, name: "errands")
    var truths: [Truth] = []
    for (index, errand) in errands.enumerated() {
      try deployment.publish(Errand(what: errand), from: "seer", to: "taker")
      if taker is Errander<FirstRules>.Type || taker is Errander<OftenRules>.Type {
        switch random.next() % 4 {
        case 0: try deployment.publish(Glimpse(value: index), from: "seer", to: "taker")
        case 1: try deployment.publish(Shout(number: index), from: "seer", to: "taker")
        case 2: _ = try deployment.ask("taker", Tell(what: "\(index)"), from: "seer", within: .seconds(5))
        default: break
        }
      }
      if crashes, random.next() % 4 == 0 {
        deployment.run(for: .microseconds(Int64(random.next() % 3000)))
        deployment.kill("x")
        try deployment.start("x")
      }
      guard random.next() % 3 > 0 else { continue }
      deployment.run(for: .seconds(3))
      let log = try deployment.reader(of: "x")
      if let saved = try AgentSnapshot.read(of: "taker", in: log), !saved.state.isEmpty {
        truths.append(
          Truth(position: try log.head(), state: try JSON.decode(JSONValue.self, from: saved.state)))
      }
    }
    deployment.run(for: .seconds(3))
    try deployment.stop()
    return (try deployment.reader(of: "x"), truths)
  }
}
