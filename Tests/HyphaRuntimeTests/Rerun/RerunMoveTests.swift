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
  static let checkpointEvery = 6
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
    "glimpse",
  ]

  /// Runs errands while `agent` is moved along a way, with kills between, and returns the logs that they have left.
  private func run(
    _ agent: AgentID, along way: [NodeID], as taker: any Agent.Type = Errander<FirstRules>.self,
    seed: UInt64, crashes: Bool,
    atRest: (SimulatedDeployment, NodeID) throws -> Void = { _, _ in }
  ) throws -> [any LogReader] {
    let deployment = SimulatedDeployment(try topology(), kinds: try kinds(taker), seed: seed)
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
    var home: NodeID = "x"
    for node in way {
      try errands(8)
      if !crashes {
        deployment.run(for: .seconds(5))
        try atRest(deployment, home)
      }
      home = node
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
    try atRest(deployment, home)
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

  /// What an agent's state was, and the newest time that its node's log had then.
  private struct Truth {
    let node: NodeID
    let time: Timestamp
    let state: JSONValue
  }

  private func truth(_ deployment: SimulatedDeployment, on node: NodeID) throws -> Truth? {
    let log = try deployment.reader(of: node)
    guard let saved = try AgentSnapshot.read(of: "taker", in: log), !saved.state.isEmpty else { return nil }
    let times = try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record.time)
    return Truth(
      node: node, time: times.max() ?? .zero, state: try JSON.decode(JSONValue.self, from: saved.state))
  }

  private func steps(
    _ log: any LogReader, _ others: [any LogReader], as taker: any Agent.Type = Errander<FirstRules>.self
  ) async throws -> [StateStep] {
    var steps: [StateStep] = []
    try await Rerun.visitStates(
      of: "taker", in: topology(), kinds: kinds(taker), log: log, elsewhere: others
    ) {
      steps.append($0)
      return true
    }
    return steps
  }

  @Test func `at each moment the state is the one that a moved agent had, on whichever node it was`()
    async throws
  {
    for seed in seeds(8) {
      var truths: [Truth] = []
      let way: [NodeID] = seed.isMultiple(of: 2) ? ["z", "x", "z"] : ["y", "z"]
      let logs = try run("taker", along: way, seed: seed, crashes: seed % 3 == 0) {
        if let truth = try truth($0, on: $1) { truths.append(truth) }
      }
      let steps = try await steps(logs[2], [logs[0], logs[1]])
      let arrivals = steps.filter { $0.event?.type == AgentArrived.eventType }
      #expect(arrivals.compactMap { $0.place?.node } == way, "HYPHA_SEED=\(seed)")
      let places = steps.compactMap(\.place)
      for (one, next) in zip(places, places.dropFirst()) {
        #expect(one.time <= next.time, "HYPHA_SEED=\(seed)")
        if one.node == next.node { #expect(one.position <= next.position, "HYPHA_SEED=\(seed)") }
      }
      #expect(truths.count > (seed % 3 == 0 ? 0 : way.count), "HYPHA_SEED=\(seed)")
      for truth in truths {
        let step = steps.last { $0.place.map { $0.time <= truth.time } ?? true }
        #expect(try step?.state() == truth.state, "HYPHA_SEED=\(seed) on \(truth.node)")
        #expect(step?.place?.node == truth.node, "HYPHA_SEED=\(seed)")
      }
      #expect(steps.last?.count == steps.count - 1 - arrivals.count, "HYPHA_SEED=\(seed)")
    }
  }

  @Test func `of a moved agent's past what one node's log does not have is not known, and the rest is`()
    async throws
  {
    var truths: [Truth] = []
    let logs = try run("taker", along: ["y", "z"], seed: 7, crashes: false) {
      if let truth = try truth($0, on: $1) { truths.append(truth) }
    }
    #expect(truths.map(\.node) == ["x", "y", "z"])
    let pruned = GappedReader(
      logs[1], lost: Position.start.next...Position(rawValue: 3), pruned: true)
    for (others, node, why) in [
      ([logs[1]], "x", "its log is not here"), ([logs[0]], "y", "its log is not here"),
      ([logs[0], pruned], "y", "the log was pruned through"),
    ] as [([any LogReader], NodeID, String)] {
      let steps = try await steps(logs[2], others)
      for truth in truths {
        let step = try #require(steps.last { $0.place.map { $0.time <= truth.time } ?? true })
        if truth.node == node {
          let problem = step.unknown?.problem ?? ""
          #expect(problem.contains("while it was on node '\(node)'") && problem.contains(why))
          #expect(throws: HyphaError.self) { try step.state() }
        } else {
          #expect(try step.unknown == nil && step.state() == truth.state, "\(truth.node)")
        }
      }
    }
  }

  @Test func `what a node counts as published has no records of handlers`() throws {
    var published: [NodeID: UInt64] = [:]
    let logs = try run("taker", along: [], seed: 9, crashes: false) { deployment, _ in
      for node in Self.nodes {
        published[node] = try #require(deployment.node(node)).status().channels["persistent"]?.publishedCount
      }
    }
    for log in logs {
      let own = try log.read(after: .start, limit: .max, byteLimit: .max).filter {
        $0.source == .stated && $0.record.channel == .persistent
      }
      let ofAgents = own.filter { !$0.record.type.text.hasPrefix("hypha.") }
      #expect(published[log.identity.node] == UInt64(ofAgents.count), "\(log.identity.node)")
      #expect(ofAgents.count < own.count)
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

  /// A log without what a prune takes of it: what a restart needs stays.
  private func prune(_ log: any LogReader, through last: Position) throws -> GappedReader {
    GappedReader(
      log, lost: Position.start.next...last, but: try RestartNeeds.positions(in: log), pruned: true)
  }

  /// Logs of an agent that was moved, one of which was pruned somewhere.
  private func eachPruned(
    _ agent: AgentID,
    _ body: (_ seed: UInt64, _ logs: [any LogReader], _ pruned: Int, _ gap: Position) async throws -> Void
  ) async throws {
    for seed in seeds(6) {
      let way: [NodeID] = seed.isMultiple(of: 2) ? ["z", "x", "z"] : ["y", "x", "z"]
      let logs = try run(
        agent, along: way, as: Errander<OftenRules>.self, seed: seed, crashes: seed % 3 == 0)
      var random = SeededGenerator(seed: seed, name: "order")
      for index in logs.indices {
        let entries = try logs[index].read(after: .start, limit: .max, byteLimit: .max)
        for _ in 0..<3 {
          guard let gap = entries.randomElement(using: &random)?.position else { continue }
          try await body(seed, logs, index, gap)
        }
      }
    }
  }

  @Test
  func `where a log was pruned, the states of a moved agent are those that it had, or said to be unknown`()
    async throws
  {
    var (knownCount, unknownCount) = (0, 0)
    try await eachPruned("taker") { seed, logs, index, gap in
      func steps(_ logs: [any LogReader]) async throws -> [StateStep] {
        try await self.steps(logs[2], [logs[0], logs[1]], as: Errander<OftenRules>.self)
      }
      var pruned = logs
      pruned[index] = try prune(logs[index], through: gap)
      let (whole, found) = (try await steps(logs), try await steps(pruned))
      let places = found.compactMap(\.place)
      for (one, next) in zip(places, places.dropFirst()) {
        #expect(one.time <= next.time, "HYPHA_SEED=\(seed), \(gap): \(one) \(next)")
      }
      for place in whole.compactMap(\.place) {
        func last(_ steps: [StateStep]) throws -> StateStep {
          try #require(
            steps.last {
              guard let its = $0.place else { return true }
              return its.node == place.node ? its.position <= place.position : its.time <= place.time
            })
        }
        let (then, now) = (try last(whole), try last(found))
        guard now.unknown == nil else {
          unknownCount += 1
          #expect(place.node == logs[index].identity.node, "HYPHA_SEED=\(seed), \(gap): \(place)")
          continue
        }
        knownCount += 1
        #expect(try now.state() == then.state(), "HYPHA_SEED=\(seed), \(gap): \(place)")
      }
    }
    #expect(knownCount > 1_000 && unknownCount > 100, "\(knownCount) \(unknownCount)")
  }

  @Test(arguments: ["taker", "adder"] as [AgentID])
  func `a re-run of a moved agent in a log that was pruned begins with a checkpoint, and is the same`(
    agent: AgentID
  ) async throws {
    var (callCount, notRunCount) = (0, 0)
    try await eachPruned(agent) { seed, logs, index, gap in
      let log = try prune(logs[index], through: gap)
      let (outcomes, summaries) = try await rerun([log], agent, as: Errander<OftenRules>.self)
      let all = outcomes[log.identity.node] ?? []
      let different = all.filter { !$0.differences.isEmpty }
      #expect(different.isEmpty, "HYPHA_SEED=\(seed), \(gap): \(different.prefix(2).map(\.brief))")
      let summary = try #require(summaries.first)
      for report in summary.agents {
        #expect(
          report.skippedCount == 0 && report.unclaimedCount == 0, "HYPHA_SEED=\(seed), \(gap): \(report)")
      }
      (callCount, notRunCount) = (callCount + all.count, notRunCount + summary.notRun.count)
      for (_, reason) in summary.notRun { #expect(reason.hasPrefix("the log was pruned through \(gap), ")) }
    }
    #expect(callCount > 150 && notRunCount > 0, "\(callCount) \(notRunCount)")
  }
}
