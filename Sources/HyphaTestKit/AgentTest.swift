@_exported public import Hypha
public import HyphaCore
import HyphaLog
public import HyphaRuntime
public import HyphaTopology

/// One agent under test: it is given events and questions, time passes when the test says so, and what it has published can be
/// looked at. No sockets, no disk, no waiting; the same test gives the same run each time.
///
/// ```swift
/// @Test func `an invoice is approved`() throws {
///   let test = try AgentTest(Approver.self)
///   try test.give(InvoiceSubmitted(invoice: "INV-1", amount: 40))
///   #expect(try test.published(InvoiceApproved.self).map(\.invoice) == ["INV-1"])
/// }
/// ```
///
/// The agent runs on a node of its own in a ``SimulatedDeployment``, on the code that runs it in earnest: with its log, its
/// snapshots, retries, timers and dead letters. It has the id `agent`, and a supervisor `boss`. Use it from one thread.
public final class AgentTest<Kind: Agent> {
  /// The agent's id.
  public let id: AgentID = "agent"
  private let deployment: SimulatedDeployment
  private let scripts: StandInScripts
  private static var outside: AgentID { "outside" }
  private static var node: NodeID { "node" }

  /// Starts an agent that has seen nothing.
  ///
  /// - Parameters:
  ///   - settings: what the topology file would say under `settings`.
  ///   - supervision: what it would say under `supervision`.
  ///   - others: agents beside it, by their ids: those that it asks, or addresses events to.
  ///   - standIns: the same where the test says what they answer.
  ///   - seed: from which all chance follows.
  /// - Throws: ``HyphaError/Code/invalidTopology`` for kinds or ids that clash, or settings that the kind refuses.
  public init(
    _ kind: Kind.Type, settings: JSONValue = .object([:]),
    supervision: SupervisionSettings = SupervisionSettings(retry: RetryPolicy(jitterPercent: 0)),
    with others: [AgentID: any Agent.Type] = [:], standIns: [AgentID: StandIn] = [:], seed: UInt64 = 1
  ) throws {
    try kind.check(settings)
    scripts = StandInScripts(standIns)
    var agents = [
      AgentSpec(id: "boss", kind: Boss.kind, node: Self.node),
      AgentSpec(id: Self.outside, kind: Outside.kind, node: Self.node, reportsTo: "boss"),
      AgentSpec(
        id: id, kind: kind.kind, node: Self.node, reportsTo: "boss", subscribes: Self.subscriptions(of: kind),
        settings: settings, supervision: supervision),
    ]
    var kinds: [any Agent.Type] = [Boss.self, Outside.self, kind]
    for (id, other) in others.sorted(by: { $0.key < $1.key }) {
      agents.append(
        AgentSpec(
          id: id, kind: other.kind, node: Self.node, reportsTo: "boss",
          subscribes: Self.subscriptions(of: other)))
      if !kinds.contains(where: { $0.kind == other.kind }) { kinds.append(other) }
    }
    // Whoever asks for decisions has a supervisor that takes them.
    if kind.publishes.contains(where: { $0 == DecisionRequested.self }) {
      agents.append(
        AgentSpec(
          id: DeskPolicy.desk(of: "boss"), kind: DeskPolicy.kind, node: Self.node, reportsTo: "boss",
          settings: .object(["approver": .string("boss")])))
    }
    for id in standIns.keys.sorted() {
      agents.append(
        AgentSpec(
          id: id, kind: StandInAgent<Kind>.kind, node: Self.node, reportsTo: "boss",
          settings: .object(["scripts": .integer(Int64(scripts.id))])))
    }
    kinds.append(StandInAgent<Kind>.self)
    let topology = try Topology(name: "test", nodes: [NodeSpec(id: Self.node)], agents: agents)
    deployment = SimulatedDeployment(topology, kinds: try KindRegistry(kinds), seed: seed)
    try deployment.start()
    try settle("started")
  }

  deinit { scripts.forget() }

  private static func subscriptions<Other: Agent>(of kind: Other.Type) -> [Subscription] {
    let read = kind.reads.map { $0.eventType }
    return kind.handles.types.union(read).sorted().map { Subscription(type: $0) }
  }

  // MARK: Acting

  /// Gives the agent an event, as if another agent had published it, and lets all agents come to rest.
  ///
  /// - Parameter author: the agent beside it that seems to have published it; default somebody else.
  /// - Returns: the event's id.
  /// - Throws: ``HyphaError/Code/undeclared`` where the agent does not handle such events; ``HyphaError/Code/usage`` where there is
  ///   no such author; ``HyphaError/Code/failed`` where the agents do not come to rest within 10 s of simulated time.
  @discardableResult
  public func give<E: Event>(_ event: E, from author: AgentID? = nil) throws -> EventID {
    guard Kind.handles.types.contains(E.eventType) else {
      throw HyphaError(
        .undeclared, "kind '\(Kind.kind)' does not handle \(E.eventType)",
        remedy: "add a handler of that type to its handles")
    }
    let id = try deployment.publish(event, from: author ?? Self.outside, to: id)
    try settle("handled \(E.eventType)")
    return id
  }

