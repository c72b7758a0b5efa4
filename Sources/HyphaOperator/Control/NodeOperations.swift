import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What operators may ask of a running node.
struct NodeOperations: Sendable {
  let current: CurrentNode
  let log: any EventLog
  let pruning: NodePruning

  var node: Node { current.node }

  /// The operations by name.
  var all: [String: OperatorServer.Operation] {
    [
      "status": { _, _ in try Self.value(node.status()) },
      "losses": { _, _ in try Self.value(node.losses()) },
      "alerts.ack": { request, _ in try await acknowledge(request) },
      "topology.ask": { request, _ in try await askTopology(request) },
      "delegation.rule": { request, _ in try await ruleDelegation(request) },
      "questions.ask": { request, _ in try await askQuestion(request) },
      "agents.move": { request, _ in try await move(request) },
      "topology.apply": { request, _ in try await apply(request) },
      "agents.explain": { request, _ in
        try Self.value(node.explain(Self.parameters(Explanation.self, of: request).agent))
      },
      "dead-letters.resolve": { request, _ in try await resolve(request) },
      "log.prune.plan": { request, _ in
        try Self.value(PruneResult(path: pruning.directory, plan(request), nil))
      },
      "log.prune": { request, progress in try await prune(request, progress) },
    ]
  }

  static func value(_ result: some Encodable) throws -> JSONValue {
    try JSON.decode(JSONValue.self, from: JSON.encode(result))
  }

  static func parameters<Wanted: Decodable>(_ type: Wanted.Type, of request: OperatorRequest) throws
    -> Wanted
  {
    do {
      return try request.parameters.decoded(as: type)
    } catch {
      throw HyphaError(
        .usage, "the parameters of '\(request.request)' do not fit",
        remedy: "use the program of the node's version",
        cause: (error as? HyphaError)?.cause ?? "\(error)")
    }
  }

  // MARK: Alerts

  /// Asks for an alert to be acknowledged by hand.
  struct Acknowledgement: Codable, Sendable {
    var alert: EventID
    var note: String?

    /// The longest note in bytes.
    static let noteByteCountMax = 4096
  }

  /// How long the log may take over an acknowledgement before the operator is told that it is on its way.
  static let patience = Duration.seconds(20)

  private func acknowledge(_ request: OperatorRequest) async throws -> JSONValue {
    let wanted = try Self.parameters(Acknowledgement.self, of: request)
    try Self.checkNote(wanted.note)
    let alert = try node.acknowledgeAlert(wanted.alert, by: request.by, note: wanted.note)
    let end = ContinuousClock.now + Self.patience
    while node.openAlert(wanted.alert) != nil {
      guard ContinuousClock.now < end else {
        throw HyphaError(
          .logFailed, "the acknowledgement of \(wanted.alert) is not in the log yet",
          remedy: "look at the node's notes; it is kept, and appended once the log has room")
      }
      try await Task.sleep(for: .milliseconds(5), clock: .suspending)
    }
    return try Self.value(alert)
  }

  // MARK: Topology

  /// Asks the observer for something.
  struct Rule: Codable, Sendable {
    var rule: LinkRule
    var note: String?
  }

  /// What came of it: a version with its changes, or a refusal; neither where the observer has not answered in time.
  struct RuleOutcome: Codable, Sendable {
    var version: UInt32?
    var changes: [LinkChange] = []
    var refusal: String?
  }

  private func askTopology(_ request: OperatorRequest) async throws -> JSONValue {
    let wanted = try Self.parameters(Rule.self, of: request)
    try Self.checkNote(wanted.note)
    let before = try log.head()
    let asked = try node.ask(wanted.rule, by: request.by, note: wanted.note)
    let end = ContinuousClock.now + Self.patience
    // The answer is an event of the seat's node, which comes to this one's log.
    while ContinuousClock.now < end {
      if let outcome = try outcome(of: asked, after: before) { return try Self.value(outcome) }
      try await Task.sleep(for: .milliseconds(20), clock: .suspending)
    }
    return try Self.value(RuleOutcome())
  }

  private func outcome(of asked: EventID, after position: Position) throws -> RuleOutcome? {
    let head = try log.head()
    guard position < head else { return nil }
    var outcome: RuleOutcome?
    var parts = EventParts()
    try log.visit(position.next...head, .forward) { view in
      guard view.record.causation == asked, let record = parts.take(try Record(view.record)) else {
        return true
      }
      switch record.type {
      case LinksChanged.eventType:
        let event = try LinksChanged.decode(record)
        outcome = RuleOutcome(version: event.version, changes: event.changes)
      case RuleRefused.eventType:
        outcome = RuleOutcome(refusal: try RuleRefused.decode(record).reason)
      default: break
      }
      return outcome == nil
    }
    return outcome
  }

