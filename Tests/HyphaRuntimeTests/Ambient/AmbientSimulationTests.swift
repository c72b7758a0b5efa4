import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// What is promised of ambient questions, in whole deployments, seed after seed.
@Suite struct AmbientSimulationTests {
  private static let nodes: [NodeID] = ["x", "y", "z"]

  private func topology(hasStandby: Bool = false) throws -> Topology {
    var policy = ObserverPolicy()
    policy.node = "x"
    if hasStandby { (policy.standby, policy.standbyAfter) = ("z", .seconds(3)) }
    return try Topology(
      name: "oracles", nodes: Self.nodes.map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "oracle", kind: Oracle.kind, node: "y", reportsTo: "root"),
        AgentSpec(id: "ana", kind: Curious.kind, node: "y", reportsTo: "root"),
        AgentSpec(id: "bo", kind: Curious.kind, node: "z", reportsTo: "root"),
        AgentSpec(id: "cy", kind: Curious.kind, node: "z", reportsTo: "root"),
      ], membership: MembershipSettings(suspicion: .fixed(after: .seconds(1)), downAfter: .seconds(2)),
      observer: policy)
  }

  private static var kinds: KindRegistry {
    get throws { try KindRegistry(BuiltInKinds.all + [Oracle.self, Curious.self]) }
  }

  private func deployment(_ seed: UInt64, hasStandby: Bool = false, loss: Double = 0) throws
    -> SimulatedDeployment
  {
    var faults = MemoryNetwork.Faults.none
    faults.loss = loss
    return SimulatedDeployment(
      try topology(hasStandby: hasStandby), kinds: try Self.kinds, seed: seed, faults: faults,
      commitDelay: .milliseconds(1)...(.milliseconds(4)))
  }

  private func entries(_ deployment: SimulatedDeployment, _ node: NodeID) throws -> [LogEntry] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
  }

  private func stated<E: Event>(_ type: E.Type, _ deployment: SimulatedDeployment) throws -> [(
    event: E, record: Record
  )] {
    try Self.nodes.flatMap { node in
      try entries(deployment, node).filter { $0.source == .stated && $0.record.type == E.eventType }
        .map { (try E.decode($0.record), $0.record) }
    }
  }

  private struct Findings {
    var violations: [String] = []
    var heardCount = 0
    var staleCount = 0
    var localCount = 0
  }

  /// Compares what was heard with what was so, by the logs alone.
  ///
  /// - Parameter slack: how much longer ago it may have been so: where clocks differ, what a copy was on its way.
  private func check(
    _ deployment: SimulatedDeployment, clock: (NodeID) -> Duration = { _ in .zero }, slack: Duration = .zero
  )
    throws -> Findings
  {
    var findings = Findings()
    /// When a topic got a state, by the loop's clock.
    var turned: [Turned: Timestamp] = [:]
    for node in Self.nodes {
      for entry in try entries(deployment, node) where entry.source == .stated {
        guard entry.record.type == Turned.eventType else { continue }
        let time = Timestamp(microseconds: entry.record.time.microseconds - clock(node).wholeMicroseconds)
        turned[try Turned.decode(entry.record)] = time
      }
    }
    for (heard, record) in try stated(Heard.self, deployment) {
      guard let value = heard.value, heard.topic != 3 else { continue }
      findings.heardCount += 1
      if value > 0, turned[Turned(topic: heard.topic, value: value)] == nil {
        findings.violations.append("ask-within-staleness: \(heard) was never so")
      }
      guard let over = turned[Turned(topic: heard.topic, value: value + 1)] else { continue }
      let began = Timestamp(rawValue: heard.began)
      let age = began.since(over)
      if age > .zero { findings.staleCount += 1 }
      let bound =
        Duration.milliseconds(heard.maxAgeMilliseconds ?? 0)
        + (heard.maxAgeMilliseconds == nil ? .zero : slack)
      if age > bound {
        findings.violations.append("ask-within-staleness: \(record.agent) \(heard) was so \(age) before")
      }
    }
    var versions: [UInt32: QuestionsChanged] = [:]
    for node in Self.nodes {
      for entry in try entries(deployment, node) where entry.record.type == QuestionsChanged.eventType {
        let event = try QuestionsChanged.decode(entry.record)
        if let known = versions.updateValue(event, forKey: event.version), known != event {
          findings.violations.append("questions-agree: version \(event.version) is two")
        }
      }
    }
    for (answer, record) in try stated(AnswerShared.self, deployment) {
      if answer.type != WhatIs.questionType || answer.question == .object(["topic": .integer(3)]) {
        findings.violations.append("copies-declared: \(record.id) should not be there")
      }
      if record.addressee == NodeID("x").author {
        findings.violations.append("copies-declared: \(record.id) goes to x, where nobody asks")
      }
    }
    findings.localCount = try stated(QuestionsReported.self, deployment).reduce(0) {
      $0 + $1.event.questions.reduce(0) { $0 + $1.local }
    }
    return findings
  }

  private func views(_ deployment: SimulatedDeployment) -> [AmbientView?] {
    Self.nodes.map { deployment.node($0)?.desks.ambient.view }
  }

  @Test func `a question that repeats becomes ambient, and is answered without a message within its bound`()
    throws
  {
    let deployment = try deployment(1)
    try deployment.start()
    deployment.run(for: .seconds(30))
    let findings = try check(deployment)
    #expect(findings.violations.isEmpty, "\(findings.violations.prefix(3))")
    let all = views(deployment)
    let promoted = try #require(all[0]).promoted
    let topics = promoted.map(\.sample)
    #expect(topics.contains("{\"topic\":0}") && topics.contains("{\"topic\":1}"), "\(promoted)")
    #expect(!topics.contains("{\"topic\":2}") && !topics.contains("{\"topic\":3}"), "\(promoted)")
    #expect(all.allSatisfy { $0 == all[0] })
    // Both nodes whose agents ask are given what either has asked for.
    #expect(promoted.contains { $0.audience == ["y", "z"] }, "\(promoted)")
    let constant = try stated(AnswerShared.self, deployment).map(\.event).filter {
      $0.question == .object(["topic": .integer(0)])
    }
    // An answer that stays the same goes to several for no other reason.
    let copies = Dictionary(grouping: constant, by: \.version).values.map(\.count)
    #expect(copies.count { $0 == 2 } > 20 && copies.allSatisfy { $0 <= 2 }, "\(copies)")
    #expect(
      findings.localCount > 100 && findings.heardCount > 500 && findings.staleCount > 0, "\(findings)")
    // Whoever reads a log knows what is ambient, and has the copies.
    for node in Self.nodes {
      let reading = try TopologyReading(deployment.reader(of: node), of: topology())
      #expect(reading.questions == all[0])
    }
    #expect(try !AnswerReading.newest(in: deployment.reader(of: "z")).isEmpty)
    // What a copy was given for is on record.
    let observed = try stated(Observed.self, deployment).filter {
      $0.record.agent == "bo" && String(decoding: $0.record.payload, as: UTF8.self).contains("\"copy\":{")
    }
    #expect(observed.count > 20)
    try deployment.stop()
  }

  @Test func `a restart knows what is ambient, and asks before it has copies`() throws {
    let deployment = try deployment(2)
    try deployment.start()
    deployment.run(for: .seconds(20))
    let before = try #require(deployment.node("z")?.desks.ambient.view)
    #expect(!before.promoted.isEmpty)
    for node in Self.nodes { deployment.kill(node) }
    try deployment.start()
    for node in Self.nodes { #expect(deployment.node(node)?.desks.ambient.view.promoted == before.promoted) }
    deployment.run(for: .seconds(10))
    let findings = try check(deployment)
    #expect(findings.violations.isEmpty, "\(findings.violations.prefix(3))")
    try deployment.stop()
  }

  @Test func `an operator takes a question back everywhere, and no copy of it is given then`() throws {
    let deployment = try deployment(3)
    try deployment.start()
    deployment.run(for: .seconds(20))
    let promoted = try #require(deployment.node("x")?.desks.ambient.view).promoted
    for question in promoted {
      _ = try deployment.node("z")?.ask(.forbid(question.key), by: "operator", note: "a test")
    }
    deployment.run(for: .seconds(5))
    let statedBefore = try stated(AnswerShared.self, deployment).count
    #expect(views(deployment).allSatisfy { $0?.promoted == [] && $0?.forbidden.count == promoted.count })
    let localBefore = try check(deployment).localCount
    deployment.run(for: .seconds(10))
    #expect(try stated(AnswerShared.self, deployment).count == statedBefore)
    #expect(try check(deployment).localCount == localBefore)
    try deployment.stop()
  }

  @Test func `answers are within their bound and all agree, under loss, crashes and partitions`() async throws
  {
    var (local, stale) = (0, 0)
    for seed in seeds(8) {
      let deployment = try deployment(seed, hasStandby: seed % 2 == 0, loss: Double(seed % 3) * 0.05)
      var random = SeededGenerator(seed: seed, name: "ambient")
      try deployment.start()
      deployment.run(for: .seconds(6))
      for _ in 0..<6 {
        let node = Self.nodes[Int(random.next() % 3)]
        let other = Self.nodes[Int(random.next() % 3)]
        if random.next() % 2 == 0 {
          deployment.kill(node)
          deployment.run(for: .milliseconds(Int64(random.next() % 8_000)))
          _ = try deployment.begin(node)
        } else if node != other {
          deployment.network.setCut(true, between: node, and: other)
          deployment.run(for: .milliseconds(Int64(random.next() % 8_000)))
          deployment.network.setCut(false, between: node, and: other)
        }
        deployment.run(for: .milliseconds(Int64(random.next() % 4_000)))
      }
      deployment.run(for: .seconds(20))
      let findings = try check(deployment)
      #expect(findings.violations.isEmpty, "HYPHA_SEED=\(seed): \(findings.violations.prefix(3))")
      let all = views(deployment)
      #expect(all.allSatisfy { $0 == all[0] }, "HYPHA_SEED=\(seed): questions-agree: \(all)")
      (local, stale) = (local + findings.localCount, stale + findings.staleCount)
      try deployment.stop()
      try await checkRerun(deployment, seed)
    }
    #expect(seeds(8).count < 8 || local > 500 && stale > 20, "\(local), \(stale)")
  }

  @Test func `answers are within their bound while their answerer moves`() throws {
    for seed in seeds(2) {
      let deployment = try deployment(seed)
      try deployment.start()
      deployment.run(for: .seconds(8))
      for node in ["z", "x", "y"] as [NodeID] {
        _ = try deployment.node("x")?.move("oracle", to: node, by: "ana", note: "a test")
        deployment.run(for: .seconds(8))
      }
      let findings = try check(deployment)
      #expect(findings.violations.isEmpty, "HYPHA_SEED=\(seed): \(findings.violations.prefix(3))")
      #expect(findings.localCount > 50, "HYPHA_SEED=\(seed): \(findings.localCount)")
      let homes = Set(try stated(AnswerShared.self, deployment).map(\.record.agent))
      #expect(homes.count >= 3, "HYPHA_SEED=\(seed): \(homes)")
      try deployment.stop()
    }
  }

  @Test func `a clock ahead makes no answer older than its bound and its way`() throws {
    for seed in seeds(2) {
      let deployment = try deployment(seed)
      deployment.skews = ["y": .seconds(3)]
      try deployment.start()
      deployment.run(for: .seconds(40))
      // Those on y have its clock.
      let findings = try check(
        deployment, clock: { $0 == "y" ? .seconds(3) : .zero }, slack: .milliseconds(500))
      let violations = findings.violations.filter { !$0.contains("ana") }
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(3))")
      #expect(findings.localCount > 50)
      try deployment.stop()
    }
  }

  /// Runs the agents again on what their logs have.
  private func checkRerun(_ deployment: SimulatedDeployment, _ seed: UInt64) async throws {
    for node in Self.nodes {
      var differences: [String] = []
      let log = try deployment.reader(of: node)
      _ = try await Rerun(try topology(hasStandby: seed % 2 == 0), kinds: try Self.kinds, log: log).run {
        outcome in
        if !outcome.differences.isEmpty { differences.append("\(outcome.brief)") }
        return true
      }
      #expect(differences.isEmpty, "HYPHA_SEED=\(seed) \(node): \(differences.prefix(3))")
    }
  }
}