  /// Shares a value that the agent may read, as if another agent had published it, and lets all agents come to rest.
  ///
  /// - Parameter author: the agent beside it that seems to have shared it; default somebody else, `outside`.
  /// - Throws: ``HyphaError/Code/undeclared`` where the agent does not read such values; otherwise as ``give(_:from:)`` does.
  @discardableResult
  public func share<Value: SharedValue>(_ value: Value, by author: AgentID? = nil) throws -> EventID {
    guard Kind.reads.contains(where: { $0 == Value.self }) else {
      throw HyphaError(
        .undeclared, "kind '\(Kind.kind)' does not read \(Value.eventType)", remedy: "add it to its reads")
    }
    let id = try deployment.publish(value, from: author ?? Self.outside, to: nil)
    try settle("taken \(Value.eventType)")
    return id
  }

  /// Asks the agent a question, and returns its answer.
  ///
  /// - Throws: as ``Context/ask(_:_:within:)`` does.
  public func ask<Q: Question>(_ question: Q, within: Duration = .seconds(10)) throws -> Q.Answer {
    let answer = try deployment.ask(id, question, from: Self.outside, within: within)
    try settle("answered \(Q.questionType)")
    return answer
  }

  /// Lets time pass: timers fire, and events are tried again.
  public func advance(by span: Duration) { deployment.run(for: span) }

  /// Ends the node as `kill -9` does, and starts it again on what its log has.
  public func crash() throws {
    deployment.kill(Self.node)
    try deployment.start(Self.node)
    try settle("started again")
  }

  private func settle(_ what: String) throws {
    guard deployment.settle(limit: .seconds(10)) else {
      throw HyphaError(
        .failed, "the agents have not \(what) within 10 s",
        remedy: "look for a handler that waits, or publishes to itself")
    }
  }

  // MARK: Looking

  /// What the agent has published of a type, the oldest first. Of the persistent and the alert channel: realtime events are kept
  /// nowhere.
  ///
  /// - Parameter addressee: only what was addressed to this agent; nil for all.
  public func published<E: Event>(_ type: E.Type, to addressee: AgentID? = nil) throws -> [E] {
    try entries.map(\.record).filter {
      $0.agent == id && $0.type == E.eventType && (addressee == nil || $0.addressee == addressee)
    }.map { try E.decode($0) }
  }

  /// What the agent has asked stand-ins of a type, the oldest first; also what it asked in a handler that has thrown later.
  ///
  /// - Parameter standIn: only what it has asked this one; nil for all.
  public func asked<Q: Question>(_ type: Q.Type, of standIn: AgentID? = nil) throws -> [Q] {
    try scripts.asked.filter {
      $0.question.asker == id && $0.question.type == Q.questionType && (standIn == nil || $0.of == standIn)
    }.map { try $0.question.decoded(as: Q.self) }
  }

  /// The agent's durable state, as a restart would find it.
  public var state: Kind.State {
    get throws { try deployment.state(of: id, Kind.self, in: deployment.reader(of: Self.node)) }
  }

  /// What the agent's handlers have thrown, the oldest first.
  public var failures: [String] {
    get throws { try published(HandlerFailed.self).map(\.error) }
  }

  /// The events that were put aside, the oldest first.
  public var deadLetters: [DeadLetter] {
    get throws { try DeadLetter.open(in: deployment.reader(of: Self.node), of: id) }
  }

  /// How many timers are pending.
  public var timerCount: Int {
    get throws { try deployment.timerCount(of: id, in: deployment.reader(of: Self.node)) }
  }

  private var entries: [LogEntry] {
    get throws { try deployment.reader(of: Self.node).read(after: .start, limit: .max, byteLimit: .max) }
  }
}

/// The supervisor in a test.
private actor Boss: Agent {
  static let kind = "hypha-test-boss"
  static let handles = Handlers(Boss.self)
    .on(EventDeadLettered.self) { _, _, _ in }
    .on(HandlerOverdue.self) { _, _, _ in }
    .on(AgentStopped.self) { _, _, _ in }
    .on(AlertEscalated.self) { _, _, _ in }
    .on(DecisionReferred.self) { _, _, _ in }
}

/// In whose name a test gives events and asks.
private actor Outside: Agent {
  static let kind = "hypha-test-outside"
}
