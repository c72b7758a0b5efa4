import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// Adds up what it is told to, event-sourced, and says what it has.
private actor Adder: Agent {
  struct Sum: Codable, Equatable {
    var value = 1
    var count = 0
  }
  static let handles = Handlers(Adder.self).on(Errand.self) { agent, errand, context in
    let (count, value) = (agent.state.count, agent.state.value)
    try await context.publish(Added(amount: errand.what.utf8.count + count))
    try await context.publish(Done(what: "\(value) and \(count)"), to: count.isMultiple(of: 2) ? "seer" : nil)
  }
  static let publishes: [any Event.Type] = [Added.self, Done.self]
  static let evolves = Evolution(Sum.self).on(Added.self) { state, event in
    state.value = (state.value &* 31 &+ event.amount) % 1_000_003
    state.count += 1
  }
  static let snapshotEvery = 4
  var state = Sum()
}

/// Agents that were moved between nodes are run again on each of them.
@Suite struct RerunMoveTests {
  private static let nodes: [NodeID] = ["x", "y", "z"]

  private func topology() throws -> Topology {
    try Topology(
      name: "errands", nodes: Self.nodes.map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(id: "teller", kind: Teller.kind, node: "y", reportsTo: "root"),
        AgentSpec(
          id: "seer", kind: Seer.kind, node: "y", reportsTo: "root",
          subscribes: [Subscription(type: DoneAlert.eventType)]),
        AgentSpec(id: "adder", kind: Adder.kind, node: "x", reportsTo: "root"),
        AgentSpec(
          id: "taker", kind: "taker", node: "x", reportsTo: "root",
          supervision: SupervisionSettings(
            retry: RetryPolicy(initial: .milliseconds(300), jitterPercent: 20, attemptCountMax: 3))),
      ])
  }

  private func kinds(_ taker: any Agent.Type = Errander<FirstRules>.self) throws -> KindRegistry {
    try KindRegistry(BuiltInKinds.all + [Teller.self, Seer.self, Adder.self, taker])
  }

  private static let errands = [
    "time", "chance", "ask", "timer", "alert", "wake", "fail once", "hopeless", "many", "plain", "uncaused",
  ]

  /// Runs errands while `agent` is moved along a way, with kills between, and returns the logs that they have left.
  private func run(_ agent: AgentID, along way: [NodeID], seed: UInt64, crashes: Bool) throws
    -> [any LogReader]
  {
    let deployment = SimulatedDeployment(try topology(), kinds: try kinds(), seed: seed)
    try deployment.start()
    var random = SeededGenerator(seed: seed, name: "errands")
    func errands(_ count: Int) throws {
      for _ in 0..<count {
        let errand = Self.errands[Int(random.next() % UInt64(Self.errands.count))]
        // The seer's node may begin anew at that moment.
        while true {
          do {
            try deployment.publish(Errand(what: errand), from: "seer", to: agent)
            break
          } catch let error as HyphaError where error.code == .failed {
            deployment.run(for: .milliseconds(20))
          }
        }
        if random.next() % 3 == 0 { deployment.run(for: .microseconds(Int64(random.next() % 9_000))) }
      }
    }
    for node in way {
      try errands(8)
      _ = try #require(deployment.node("y")).move(agent, to: node, by: "ana", note: "a test")
      // Some come while it is on its way.
      try errands(3)
      deployment.run(for: .microseconds(Int64(random.next() % 400_000)))
      if crashes {
        let node = Self.nodes[Int(random.next() % 3)]
        deployment.kill(node)
        deployment.run(for: .milliseconds(50))
        try deployment.start(node)
      }
      deployment.run(for: .seconds(5))
      let moves = try MoveReading(deployment.reader(of: "y")).moves
      #expect(moves.newest(of: agent)?.stage == .arrived && moves.newest(of: agent)?.order.to == node)
    }
    try errands(8)
    deployment.run(for: .seconds(5))
    try deployment.stop()
    return try Self.nodes.map { try deployment.reader(of: $0) }
  }

  private func rerun(
    _ logs: [any LogReader], _ agent: AgentID, as taker: any Agent.Type = Errander<FirstRules>.self
  )
    async throws -> (outcomes: [NodeID: [RerunOutcome]], summaries: [RerunSummary])
  {
    var outcomes: [NodeID: [RerunOutcome]] = [:]
    var summaries: [RerunSummary] = []
    for log in logs {
      summaries.append(
        try await Rerun(topology(), kinds: kinds(taker), log: log, agents: [agent]).run { outcome in
          outcomes[log.identity.node, default: []].append(outcome)
          return true
        })
    }
    return (outcomes, summaries)
  }

  /// The events of an agent's handlers that a log has as stated there.
  private func stated(_ agent: AgentID, _ log: any LogReader) throws -> Set<EventID> {
    Set(
      try log.read(after: .start, limit: .max, byteLimit: .max).filter {
        $0.source == .stated && $0.record.agent == agent && !SystemEvents.all.contains($0.record.type)
      }.map(\.record.id))
  }

  @Test(arguments: ["taker", "adder"] as [AgentID])
  func `an agent that was moved does the same again on each node that it was on`(agent: AgentID) async throws
  {
    for seed in seeds(16) {
      let way: [NodeID] = seed.isMultiple(of: 2) ? ["z", "x", "z"] : ["y", "z"]
      let logs = try run(agent, along: way, seed: seed, crashes: seed % 3 == 0)
      let (outcomes, summaries) = try await rerun(logs, agent)
      for (log, summary) in zip(logs, summaries) {
        let node = log.identity.node
        let all = outcomes[node] ?? []
        let different = all.filter { !$0.differences.isEmpty }
        #expect(different.isEmpty, "HYPHA_SEED=\(seed) \(node): \(different.prefix(2).map(\.brief))")
        #expect(summary.notRun.isEmpty, "HYPHA_SEED=\(seed) \(node): \(summary.notRun)")
        // Each event of its handlers is of a call that was made again, but for alerts of calls that a crash cut off.
        let recorded = Set(all.flatMap(\.recorded).map(\.id))
        let missing = try stated(agent, log).subtracting(recorded)
        let agentSummary = summary.agents.first { $0.agent == agent }
        #expect(
          missing.count <= agentSummary?.cutOffCount ?? 0,
          "HYPHA_SEED=\(seed) \(node): \(missing.count) are of no call")
        #expect(agentSummary?.unclaimedCount ?? 0 == 0, "HYPHA_SEED=\(seed) \(node)")
        #expect(agentSummary?.skippedCount ?? 0 == 0, "HYPHA_SEED=\(seed) \(node)")
      }
      let homes = Set(way + ["x"])
      #expect(Set(outcomes.keys) == homes, "HYPHA_SEED=\(seed)")
      for (_, all) in outcomes { #expect(all.contains { !$0.recorded.isEmpty }, "HYPHA_SEED=\(seed)") }
    }
  }

  @Test func `no input of a moved agent is given to it again on two nodes, and none on neither`() async throws
  {
    let logs = try run("taker", along: ["z", "x"], seed: 7, crashes: false)
    let (outcomes, _) = try await rerun(logs, "taker")
    let firsts = outcomes.values.joined().filter { $0.call == .event && $0.attempt == 1 }.compactMap(\.input)
      .filter { $0.type == Errand.eventType }.map(\.id)
    #expect(firsts.count == 30 && Set(firsts).count == 30)
  }

  @Test func `what an agent that was moved has stated counts wherever it ran`() throws {
    let logs = try run("taker", along: ["z", "y"], seed: 7, crashes: false)
    let own = try logs.flatMap { log in
      try log.read(after: .start, limit: .max, byteLimit: .max).filter {
        $0.source == .stated && $0.record.agent == "taker" && !$0.record.type.text.hasPrefix("hypha.")
      }.map(\.record.header)
    }.sorted { $0.time < $1.time }
    let others = [logs[0], logs[2]]
    let now = try AgentMoment(of: "taker", in: logs[1], elsewhere: others)
    #expect(now.statedCount == own.count && now.last?.record.header.id == own.last?.id)
    #expect(now.move?.to == "y" && now.gaps.isEmpty && now.newest != nil)
    for index in [0, own.count / 2, own.count - 1] {
      let then = try AgentMoment(of: "taker", in: logs[1], elsewhere: others, at: { $1 <= own[index].time })
      #expect(then.statedCount == index + 1 && then.last?.record.header.id == own[index].id)
    }
    // Its node's log alone has what came with it.
    #expect(try AgentMoment(of: "taker", in: logs[1]).statedCount > 0)
  }

  @Test(arguments: ["x", "y", "z"] as [NodeID])
  func `the past of an agent that was moved is refused since it was moved`(node: NodeID) async throws {
    let logs = try run("taker", along: ["z"], seed: 7, crashes: false)
    let log = try #require(logs.first { $0.identity.node == node })
    do {
      try await Rerun.visitStates(of: "taker", in: topology(), kinds: kinds(), log: log) { _ in true }
      Issue.record("it was not refused")
    } catch let error as HyphaError {
      // A node that has no part in the move may not have heard of it.
      #expect(error.problem.contains("it was moved to node 'z'") || node == "y", "\(error)")
    }
  }

  @Test func `a changed line is found on each node that a moved agent was on`() async throws {
    let logs = try run("taker", along: ["z", "y"], seed: 3, crashes: false)
    let (outcomes, _) = try await rerun(logs, "taker", as: Errander<PoliteRules>.self)
    for node in Self.nodes {
      let all = try #require(outcomes[node])
      #expect(all.contains { !$0.differences.isEmpty }, "\(node)")
    }
  }

  @Test func `a state that was other than what led to it is found where the agent has left`() async throws {
    let logs = try run("taker", along: ["z"], seed: 5, crashes: false)
    let stay = try #require(try RerunStay.all(topology(), in: logs[0])["taker"]?.first)
    #expect(stay.arrival == nil && stay.departure != nil && stay.epochs.lowerBound == 1)
    let begin = try await RerunBegin.find(
      Errander<FirstRules>.self, "taker", stay, in: logs[0], prunedThrough: .start)
    guard case .begin(let found) = begin else { return #expect(Bool(false)) }
    #expect(found.stateAtEnd != nil, "what it had when it left is compared")
    #expect(try RerunStay.all(topology(), in: logs[2])["taker"]?.first?.arrival != nil)
    #expect(try RerunStay.all(topology(), in: logs[1])["taker"] == nil)
  }

  @Test func `where the log was pruned, a moved agent is left out, and that is said`() async throws {
    let handover = Handover(
      epoch: 1, committed: [:], stated: [], handled: [], snapshot: nil, retries: [])
    let stay = RerunStay(departure: .init(at: Position(rawValue: 9), handover))
    let (log, _) = try memoryLog()
    let found = try await RerunBegin.find(
      Adder.self, "adder", stay, in: log, prunedThrough: Position(rawValue: 5))
    guard case .impossible(let reason) = found else { return #expect(Bool(false)) }
    #expect(reason.contains("was pruned through 5, and it was moved"))
  }
}
