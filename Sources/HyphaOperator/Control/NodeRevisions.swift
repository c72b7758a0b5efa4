import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What operators ask of a running node about its topology file.
extension NodeOperations {
  /// Asks for another file to be applied.
  struct Application: Codable, Sendable {
    var file: String
    /// The newest revision that the operator knows.
    var after: UInt32
    var note: String?
    /// The nodes that leave and that nobody is to wait for; nil for none.
    var lost: [NodeID]?
  }

  /// What came of it: a revision, or the reasons why not; neither where nobody has answered in time.
  struct ApplicationOutcome: Codable, Sendable {
    var revision: UInt32?
    var moves: [AgentMoved] = []
    /// The nodes that leave with it and are waited for.
    var leaving: [NodeID]?
    var reasons: [String] = []
  }

  func apply(_ request: OperatorRequest) async throws -> JSONValue {
    let wanted = try Self.parameters(Application.self, of: request)
    try Self.checkNote(wanted.note)
    let before = try log.head()
    let asked = try node.apply(
      wanted.file, after: wanted.after, by: request.by, note: wanted.note,
      lost: wanted.lost ?? [])
    let end = ContinuousClock.now + Self.patience
    // The answer is an event of another node, maybe, which comes to this one's log.
    while ContinuousClock.now < end {
      if let outcome = try applicationOutcome(of: asked, after: before) { return try Self.value(outcome) }
      try await Task.sleep(for: .milliseconds(20), clock: .suspending)
    }
    return try Self.value(ApplicationOutcome())
  }

  private func applicationOutcome(of asked: EventID, after position: Position) throws -> ApplicationOutcome? {
    let head = try log.head()
    guard position < head else { return nil }
    var outcome: ApplicationOutcome?
    var parts = EventParts()
    try log.visit(position.next...head, .forward) { view in
      guard view.record.causation == asked, let record = parts.take(try Record(view.record)) else {
        return true
      }
      switch record.type {
      case TopologyRevised.eventType:
        let event = try TopologyRevised.decode(record)
        outcome = ApplicationOutcome(event)
      case RevisionRefused.eventType:
        outcome = ApplicationOutcome(reasons: try RevisionRefused.decode(record).reasons)
      default: break
      }
      return outcome == nil
    }
    return outcome
  }
}

extension NodeOperations.ApplicationOutcome {
  init(_ order: TopologyRevised) {
    self.init(
      revision: order.revision, moves: order.moves,
      leaving: order.leaving.map { $0.filter { !$0.isGone }.map(\.node) })
  }
}
