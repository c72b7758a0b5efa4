import HyphaCore
import HyphaLog
import HyphaTopology

@testable import HyphaRuntime

/// Checks the promises about decisions and delegation in what a desk has stated and what askers were told, by name.
struct DecisionChecker {
  private(set) var violations: [String] = []
  private(set) var grantedCount = 0
  private(set) var auditedCount = 0
  private(set) var revokedCount = 0
  private let policy: DeskPolicy
  private let policies: [UInt32: DeskPolicy]

  init(_ place: DecisionPlace, _ policy: DeskPolicy, on node: NodeID = "top", isSettled: Bool = true) throws {
    let stated = try place.records(on: node).filter { $0.agent == DecisionPlace.desk }.sorted {
      $0.point < $1.point
    }
    try self.init(
      stated, [policy], askers: ["ana": place.asker("ana"), "ben": place.asker("ben")],
      told: place.judge().told.reduce(0, +), ledger: place.ledger(on: node),
      state: place.deployment.state(
        of: DecisionPlace.desk, DecisionDesk.self, in: place.deployment.reader(of: node)),
      isSettled: isSettled)
    if isSettled { try checkObserved(place, place.ledger(on: node)) }
  }

  /// Checks what a desk has stated, in order, under one policy after the other, against what askers, approver and desk know.
  init(
    _ stated: [Record], _ policies: [DeskPolicy], askers: [AgentID: Asker.State], told: Int,
    ledger: DecisionLedger, state: DecisionLedger, isSettled: Bool = true
  ) throws {
    self.policies = Dictionary(policies.map { ($0.version, $0) }) { $1 }
    policy = policies[0]
    try checkOnce(askers, stated, isSettled: isSettled)
    try checkGrants(stated)
    if isSettled, policy.copies == .parallel, told != grantedCount {
      violations.append("delegation-told: the approver knows of \(told) grants of \(grantedCount)")
    }
    if state != ledger {
      violations.append(
        "state-from-events: the desk knows \(state) and its events \(ledger)".prefix(2000).description)
    }
    if isSettled, !ledger.open.isEmpty, !violations.contains(where: { $0.hasPrefix("decision-once") }) {
      violations.append("decision-once: \(ledger.open.count) decisions are open at the end")
    }
  }

  /// The observer knows what the desk knows.
  private mutating func checkObserved(_ place: DecisionPlace, _ ledger: DecisionLedger) throws {
    let reading = try TopologyReading(place.deployment.reader(of: "top"), of: place.topology)
    let known = (reading.seat?.decisions.lines ?? []).map(\.line)
    let own = ledger.strata.map { stratum, report in
      DecisionsReported.Line(stratum, report: report, figure: ledger.figure(stratum))
    }
    if known != own {
      violations.append(
        "decisions-observed: the observer knows \(known), the desk \(own)".prefix(2000).description)
    }
    let sum = own.reduce(0) { $0 + $1.figure.approved + $1.figure.rejected + $1.figure.granted }
    let told = try ["ana", "ben"].reduce(0) { try $0 + place.asker($1).taken.count }
    if sum != Int64(told) {
      violations.append("decisions-observed: the observer knows of \(sum) decisions of \(told)")
    }
  }

  /// Each request is answered once, to who asked.
  private mutating func checkOnce(_ askers: [AgentID: Asker.State], _ stated: [Record], isSettled: Bool)
    throws
  {
    var taken: [EventID: Int] = [:]
    for record in stated where record.type == DecisionTaken.eventType {
      taken[try DecisionTaken.decode(record).decision, default: 0] += 1
    }
    for (id, count) in taken where count > 1 {
      violations.append("decision-once: \(id) was taken \(count) times")
    }
    for (agent, state) in askers.sorted(by: { $0.key < $1.key }) {
      let told = state.taken.map(\.decision)
      if Set(told).count != told.count { violations.append("decision-once: \(agent) was told twice") }
      if isSettled, Set(told) != Set(state.asked) {
        violations.append("decision-once: \(agent) asked \(state.asked.count) and was told \(told.count)")
      }
    }
  }

  /// What is granted without the approver is granted under a grant that was earned, and was not taken back.
  private mutating func checkGrants(_ stated: [Record]) throws {
    var machines: [Delegation.Stratum: (approved: Int, rejected: Int, shadowed: Int)] = [:]
    var grants: [Delegation.Stratum: String] = [:]
    func count(_ stratum: Delegation.Stratum, _ isGranted: Bool, isShadowed: Bool = false) {
      var known = machines[stratum] ?? (0, 0, 0)
      if isGranted { known.approved += 1 } else { known.rejected += 1 }
      known.shadowed = isGranted ? known.shadowed + (isShadowed ? 1 : 0) : 0
      machines[stratum] = known
    }
    for record in stated {
      switch record.type {
      case DecisionTaken.eventType:
        let event = try DecisionTaken.decode(record)
        guard let grant = event.grant else {
          count(event.stratum, event.isGranted, isShadowed: event.isShadowed)
          let authority = record.header.authority
          if authority.principal != "boss" {
            violations.append("decision-authority: \(authority.principal) has decided for the boss")
          }
          continue
        }
        grantedCount += 1
        if event.isAudited { auditedCount += 1 }
        if grants[event.stratum] != grant {
          violations.append("delegation-revoked: \(event.decision) was granted under \(grant), which is none")
        }
        let version = record.header.authority.policyVersion
        let expected = Authority(principal: record.agent, grant: grant, policyVersion: version)
        if policies[version] == nil {
          violations.append("decision-authority: granted under policy \(version), which is none")
        }
        if record.header.authority != expected {
          violations.append("decision-authority: \(record.header.authority) where \(expected) was due")
        }
        if policies[version]?.delegation.mode == .off {
          violations.append("delegation-opt-in: granted under mode off")
        }
      case DecisionAudited.eventType:
        let event = try DecisionAudited.decode(record)
        count(event.stratum, event.isGranted)
        if !event.isGranted {
          if grants.removeValue(forKey: event.stratum) != nil { revokedCount += 1 }
          machines[event.stratum] = nil
        }
      case DelegationChanged.eventType:
        let event = try DelegationChanged.decode(record)
        guard event.to == .delegated else {
          if event.from == .delegated {
            grants[event.stratum] = nil
            machines[event.stratum] = nil
          }
          continue
        }
        let known = machines[event.stratum] ?? (0, 0, 0)
        if known.shadowed < policy.delegation.shadowed {
          violations.append("delegation-shadowed-first: delegated after \(known)")
        }
        let (approved, all) = (Double(known.approved), Double(known.approved + known.rejected))
        // For no rejection Wilson's bound is n/(n + z²).
        if known.rejected == 0, approved / (all + 2.7056) < Double(event.needed) / 10_000 - 0.001 {
          violations.append("delegation-earned: delegated after \(known)")
        }
        grants[event.stratum] = event.grant
      default: break
      }
    }
  }
}
