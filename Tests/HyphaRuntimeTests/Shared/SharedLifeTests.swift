import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// What a treasury shares.
private struct Price: SharedValue {
  static let eventType: EventTypeName = "test.Price"
  static let freshFor: Duration? = .seconds(30)
  var article: String
  var price: Int
  var padding = ""

  var subject: Subject { Self.about(article) }
  static func about(_ article: String) -> Subject { Subject(slug: "price.\(article)") }
}

/// Another, which no clerk reads.
private struct Stock: SharedValue {
  static let eventType: EventTypeName = "test.Stock"
  var count: Int
}

/// What no log would have.
private struct Mood: SharedValue {
  static let channel = Channel.realtime
  var isGood: Bool
}

/// Lets a clerk read.
private struct Look: Event {
  static let eventType: EventTypeName = "test.Look"
  var what: String
  /// In milliseconds.
  var bound: Int?
}

/// What a clerk has read.
private struct Looked: Event, Equatable {
  static let eventType: EventTypeName = "test.Looked"
  var text: String
  var version: String?
  var statedAt: Timestamp?
  var ageMicroseconds: UInt64?
  var now: Timestamp
}

private protocol ClerkRules: Sendable {
  static var article: String { get }
}
private enum Bread: ClerkRules { static let article = "bread" }
private enum Wine: ClerkRules { static let article = "wine" }

private actor Treasury: Agent {
  static let kind = "test-treasury"
  static let publishes: [any Event.Type] = [Price.self, Stock.self]
}

private actor Clerk<Rules: ClerkRules>: Agent {
  static var kind: String { "test-clerk" }
  static var handles: Handlers<Clerk> { Handlers(Clerk.self).on(Look.self) { try await $0.look($1, in: $2) } }
  static var reads: [any SharedValue.Type] { [Price.self] }
  static var publishes: [any Event.Type] { [Looked.self, Price.self] }

  private var kept: Context?

  private func look(_ look: Look, in context: Context) async throws {
    let bound = look.bound.map { Duration.milliseconds($0) }
    var looked = Looked(text: "nothing", now: context.now)
    switch look.what {
    case "all":
      let all = try context.shared(Price.self, notOlderThan: bound)
      looked.text = all.map { "\($0.author) \($0.value.article) \($0.value.price)" }.joined(separator: ", ")
    case "stock":
      do { _ = try context.shared(Stock.self, by: "treasury") } catch { looked.text = "\(error)" }
    case "late":
      do { _ = try kept?.shared(Price.self, by: "treasury") } catch { looked.text = "\(error)" }
      kept = context
    case "own":
      try await context.publish(Price(article: "bread", price: 99))
      looked.text = "\(try context.shared(Price.self, by: context.agent) == nil)"
    case let what:
      let about = what == "any" ? nil : Price.about(what == "bread" ? Rules.article : what)
      do {
        if let found = try context.shared(Price.self, by: "treasury", about: about, notOlderThan: bound) {
          looked.text = "\(found.value.article) \(found.value.price)"
          looked.version = found.version.description
          (looked.statedAt, looked.ageMicroseconds) = (found.statedAt, found.age.wholeMicroseconds)
        }
      } catch { looked.text = "\(error)" }
    }
    try await context.publish(looked)
  }
}

/// Reads a value that a realtime event would be.
private actor Moody: Agent {
  static let reads: [any SharedValue.Type] = [Mood.self]
}

/// Agents that share values and read them: `treasury` on x, `clerk` on y, and one there that may not.
@Suite struct SharedLifeTests {
  private let topology: Topology

