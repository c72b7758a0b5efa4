import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What the desks of a deployment have come to, as the logs have it.
struct DelegationReading {
  /// One approver's desk.
  struct Desk {
    var approver: AgentID
    var policy: DeskPolicy
    var node: NodeID
    var ledger = DecisionLedger()
    /// The changes of stages, the oldest first.
    var changes: [(time: Timestamp, authority: Authority, event: DelegationChanged)] = []
    /// How many decisions each agent was granted, by grant.
    var granted: [AgentID: [String: Int]] = [:]
  }

  private(set) var desks: [Desk] = []

  /// Reads the logs of a deployment: of each desk that which has most of what it stated.
  init(_ topology: Topology, in paths: [String]) throws {
    let program = try Program.require()
    let logs = try paths.map { try program.readLog($0) }
    for spec in topology.desks {
      let policy = try spec.settings.decoded(as: DeskPolicy.self)
      var newest: (desk: Desk, eventCount: Int)?
      var hasOwn = false
      // Its own node's has all; others have copies, or what was for their agents.
      let own = logs.filter { $0.identity.node == spec.node }
      for log in own + logs.filter({ $0.identity.node != spec.node }) {
        if hasOwn { break }
        var (desk, eventCount) = (Desk(approver: policy.approver, policy: policy, node: spec.node), 0)
        desk.ledger = try DecisionLedger.read(desk: spec.id, in: log) { record in
          eventCount += 1
          switch record.type {
          case DelegationChanged.eventType:
            desk.changes.append((record.time, record.header.authority, try DelegationChanged.decode(record)))
          case DecisionTaken.eventType:
            let taken = try DecisionTaken.decode(record)
            if let grant = taken.grant { desk.granted[taken.requester, default: [:]][grant, default: 0] += 1 }
          default: break
          }
        }
        if newest.map({ eventCount > $0.eventCount }) ?? true { newest = (desk, eventCount) }
        hasOwn = log.identity.node == spec.node && eventCount > 0
      }
      if let newest { desks.append(newest.desk) }
    }
  }

  /// What explains the decisions of one agent that another asked for.
  func explain(_ one: AgentID, _ other: AgentID) -> [String] {
    var lines: [String] = []
    for (approver, requester) in [(one, other), (other, one)] {
      guard let desk = desks.first(where: { $0.approver == approver }) else { continue }
      lines.append(DelegationText.mode(desk))
      for change in desk.changes where change.event.to == .delegated {
        guard let grant = change.event.grant else { continue }
        let count = desk.granted[requester]?[grant] ?? 0
        let ended = desk.changes.first { $0.event.from == .delegated && $0.event.grant == grant }
        lines.append(
          "\(grant): \(DelegationText.stratum(change.event.stratum)), since \(change.time.text), "
            + "\(DelegationText.reason(change.event)); \(Human.count(count)) granted to \(requester)"
            + (ended.map { "; until \($0.time.text), \(DelegationText.end($0.event))" } ?? ""))
      }
    }
    return lines
  }
}

/// Strata and what became of them, in words.
enum DelegationText {
  static func amount(_ stratum: Delegation.Stratum) -> String {
    stratum.rangeText
  }

  static func stratum(_ stratum: Delegation.Stratum) -> String { stratum.text }

  static func percent(_ tenThousandths: Int64) -> String {
    "\(Human.decimal(Double(tenThousandths) / 100, digits: 2)) %"
  }

  static func mode(_ desk: DelegationReading.Desk) -> String {
    let policy = desk.policy
    let mode =
      switch policy.delegation.mode {
      case .auto: "what has earned it is delegated"
      case .suggest: "what has earned it is proposed, an operator says"
      case .off: "nothing is delegated"
      }
    return
      "\(desk.approver): mode \(policy.delegation.mode.rawValue), \(mode); policy version \(policy.version), "
      + "risk \(percent(Int64(policy.delegation.risk)))"
  }

  /// What has led to a delegation.
  static func reason(_ change: DelegationChanged) -> String {
    let evidence = change.evidence
    let numbers =
      "\(Human.count(evidence.approved)) of \(Human.count(evidence.approved + evidence.rejected)) approved, "
      + "bound \(percent(change.bound)) where \(percent(change.needed)) is needed, "
      + "\(Human.count(evidence.shadowed)) shadowed without a miss, policy version \(change.policyVersion)"
    guard let by = change.by else { return numbers }
    return "said by \(by)\(change.note.map { " (\($0))" } ?? ""), \(numbers)"
  }

  /// What has ended one.
  static func end(_ change: DelegationChanged) -> String {
    guard let by = change.by else { return "revoked by an audited rejection" }
    return "revoked by \(by)\(change.note.map { " (\($0))" } ?? "")"
  }
}
