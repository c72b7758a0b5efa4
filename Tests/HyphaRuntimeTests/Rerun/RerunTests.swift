import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// What is recorded of handlers, and what comes of running them again.
@Suite struct RerunTests {
  private let topology: Topology

  init() throws {
    topology = try ErrandRuns.topology()
  }

  private func kinds(_ taker: any Agent.Type = Errander<FirstRules>.self) throws -> KindRegistry {
    try ErrandRuns.kinds(taker)
  }

  private static let errands = [
    "time", "chance", "ask", "ask badly", "timer", "alert", "glimpse", "wake", "uncaused", "fail once",
    "hopeless",
    "many", "plain", "ask itself", "ask itself a riddle", "ask nobody in no time",
  ]

  /// Runs errands, with crashes between some of them, and returns the log that they have left.
  private func run(_ errands: [String], seed: UInt64 = 1, crashes: Bool = false) throws -> any LogReader {
    let deployment = SimulatedDeployment(topology, kinds: try kinds(), seed: seed)
    try deployment.start()
    var random = SeededGenerator(seed: seed, name: "errands")
    for (index, errand) in errands.enumerated() {
      try deployment.publish(Errand(what: errand), from: "seer", to: "taker")
      switch random.next() % 4 {
      case 0: try deployment.publish(Glimpse(value: index), from: "seer", to: "taker")
      case 1: try deployment.publish(Shout(number: index), from: "seer", to: "taker")
      case 2: _ = try deployment.ask("taker", Tell(what: "\(index)"), from: "seer", within: .seconds(5))
      default: break
      }
      if random.next() % 2 == 0 { deployment.run(for: .microseconds(Int64(random.next() % 3000))) }
      if crashes, random.next() % 5 == 0 {
        deployment.kill("x")
        try deployment.start("x")
      }
    }
    deployment.run(for: .seconds(2))
    try deployment.stop()
    return try deployment.reader(of: "x")
  }

  private func rerun(_ log: any LogReader, as taker: any Agent.Type = Errander<FirstRules>.self) async throws
    -> (outcomes: [RerunOutcome], summary: RerunSummary)
  {
    var outcomes: [RerunOutcome] = []
    let summary = try await Rerun(topology, kinds: kinds(taker), log: log).run { outcome in
      outcomes.append(outcome)
      return true
    }
    return (outcomes, summary)
  }

  private func observed(_ log: any LogReader) throws -> [ObservedCall] {
    try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      .filter { $0.agent == "taker" && $0.type == Observed.eventType }.flatMap {
        try Observed.decode($0).calls
      }
  }

  // MARK: The record

