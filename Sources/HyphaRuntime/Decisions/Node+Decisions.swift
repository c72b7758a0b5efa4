public import HyphaCore
public import HyphaLog
public import HyphaTopology

extension Node {
  /// Tells an approver's desk what an operator rules about its delegations. When the call returns the event is on its way into the
  /// log; the desk answers with events that have this one as their cause.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where the approver has no desk.
  public func rule(_ rule: DelegationRuled, of approver: AgentID, by principal: AgentID) throws -> EventID {
    guard topology.takesDecisions(approver) else {
      let known = topology.desks.compactMap { $0.reportsTo?.text }
      throw HyphaError(
        .usage, "'\(approver)' takes no decisions",
        remedy: known.isEmpty
          ? "name it in the topology file: 'delegation: {approvers: [\(approver)]}'"
          : "name one of \(known.joined(separator: ", "))")
    }
    let authority = Authority(principal: principal, grant: "operator", policyVersion: topology.version)
    return state(own: rule, to: DeskPolicy.desk(of: approver), because: nil, authority: authority)
  }

  /// Whether an approver's desk is on this node.
  public func hasDesk(of approver: AgentID) -> Bool {
    topology.agent(DeskPolicy.desk(of: approver))?.node == configuration.node
  }
}

extension DecisionLedger {
  /// What a desk knew, by its own events in a log.
  ///
  /// - Parameter each: is given each event of the desk about a decision or a delegation that the log has, in order.
  /// - Complexity: reads and keeps all that the desk has stated about decisions.
  public static func read(
    desk: AgentID, in log: any LogReader, _ each: (Record) throws -> Void = { _ in }
  ) throws -> DecisionLedger {
    var (ledger, covered) = (DecisionLedger(), LanePoint.start)
    // What was pruned is in what the desk has kept of its state.
    if try log.gaps().contains(where: { $0.kind == .pruned }),
      let known = try AgentSnapshot.read(of: desk, in: log), let coverage = known.coverage
    {
      (ledger, covered) = (try JSON.decode(DecisionLedger.self, from: known.state), coverage.point)
    }
    var query = LogQuery()
    query.agent = desk
    query.types = [
      DecisionReferred.eventType, DecisionTaken.eventType, DecisionAudited.eventType,
      DelegationChanged.eventType, DecisionsDelegated.eventType,
    ]
    var records: [Record] = []
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      records += page.entries.map(\.record)
      cursor = page.next
    } while cursor != nil
    // Where the desk was moved, its history lies in its new node's log lane by lane.
    records.sort { $0.point < $1.point }
    for record in records {
      if record.point > covered { try ledger.take(record) }
      try each(record)
    }
    return ledger
  }

  private mutating func take(_ record: Record) throws {
    switch record.type {
    case DecisionReferred.eventType: apply(try DecisionReferred.decode(record))
    case DecisionTaken.eventType: apply(try DecisionTaken.decode(record))
    case DecisionAudited.eventType: apply(try DecisionAudited.decode(record))
    case DelegationChanged.eventType: apply(try DelegationChanged.decode(record))
    default: apply(try DecisionsDelegated.decode(record))
    }
  }
}
