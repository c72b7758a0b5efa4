import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// How much is a text worth? Asks on, where it names an agent: `then b c` asks b, which asks c.
private struct Worth: Question {
  typealias Answer = Valuation
  var text: String
}

private struct Valuation: Codable, Equatable {
  var worth: Int
  var by: [AgentID]
  var remainingMilliseconds: UInt64
}

/// A question that nobody answers.
private struct Riddle: Question {
  typealias Answer = Int
}

/// Asks what its notes say, and answers by their length.
private actor Appraiser: Agent {
  static let handles = Handlers(Appraiser.self)
    .on(Note.self) { try await $0.ask($1, in: $2) }
    .answer(Worth.self) { try await $0.appraise($1, in: $2) }
  static let publishes: [any Event.Type] = [Echo.self]

  /// Of the tests of this suite, one after the other.
  static let scheduler = Mutex<(any Scheduler)?>(nil)

  struct State: Codable, Equatable {
    var results: [String] = []
    var appraised: [String] = []
    var keys: [String] = []
  }
  var state = State()

  /// `AGENT WITHIN_MS TEXT`, and `after MS` before it where the handler is to wait first.
  private func ask(_ note: Note, in context: Context) async throws {
    var words = note.text.split(separator: " ", maxSplits: 2).map(String.init)
    if words[0] == "after" {
      await wait(words[1])
      words = words[2].split(separator: " ", maxSplits: 2).map(String.init)
    }
    do {
      if words[2] == "riddle" {
        _ = try await context.ask(AgentID(words[0]), Riddle())
      } else if words[2] == "cancelled" {
        try await cancel(AgentID(words[0]), in: context)
      } else {
        let answer = try await context.ask(
          AgentID(words[0]), Worth(text: words[2]), within: .milliseconds(Int64(words[1]) ?? 0))
        let by = answer.by.map(\.text).joined(separator: ",")
        state.results.append("\(answer.worth) by \(by)")
      }
    } catch let error as HyphaError {
      state.results.append("\(error.code): \(error.problem)\(error.cause.map { " (\($0))" } ?? "")")
    }
    if words[2] == "fail once", context.attempt == 1 { throw HyphaError(.failed, "after the answer") }
  }

  private func cancel(_ agent: AgentID, in context: Context) async throws {
    let result = await withTaskGroup(of: String.self) { group in
      group.addTask {
        do {
          return "\(try await context.ask(agent, Worth(text: "slow 5000"), within: .seconds(60)).worth)"
        } catch {
          return error is CancellationError ? "cancelled" : "\(error)"
        }
      }
      group.cancelAll()
      return await group.next() ?? ""
    }
    state.results.append(result)
  }

  private func wait(_ milliseconds: String) async {
    let scheduler = Self.scheduler.withLock { $0 }
    await withCheckedContinuation { continuation in
      scheduler?.schedule(after: .milliseconds(Int64(milliseconds) ?? 0)) { continuation.resume() }
    }
  }

  private func appraise(_ question: Worth, in context: Context) async throws -> Valuation {
    state.appraised.append(question.text)
    state.keys.append(context.questionKey ?? "")
    try await context.publish(Echo(of: context.event?.id ?? .none))
    let words = question.text.split(separator: " ", maxSplits: 2).map(String.init)
    switch words[0] {
    case "then":
      var answer = try await context.ask(
        AgentID(words[1]), Worth(text: words.count > 2 ? words[2] : "end"), within: .seconds(600))
      answer.by.append(context.agent)
      return answer
    case "slow", "late":
      await wait(words[1])
      if words[0] == "late" {
        _ = try await context.ask(AgentID(words[2]), Worth(text: "end"), within: .seconds(600))
      }
    case "throw": throw HyphaError(.failed, "worthless")
    default: break
    }
    let remaining = (context.remaining ?? .zero).wholeMicroseconds / 1000
    return Valuation(worth: question.text.utf8.count, by: [context.agent], remainingMilliseconds: remaining)
  }
}