  init() throws {
    topology = try Topology(
      name: "shop", nodes: [NodeSpec(id: "hub"), NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "hub"),
        AgentSpec(id: "treasury", kind: Treasury.kind, node: "x", reportsTo: "root"),
        AgentSpec(
          id: "clerk", kind: "test-clerk", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "test.Price")]),
        AgentSpec(
          id: "baker", kind: "test-clerk", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "test.Price", subjects: "price.bread")]),
        AgentSpec(id: "stranger", kind: "test-clerk", node: "y", reportsTo: "root"),
      ])
  }

  private func kinds(_ clerk: any Agent.Type = Clerk<Bread>.self) throws -> KindRegistry {
    try KindRegistry(BuiltInKinds.all + [Treasury.self, clerk])
  }

  private func deployment() throws -> SimulatedDeployment {
    let deployment = SimulatedDeployment(topology, kinds: try kinds(), seed: 1)
    try deployment.start()
    return deployment
  }

  private func share(_ article: String, _ price: Int, _ deployment: SimulatedDeployment) throws {
    try deployment.publish(Price(article: article, price: price), from: "treasury", to: nil)
    deployment.run(for: .milliseconds(200))
  }

  private func look(
    _ what: String, bound: Int? = nil, as agent: AgentID = "clerk", _ deployment: SimulatedDeployment
  ) throws -> Looked {
    try deployment.publish(Look(what: what, bound: bound), from: agent, to: agent)
    deployment.run(for: .milliseconds(200))
    let log = try deployment.reader(of: "y")
    let looked = try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      .filter { $0.agent == agent && $0.type == Looked.eventType }
    return try Looked.decode(#require(looked.last))
  }

  @Test func `a value is read on another node with its version and age, without a handler`() throws {
    let deployment = try deployment()
    #expect(try look("bread", deployment).text == "nothing")
    try share("bread", 3, deployment)
    try share("bread", 4, deployment)
    try share("wine", 9, deployment)
    let looked = try look("bread", deployment)
    #expect(looked.text == "bread 4")
    let stated = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
      .map(\.record).filter { $0.type == Price.eventType }
    #expect(looked.version == stated[1].point.description && looked.statedAt == stated[1].time)
    #expect(looked.ageMicroseconds == looked.now.since(stated[1].time).wholeMicroseconds)
    #expect(try look("any", deployment).text == "wine 9", "the newest of all")
    #expect(try look("all", deployment).text == "treasury bread 4, treasury wine 9")
    #expect(try look("all", as: "baker", deployment).text == "treasury bread 4", "as its subscription has it")
    #expect(try look("wine", as: "baker", deployment).text == "nothing")
    // They have come to the clerk as events do, and none is lost.
    let node = try #require(deployment.node("y"))
    #expect(node.losses().losses.isEmpty && !node.status().notes.contains { $0.contains("handler") })
    let cursor = try deployment.reader(of: "y").cursor(CursorKey(agent: "clerk", channel: .persistent))
    #expect(cursor?.handledCount == 7, "three values and four looks")
    let report = try node.explain("clerk").findings.filter { $0.topic == "shared" }.map(\.text)
    #expect(report == ["test.Price: 2 values, the newest stated 1 s ago"])
  }

  @Test func `what is older than the bound is not read`() throws {
    let deployment = try deployment()
    try share("bread", 3, deployment)
    #expect(try look("bread", bound: 10_000, deployment).text == "bread 3")
    #expect(try look("bread", bound: 10, deployment).text == "nothing")
    deployment.run(for: .seconds(29))
    #expect(try look("bread", deployment).text == "bread 3")
    deployment.run(for: .seconds(2))
    #expect(try look("bread", deployment).text == "nothing", "the type's own bound")
    #expect(try look("bread", bound: 60_000, deployment).text == "bread 3")
    #expect(try look("all", deployment).text == "")
    try share("bread", 3, deployment)
    #expect(try look("bread", deployment).text == "bread 3", "stated again")
  }

  @Test func `what is not declared is not read`() throws {
    let deployment = try deployment()
    try share("bread", 3, deployment)
    #expect(
      try look("stock", deployment).text
        == "undeclared: agent 'clerk' reads test.Stock, which its kind does not declare; add it to the kind's reads, of "
        + "type [any SharedValue.Type]")
    #expect(
      try look("bread", as: "stranger", deployment).text
        == "undeclared: agent 'stranger' reads test.Price, to which it does not subscribe; add it to the agent's "
        + "subscribes in the topology file, by which its node gets the values")
    let report = try #require(deployment.node("y")).explain("stranger").findings.filter {
      $0.topic == "shared"
    }
    #expect(report.count == 1 && report.allSatisfy { $0.isObstacle }, "\(report)")
    _ = try look("late", deployment)
    #expect(
      try look("late", deployment).text
        == "agentFailed: agent 'clerk' reads shared values after its handler has returned; await everything that a handler "
        + "starts before it returns")
    #expect(try look("own", deployment).text == "true", "its own it has itself")
    #expect(try look("own", deployment).text == "true", "and once they are committed")
    #expect {
      try KindRegistry([Moody.self])
    } throws: { error in
      "\(error)"
        == "invalidTopology: the kind 'moody' shares or reads Mood, which is of the channel realtime; let it be of the "
        + "persistent channel, or a plain Event"
    }
  }

  @Test func `a node that starts has the values of its log, whoever is gone`() throws {
    let deployment = try deployment()
    try share("bread", 3, deployment)
    try share("wine", 9, deployment)
    let before = try look("bread", bound: 60_000, deployment)
    deployment.kill("x")
    deployment.kill("y")
    try deployment.start("y")
    deployment.run(for: .seconds(1))
    let after = try look("bread", bound: 60_000, deployment)
    #expect(after.text == "bread 3" && after.version == before.version)
    deployment.kill("y")
    try deployment.start("x")
    try share("bread", 5, deployment)
    try deployment.start("y")
    deployment.run(for: .seconds(1))
    #expect(try look("bread", bound: 60_000, deployment).text == "bread 5", "what came meanwhile comes")
    #expect(try look("all", bound: 60_000, deployment).text == "treasury bread 5, treasury wine 9")
    let log = try deployment.reader(of: "y")
    let newest = try SharedReading.newest(in: log)
    #expect(newest.map(\.record.subject) == [Price.about("bread"), Price.about("wine")])
    #expect(try RestartNeeds.positions(in: log).isSuperset(of: newest.map(\.position)), "a prune leaves them")
    #expect(try SharedReading.newest(in: deployment.reader(of: "x")).isEmpty, "nobody reads them there")
  }

  @Test func `what was read is read again when the agent is run again`() async throws {
    let deployment = try deployment()
    for what in ["bread", "any", "all", "stock"] { _ = try look(what, deployment) }
    try share("bread", 3, deployment)
    try share("wine", 9, deployment)
    for what in ["bread", "any", "all", "wine"] { _ = try look(what, deployment) }
    _ = try look("bread", bound: 1, deployment)
    try share("bread", 4, deployment)
    for _ in 0..<20 { try deployment.publish(Look(what: "bread"), from: "clerk", to: "clerk") }
    deployment.run(for: .seconds(1))
    try deployment.stop()
    let log = try deployment.reader(of: "y")
    let same = try await rerun(log)
    #expect(same.isEmpty, "\(same.prefix(3))")
    let other = try await rerun(log, as: Clerk<Wine>.self)
    let told = "reads test.Price, and read test.Price of 'treasury' about price.bread when it was recorded"
    #expect(
      other.contains { $0.contains(#"took("\#(told.replacing("'", with: #"\'"#))")"#) }, "\(other.prefix(3))")
  }

  @Test func `a call that has read too much to be recorded is not made again`() async throws {
    let deployment = try deployment()
    for number in 0..<4 {
      let value = Price(article: "a\(number)", price: 1, padding: String(repeating: "x", count: 100_000))
      try deployment.publish(value, from: "treasury", to: nil)
    }
    deployment.run(for: .seconds(1))
    #expect(try look("a0", deployment).text == "a0 1")
    #expect(try look("all", deployment).text.split(separator: ",").count == 4)
    try deployment.stop()
    let log = try deployment.reader(of: "y")
    let summary = try await Rerun(topology, kinds: kinds(), log: log).run { _ in true }
    #expect(summary.agents.first { $0.agent == "clerk" }?.skippedCount == 1)
  }

  private func rerun(_ log: any LogReader, as clerk: any Agent.Type = Clerk<Bread>.self) async throws
    -> [String]
  {
    var differences: [String] = []
    _ = try await Rerun(topology, kinds: kinds(clerk), log: log).run { outcome in
      differences += outcome.differences.map { "\($0)" }
      return true
    }
    return differences
  }
}

/// What a log keeps of shared values, without a node.
@Suite struct SharedReadingTests {
  private func log() throws -> MemoryLog {
    let (log, _) = try memoryLog("y")
    var batch = LogBatch()
    for sequence in 1...9 as ClosedRange<UInt64> {
      let subject = Subject(slug: "board.\(sequence % 3)")
      batch.appends.append(
        .init(
          try record("a", .persistent, sequence, type: "test.Board", subject: subject),
          source: .received(hops: 1)))
    }
    log.submit(batch) { _ in }
    return log
  }

  private func positions(of types: Set<EventTypeName> = ["test.Board"], _ log: MemoryLog) throws -> [UInt64] {
    try SharedReading.table(of: types, in: log).table.all.map(\.position.rawValue).sorted()
  }

  private func note(_ snapshot: SharedSnapshot, _ log: MemoryLog) throws {
    log.submit(LogBatch(snapshots: [SharedSnapshot.owner: try snapshot.bytes])) { _ in }
  }

  @Test func `values are found with a note of them, behind it, and without one`() throws {
    let log = try log()
    #expect(try SharedReading.newest(in: log).isEmpty, "nobody is known to read")
    #expect(try positions(log) == [7, 8, 9])
    var table = SharedTable(of: ["test.Board"])
    for entry in try log.read(after: .start, limit: 5, byteLimit: .max) {
      table.take(entry.record, at: entry.position)
    }
    var noted = SharedSnapshot(table, through: Position(rawValue: 5))
    #expect(noted.values.sorted() == [3, 4, 5])
    try note(noted, log)
    #expect(try positions(log) == [7, 8, 9])
    #expect(try SharedReading.newest(in: log).map(\.position.rawValue).sorted() == [7, 8, 9])
    // What is behind the note alone is looked at: so much is taken from it that it shows.
    noted.values = []
    noted.through = 8
    try note(noted, log)
    #expect(try positions(log) == [9])
    // Of a type that nobody has read before all of the log is.
    noted.types = ["test.Other"]
    try note(noted, log)
    #expect(try positions(log) == [7, 8, 9])
    // A value that is gone is none.
    noted.values = [77]
    try note(noted, log)
    #expect(try positions(log) == [7, 8, 9])
  }

  @Test func `where values stand is noted once there are as many new ones`() throws {
    let topology = try Topology(
      name: "t", nodes: [NodeSpec(id: "y")], agents: [AgentSpec(id: "r", kind: BoardReader.kind, node: "y")])
    let desk = SharedDesk(topology.agents, try KindRegistry([BoardReader.self]))
    let count = UInt64(SharedDesk.noteCountMin)
    for sequence in 1...count {
      #expect(try desk.snapshotDue() == nil)
      let value = try record("a", .persistent, sequence, type: "test.Board")
      #expect(desk.take(value, at: Position(rawValue: sequence * 2)) == 0)
    }
    let noted = try JSON.decode(SharedSnapshot.self, from: #require(try desk.snapshotDue()))
    #expect(noted.through == count * 2 && noted.values == [count * 2] && noted.types == ["test.Board"])
    #expect(try desk.snapshotDue() == nil)
  }
}