  @Test(arguments: Self.errands) func `what a handler takes is recorded, and nothing else is`(errand: String)
    throws
  {
    let calls = try observed(try run([errand], seed: 3)).filter { $0.kind == .event && $0.attempt == nil }
    // The seed draws nothing beside the errand.
    guard let call = calls.first else {
      #expect(["glimpse", "wake", "many", "plain"].contains(errand), "nothing is recorded of \(errand)")
      return
    }
    #expect(calls.count == 1 && call.after == nil && call.at != nil)
    #expect((call.now != nil) == ["time", "fail once"].contains(errand))
    #expect(call.random?.count == (errand == "chance" ? 2 : errand == "hopeless" ? 1 : nil))
    #expect(call.answers?.count == (errand.hasPrefix("ask") ? 1 : nil))
    #expect(call.timers?.map(\.after) == (errand == "timer" ? [40_000] : nil))
    #expect((call.threw != nil) == ["fail once", "hopeless"].contains(errand))
    #expect(
      call.outputs?.count == (call.threw != nil ? nil : ["alert", "uncaused"].contains(errand) ? 2 : 1))
  }

  @Test func `a start that does nothing and an input that takes nothing cost no record`() throws {
    let deployment = SimulatedDeployment(topology, kinds: try kinds(), seed: 1)
    try deployment.start()
    for _ in 0..<20 { try deployment.publish(DoneAlert(what: ""), from: "taker", to: nil) }
    deployment.run(for: .seconds(1))
    try deployment.stop()
    deployment.kill("x")
    try deployment.start("x")
    try deployment.stop()
    let records = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max).map(
      \.record)
    #expect(!records.contains { $0.agent == "teller" && $0.type == Observed.eventType })
  }

  @Test func `a call that takes more than can be recorded says so`() throws {
    var taken = Taken()
    for _ in 0..<Taken.countMax where taken.hasRoom() { taken.random.append(0) }
    #expect(!taken.isCut && taken.random.count == Taken.countMax)
    let hasRoom = taken.hasRoom()
    #expect(!hasRoom && taken.isCut)
  }

  // MARK: Again

  @Test func `whatever handlers take, they do the same again`() async throws {
    for seed in seeds(60) {
      var random = SeededGenerator(seed: seed, name: "order")
      let errands = (Self.errands + Self.errands).shuffled(using: &random)
      let log = try run(errands, seed: seed, crashes: seed.isMultiple(of: 2))
      let (outcomes, summary) = try await rerun(log)
      let different = outcomes.filter { !$0.differences.isEmpty }
      #expect(different.isEmpty, "HYPHA_SEED=\(seed): \(different.prefix(2).map(\.brief))")
      #expect(summary.agents.allSatisfy { $0.skippedCount == 0 }, "HYPHA_SEED=\(seed)")
      let taker = try #require(summary.agents.first { $0.agent == "taker" })
      #expect(
        taker.unclaimedCount == 0 && taker.recordedCount > errands.count, "HYPHA_SEED=\(seed): \(taker)")
    }
  }

  @Test(arguments: ["ask itself", "ask itself a riddle", "ask nobody in no time"])
  func `a question that is refused before it leaves is refused for the same reason again`(errand: String)
    async throws
  {
    let (outcomes, summary) = try await rerun(run([errand], seed: 3), as: Errander<FirstRules>.self)
    #expect(summary.differenceCount == 0, "\(outcomes.map(\.brief))")
    let told = try outcomes.flatMap(\.stated).filter { $0.agent == "taker" && $0.type == Done.eventType }
      .map { try Done.decode($0).what }
    let reason = errand == "ask nobody in no time" ? "usage: " : "askCycle: the agents 'taker' → 'taker' "
    #expect(told.contains { $0.hasPrefix("did \(errand) ") && $0.contains(reason) }, "\(told)")
  }

  @Test func `a timer that was set before what was pruned fires again`() async throws {
    let topology = try Topology(
      name: "bells", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "seer", kind: Seer.kind, node: "x", reportsTo: "root"),
        AgentSpec(id: "chimer", kind: Chimer.kind, node: "x", reportsTo: "root"),
      ])
    let kinds = try KindRegistry(BuiltInKinds.all + [Seer.self, Chimer.self])
    let deployment = SimulatedDeployment(topology, kinds: kinds, seed: 1)
    try deployment.start()
    for what in ["one", "two"] { try deployment.publish(Errand(what: what), from: "seer", to: "chimer") }
    deployment.run(for: .seconds(1))
    let pruned = try deployment.reader(of: "x").head()
    try deployment.publish(Errand(what: "three"), from: "seer", to: "chimer")
    deployment.run(for: .seconds(5))
    try deployment.stop()
    let log = GappedReader(try deployment.reader(of: "x"), lost: Position.start.next...pruned, pruned: true)
    var outcomes: [RerunOutcome] = []
    let summary = try await Rerun(topology, kinds: kinds, log: log, agents: ["chimer"]).run {
      outcomes.append($0)
      return true
    }
    #expect(summary.notRun.isEmpty && summary.differenceCount == 0, "\(outcomes.map(\.brief))")
    let fired = outcomes.filter { $0.call == .timer }.flatMap(\.stated)
    #expect(try fired.map { try Later.decode($0).what } == ["one", "two", "three"])
    #expect(
      try outcomes.flatMap(\.stated).filter { $0.type == Done.eventType }.map { try Done.decode($0).what }
        == ["one", "two", "three"])
  }

  @Test func `what an actor kept beside its state is gone again where its node started again`() async throws {
    let topology = try Topology(
      name: "counts", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "seer", kind: Seer.kind, node: "x", reportsTo: "root"),
        AgentSpec(id: "tallier", kind: Tallier.kind, node: "x", reportsTo: "root"),
      ])
    let kinds = try KindRegistry(BuiltInKinds.all + [Seer.self, Tallier.self])
    let deployment = SimulatedDeployment(topology, kinds: kinds, seed: 1)
    try deployment.start()
    for _ in 0..<3 { try deployment.publish(Errand(what: "silent"), from: "seer", to: "tallier") }
    deployment.run(for: .seconds(1))
    deployment.kill("x")
    try deployment.start("x")
    try deployment.publish(Errand(what: "speak"), from: "seer", to: "tallier")
    deployment.run(for: .seconds(1))
    try deployment.stop()
    var outcomes: [RerunOutcome] = []
    _ = try await Rerun(topology, kinds: kinds, log: deployment.reader(of: "x"), agents: ["tallier"]).run {
      outcomes.append($0)
      return true
    }
    #expect(outcomes.map(\.call) == [.start, .event, .event, .event, .start, .event])
    #expect(try outcomes.flatMap(\.stated).map { try Done.decode($0).what } == ["memory 1"])
    #expect(outcomes.allSatisfy { $0.differences.isEmpty }, "\(outcomes.map(\.brief))")
  }

  @Test func `one changed line shows which outcomes change, the first one first`() async throws {
    let log = try run(["time", "chance", "many", "plain"], seed: 3)
    let (outcomes, summary) = try await rerun(log, as: Errander<PoliteRules>.self)
    let different = outcomes.filter { !$0.differences.isEmpty }
    // All that greet do, and nothing else.
    let greeting = try outcomes.filter { outcome in
      try outcome.recorded.contains {
        try $0.type == Done.eventType && Done.decode($0).what.hasPrefix("did ")
      }
    }
    #expect(greeting.count >= 4 && different.map(\.position) == greeting.map(\.position))
    #expect(summary.differenceCount == different.count)
    let first = try #require(different.first)
    #expect(first.agent == "taker" && first.input?.type == Errand.eventType && first.position != nil)
    guard case .changed(let recorded, let stated, let parts) = first.differences[0] else {
      Issue.record("\(first.brief)")
      return
    }
    #expect(parts == [.payload] && recorded.id == stated.id && recorded.causation == first.input?.id)
    #expect(try Done.decode(recorded).what.hasPrefix("did time 1 1 1 "))
    #expect(try Done.decode(stated).what.hasPrefix("have done time 1 1 1 "))
  }

  @Test func `a changed timer, and one that is not set any more, are found`() async throws {
    let log = try run(["timer"], seed: 3)
    let (outcomes, _) = try await rerun(log, as: Errander<PatientRules>.self)
    let differences = outcomes.flatMap(\.differences)
    guard case .timers(let recorded, let now)? = differences.first else {
      Issue.record("\(outcomes.map(\.brief))")
      return
    }
    #expect(recorded == [40_000] && now == [41_000] && differences.count == 1)
  }

  @Test func `the agents that are asked for are run again, and no others`() async throws {
    let log = try run(Self.errands, seed: 5)
    var agents: Set<AgentID> = []
    let summary = try await Rerun(topology, kinds: kinds(), log: log, agents: ["seer", "teller"]).run {
      outcome in
      agents.insert(outcome.agent)
      return true
    }
    #expect(summary.agents.map(\.agent) == ["teller", "seer"] && !agents.contains("taker"))
  }

  @Test func `a log of a node that the topology does not have is refused`() throws {
    let (log, _) = try memoryLog("elsewhere")
    #expect {
      _ = try Rerun(topology, kinds: kinds(), log: log)
    } throws: { error in
      "\(error)" == "invalidTopology: the topology 'errands' has no node 'elsewhere', whose log this is; "
        + "give the topology file that the log was written under"
    }
  }
}