@Suite(.serialized) struct AskTests {
  /// `a`, `b` and `c` are appraisers, on one node or on three; `script` says what each is to ask.
  private func deployment(
    _ script: [AgentID: [String]], far: Bool = false,
    supervision: SupervisionSettings = SupervisionSettings(
      retry: RetryPolicy(initial: .milliseconds(10), jitterPercent: 0, attemptCountMax: 2))
  ) throws -> SimulatedDeployment {
    let nodes: [NodeID] = far ? ["x", "y", "z"] : ["x", "x", "x"]
    var agents = [AgentSpec(id: "root", kind: "supervisor", node: "x")]
    for (agent, node) in zip(["a", "b", "c"] as [AgentID], nodes) {
      agents.append(AgentSpec(id: agent, kind: Appraiser.kind, node: node, reportsTo: "root"))
    }
    for (agent, texts) in script.sorted(by: { $0.key < $1.key }) {
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "writer-\(agent)"), kind: "writer", node: "x", reportsTo: "root",
          settings: .object(["texts": .array(texts.map { .string($0) }), "to": .string(agent.text)])))
    }
    let topology = try Topology(
      name: "asks", nodes: Set(nodes).sorted().map { NodeSpec(id: $0) }, agents: agents,
      supervision: supervision)
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Writer.self, Appraiser.self]), seed: 1)
    Appraiser.scheduler.withLock { $0 = deployment.loop }
    return deployment
  }

  private func state(_ agent: AgentID, _ deployment: SimulatedDeployment, _ node: NodeID = "x") throws
    -> Appraiser.State
  {
    guard let snapshot = try AgentSnapshot.read(of: agent, in: deployment.reader(of: node)) else {
      return Appraiser.State()
    }
    return try JSON.decode(Appraiser.State.self, from: snapshot.state)
  }

  private func run(_ script: [AgentID: [String]], far: Bool = false) throws -> SimulatedDeployment {
    let deployment = try deployment(script, far: far)
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(300)))
    return deployment
  }

  @Test(arguments: [false, true]) func `an answer comes typed, on one node and over links`(far: Bool) throws {
    let deployment = try run(["a": ["b 1000 pen", "c 1000 then b book"]], far: far)
    #expect(try state("a", deployment).results == ["3 by b", "4 by b,c"])
    let node: NodeID = far ? "y" : "x"
    #expect(try state("b", deployment, node).appraised == ["pen", "book"])
    // What the answer has caused is in the log, the question and the answer are not.
    let types = try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
      .map(\.record.header.type)
    #expect(
      types.contains(Echo.eventType) && !types.contains(Asked.eventType)
        && !types.contains(Answered.eventType))
    try deployment.stop()
  }

  @Test func `an agent that does not answer in time is not waited for, and its late answer is nobody's`()
    throws
  {
    let deployment = try run(["a": ["b 200 slow 900", "b 5000 pen"]])
    #expect(
      try state("a", deployment).results == [
        "askExpired: agent 'a' has waited 0.2 seconds for 'b' to answer Worth", "3 by b",
      ])
    try deployment.stop()
  }

  @Test func `who asks on has what is left of the first question's time`() throws {
    let deployment = try run(["a": ["b 300 then c slow 2000"]])
    let began = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
    #expect(
      try state("a", deployment).results == [
        "askExpired: agent 'a' has waited 0.3 seconds for 'b' to answer Worth"
      ])
    // b's own question ended with a's, although it would have waited for 10 min.
    let failure = try #require(
      try began.first { $0.record.header.type == HandlerFailed.eventType }.map {
        try HandlerFailed.decode($0.record)
      })
    let words = try #require(
      failure.error.wholeMatch(
        of: /askExpired: agent 'b' has waited (0\.[0-9]+) seconds for 'c' to answer Worth, (.*)/),
      "\(failure)")
    #expect(failure.agent == "b" && Double(words.1).map { (0.29...0.3).contains($0) } ?? false)
    #expect(
      words.2
        == "all that the question that it answers itself has left of 600.0 seconds; give the first question longer, "
        + "or see with 'hypha agents explain' what 'c' is at")
    try deployment.stop()
  }

  @Test func `who asks on too late is told by how much, and names what it would have asked`() throws {
    let deployment = try run(["a": ["b 300 late 400 c"]])
    let failure = try #require(
      try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
        .first { $0.record.header.type == HandlerFailed.eventType }
        .map { try HandlerFailed.decode($0.record) })
    let words = try #require(
      failure.error.wholeMatch(
        of: /askExpired: agent 'b' asks 'c' Worth within 600.0 seconds, (0\.[0-9]+) seconds after (.*)/),
      "\(failure)")
    #expect(Double(words.1).map { (0.09...0.11).contains($0) } ?? false, "\(failure)")
    #expect(
      words.2 == "the time of the question that it answers itself was over; give the first question longer")
    try deployment.stop()
  }

  @Test func `a circle of questions is refused at once, by name`() throws {
    let deployment = try deployment(["a": ["b 60000 then c then a"]])
    try deployment.start()
    deployment.run(for: .seconds(1))
    let results = try state("a", deployment).results
    #expect(results.count == 1)
    #expect(results[0].hasPrefix("askFailed: agent 'b' could not answer"))
    #expect(
      results[0].contains("the agents 'a' → 'b' → 'c' → 'a' would wait for each other's answers"),
      "\(results)")
    try deployment.stop()
  }

  @Test func `agents that ask each other in two conversations do not wait for each other`() throws {
    let deployment = try deployment(["a": ["after 10 b 60000 pen"], "b": ["after 10 a 60000 pen"]])
    try deployment.start()
    deployment.run(for: .seconds(1))
    let results = try state("a", deployment).results + state("b", deployment).results
    #expect(results.count == 2)
    // One is refused, and the other gets its answer.
    #expect(results.contains { $0.hasPrefix("askCycle: the agents") }, "\(results)")
    #expect(results.contains { $0.hasPrefix("3 by ") }, "\(results)")
    try deployment.stop()
  }

  @Test func `an answer leaves only when its effects are committed`() throws {
    let deployment = try deployment(["a": []], far: true)
    try deployment.start()
    deployment.run(for: .milliseconds(100))
    // The log of the other node has no room for what answering does.
    deployment.stores["y"]?.setFull(true)
    try deployment.publish(Note(text: "b 2000 pen", author: "test"), from: "writer-a", to: "a")
    deployment.run(for: .milliseconds(1500))
    #expect(try state("a", deployment).results.isEmpty)
    deployment.run(for: .seconds(2))
    #expect(
      try state("a", deployment).results == [
        "askExpired: agent 'a' has waited 2.0 seconds for 'b' to answer Worth"
      ])
    deployment.stores["y"]?.setFull(false)
    #expect(deployment.runToEnd(limit: .seconds(100)))
    #expect(try state("b", deployment, "y").appraised == ["pen"], "it was asked, and has done its part")
    try deployment.stop()
  }

  @Test func `what the other throws comes back as an error, and its effects are discarded`() throws {
    let deployment = try run(["a": ["b 1000 throw"]])
    #expect(
      try state("a", deployment).results == ["askFailed: agent 'b' could not answer (failed: worthless)"])
    #expect(try state("b", deployment).appraised.isEmpty)
    try deployment.stop()
  }

  @Test func `misuse says what to do`() throws {
    let deployment = try run(["a": ["nobody 10 pen", "b 10 riddle", "root 10 pen", "a 10 pen", "b 0 pen"]])
    #expect(
      try state("a", deployment).results == [
        "undeclared: agent 'a' asks 'nobody' Worth, which does not exist",
        "undeclared: agent 'a' asks 'b' Riddle, whose kind 'appraiser' does not answer that",
        "undeclared: agent 'a' asks 'root' Worth, whose kind 'supervisor' does not answer that",
        "askCycle: the agents 'a' → 'a' would wait for each other's answers",
        "usage: agent 'a' asks 'b' Worth within 0.0 seconds",
      ])
    try deployment.stop()
  }

  @Test func `a cancelled question is not waited for`() throws {
    let deployment = try deployment(["a": ["b 1000 cancelled"]])
    try deployment.start()
    deployment.run(for: .milliseconds(500))
    #expect(try state("a", deployment).results == ["cancelled"])
    deployment.run(for: .seconds(10))
    try deployment.stop()
  }

  @Test func `who asks anew gives the same key`() throws {
    let deployment = try run(["a": ["b 1000 fail once"]])
    #expect(try state("a", deployment).results == ["9 by b"], "the first try has left nothing")
    let keys = try state("b", deployment).keys
    #expect(keys.count == 2 && Set(keys).count == 1 && keys[0].hasSuffix("/1"), "\(keys)")
    try deployment.stop()
  }

  @Test
  func `a node that stops lets go of those who wait, and their inputs are handled after the next start`()
    throws
  {
    let deployment = try deployment(["a": ["b 60000 slow 5000"]])
    try deployment.start()
    deployment.run(for: .milliseconds(500))
    #expect(try state("a", deployment).results.isEmpty)
    try deployment.stop()
    let cursor = try deployment.reader(of: "x").cursor(CursorKey(agent: "a", channel: .persistent))
    #expect(cursor?.handledCount ?? 0 == 0, "the note waits")
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(100)))
    #expect(try state("a", deployment).results == ["9 by b"])
    let types = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max).map(
      \.record.header.type)
    #expect(!types.contains(HandlerFailed.eventType), "that a node stops is no failure")
    try deployment.stop()
  }

  @Test func `over a bad network each question has its answer or an error, in time`() throws {
    let texts = (0..<40).map { "b 300 text \($0)" }
    for seed in seeds(5) {
      let topology = try Topology(
        name: "asks", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
        agents: [
          AgentSpec(id: "root", kind: "supervisor", node: "x"),
          AgentSpec(id: "a", kind: Appraiser.kind, node: "x", reportsTo: "root"),
          AgentSpec(id: "b", kind: Appraiser.kind, node: "y", reportsTo: "root"),
          AgentSpec(
            id: "writer", kind: "writer", node: "x", reportsTo: "root",
            settings: .object(["texts": .array(texts.map { .string($0) }), "to": .string("a")])),
        ])
      let deployment = SimulatedDeployment(
        topology, kinds: try KindRegistry(BuiltInKinds.all + [Writer.self, Appraiser.self]), seed: seed,
        faults: .init(loss: 0.2, duplication: 0.2, delay: .microseconds(50)...(.milliseconds(20))))
      try deployment.start()
      #expect(deployment.runToEnd(limit: .seconds(300)), "HYPHA_SEED=\(seed)")
      let results = try state("a", deployment).results
      #expect(results.count == 40, "HYPHA_SEED=\(seed)")
      for (number, result) in results.enumerated() {
        let worth = "text \(number)".utf8.count
        #expect(
          result == "\(worth) by b" || result.hasPrefix("askExpired: "), "HYPHA_SEED=\(seed): \(result)")
      }
      #expect(results.contains { $0.hasSuffix("by b") } && results.contains { $0.hasPrefix("askExpired") })
      try deployment.stop()
    }
  }
}