  // MARK: Agents

  /// Asks why an agent gets what it gets.
  struct Explanation: Codable, Sendable {
    var agent: AgentID
  }

  /// Asks for an agent to be moved.
  struct Move: Codable, Sendable {
    var agent: AgentID
    var to: NodeID
    var note: String?
  }

  /// What came of it: a move with its number, or a refusal; neither where nobody has answered in time.
  struct MoveOutcome: Codable, Sendable {
    var move: UInt32?
    var from: NodeID?
    var refusal: String?
  }

  private func move(_ request: OperatorRequest) async throws -> JSONValue {
    let wanted = try Self.parameters(Move.self, of: request)
    try Self.checkNote(wanted.note)
    let before = try log.head()
    let asked = try node.move(wanted.agent, to: wanted.to, by: request.by, note: wanted.note)
    let end = ContinuousClock.now + Self.patience
    // The answer is an event of another node, maybe, which comes to this one's log.
    while ContinuousClock.now < end {
      if let outcome = try moveOutcome(of: asked, after: before) { return try Self.value(outcome) }
      try await Task.sleep(for: .milliseconds(20), clock: .suspending)
    }
    return try Self.value(MoveOutcome())
  }

  private func moveOutcome(of asked: EventID, after position: Position) throws -> MoveOutcome? {
    let head = try log.head()
    guard position < head else { return nil }
    var outcome: MoveOutcome?
    try log.visit(position.next...head, .forward) { view in
      guard view.record.causation == asked else { return true }
      let record = try Record(view.record)
      switch record.type {
      case AgentMoved.eventType:
        let event = try AgentMoved.decode(record)
        outcome = MoveOutcome(move: event.move, from: event.from)
      case MoveRefused.eventType:
        outcome = MoveOutcome(refusal: try MoveRefused.decode(record).reason)
      default: break
      }
      return outcome == nil
    }
    return outcome
  }

  /// Asks for a dead letter to be settled.
  struct Settlement: Codable, Sendable {
    var agent: AgentID
    var event: EventID
    var resolution: DeadLetterResolved.Resolution
    var note: String?
  }

  private func resolve(_ request: OperatorRequest) async throws -> JSONValue {
    let wanted = try Self.parameters(Settlement.self, of: request)
    try Self.checkNote(wanted.note)
    try await node.resolveDeadLetter(
      wanted.event, of: wanted.agent, wanted.resolution, by: request.by, note: wanted.note)
    return .object([:])
  }

  static func checkNote(_ note: String?) throws {
    guard note?.utf8.count ?? 0 <= Acknowledgement.noteByteCountMax else {
      throw HyphaError(
        .usage, "the note has \(note?.utf8.count ?? 0) bytes",
        remedy: "keep it to \(Acknowledgement.noteByteCountMax)")
    }
  }

  // MARK: Prune

  /// Asks for a log to be pruned.
  struct Prune: Codable, Sendable {
    var ageMaxSeconds: Double?
    var byteCountMax, entryCountMax: UInt64?
    var takesHandled = false
    /// Positions that are to stay, with all behind them.
    var protected: [UInt64] = []

    var policy: RetentionPolicy {
      RetentionPolicy(
        ageMax: ageMaxSeconds.map { .seconds(min(max($0, 0), 1e9)) }, byteCountMax: byteCountMax,
        entryCountMax: entryCountMax, takesHandled: takesHandled)
    }
  }

  private func plan(_ request: OperatorRequest) throws -> PrunePlan {
    let wanted = try Self.parameters(Prune.self, of: request)
    return try pruning.plan(
      wanted.policy, guards: wanted.protected.map { PruneGuard(keeping: Position(rawValue: $0)) })
  }

  private func prune(_ request: OperatorRequest, _ progress: @escaping @Sendable (String) -> Void)
    async throws -> JSONValue
  {
    let plan = try plan(request)
    var report: PruneReport?
    if let range = plan.range {
      report = try await pruning.carryOut(plan, principal: request.by) { position in
        progress("pruned through \(position) of \(range.upperBound)")
      }
    }
    return try Self.value(PruneResult(path: pruning.directory, plan, report))
  }
}
