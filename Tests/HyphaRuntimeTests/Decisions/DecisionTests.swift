import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// Decisions from request to answer, and what becomes of a stratum, step by step.
@Suite struct DecisionTests {
  @Test func `a decision is asked for, referred, answered, and told to who asked`() throws {
    let place = try DecisionPlace(DecisionPlace.policy(.off) { $0.amounts = [100] })
    try place.ask(amount: 70)
    try place.ask(isBad: true, amount: 170)
    let taken = try place.asker("ana").taken
    #expect(taken.map(\.isGranted) == [true, false])
    #expect(taken.map(\.reason) == [nil, "too far"])
    #expect(taken.map(\.stratum.requester) == ["asker", "asker"])
    #expect(taken.map(\.stratum.upTo) == [100, nil] && taken.map(\.stratum.over) == [nil, 100])
    #expect(taken.allSatisfy { $0.grant == nil && $0.waitedMicroseconds > 0 })
    let record = try #require(place.stated(DecisionTaken.self).first?.record)
    #expect(record.header.authority.principal == "boss" && record.header.authority.grant == "topology")
    let wanted = try place.records(on: "far").first { $0.type == Trip.Wanted.eventType }
    #expect(record.header.correlation == wanted?.header.correlation)
  }

  @Test func `a stratum is watched, shadowed, delegated, audited, and revoked by the first rejection`() throws
  {
    let policy = DecisionPlace.policy(.auto) { $0.delegation.audit = 1000 }
    let place = try DecisionPlace(policy)
    // Wilson's bound for no rejection is n/(n + 2.7): 0.6 at 5, 0.8 at 11.
    #expect(try place.ask(until: .shadowed) == 5)
    #expect(try place.ask(until: .delegated) == 6)
    #expect(try place.stated(DecisionTaken.self).map(\.event.isShadowed).filter(\.self).count == 6)
    try place.ask()
    let granted = try #require(place.stated(DecisionTaken.self).last)
    #expect(granted.event.grant == "delegation:boss:1" && granted.event.isAudited)
    #expect(
      granted.record.header.authority
        == Authority(principal: DecisionPlace.desk, grant: "delegation:boss:1", policyVersion: 3))
    #expect(try place.judge().told == [1] && place.judge().auditCount == 1)
    #expect(try place.stated(DecisionAudited.self).map(\.event.isGranted) == [true])
    try place.ask(isBad: true)
    // It was granted, and the approver would not have.
    #expect(try place.asker("ana").taken.last?.isGranted == true)
    let changed = try #require(place.stated(DelegationChanged.self).last?.event)
    #expect(changed.from == .delegated && changed.to == .watched && changed.grant == "delegation:boss:1")
    #expect(changed.evidence.auditMisses == 1)
    try place.ask(isBad: true)
    #expect(try place.asker("ana").taken.last?.isGranted == false)
    let report = try #require(place.ledger().strata.first?.report)
    #expect(report.stage == .watched && report.misses == 1 && report.approved == 0 && report.rejected == 1)
    #expect(try place.ask(until: .delegated) > 11)
    #expect(try place.ledger().strata.first?.report.grant == "delegation:boss:2")
  }

  @Test func `under suggest an operator says, and takes it back at once`() throws {
    let place = try DecisionPlace(DecisionPlace.policy(.suggest))
    #expect(try place.ask(until: .proposed) == 11)
    try place.ask()
    #expect(try place.asker("ana").taken.last?.grant == nil)
    func rule(_ rule: DelegationRuled, on node: NodeID = "far") throws -> EventID {
      let id = try #require(place.deployment.node(node)).rule(rule, of: "boss", by: "olga")
      place.deployment.run(for: .seconds(2))
      return id
    }
    let asked = try rule(DelegationRuled(.delegate, kind: "trip", note: "they are all fine"))
    let change = try #require(place.stated(DelegationChanged.self).last)
    #expect(change.event.to == .delegated && change.event.by == "olga" && change.event.bound >= 8000)
    #expect(
      change.record.header.authority == Authority(principal: "olga", grant: "operator", policyVersion: 1))
    #expect(change.record.header.causation == asked)
    try place.ask()
    #expect(try place.asker("ana").taken.last?.grant == "delegation:boss:1")
    _ = try rule(DelegationRuled(.revoke))
    #expect(try place.stated(DelegationChanged.self).last?.event.to == .watched)
    try place.ask()
    #expect(try place.asker("ana").taken.last?.grant == nil)
    let report = try #require(place.ledger().strata.first?.report)
    #expect(report.stage == .watched && report.approved == 1)
    let again = try rule(DelegationRuled(.revoke))
    let refused = try #require(place.stated(DelegationRefused.self).last)
    #expect(refused.record.header.causation == again)
    #expect(refused.event.reason == "nothing of that sort is delegated or proposed for 'boss'")
    let error = #expect(throws: HyphaError.self) {
      try #require(place.deployment.node("top")).rule(DelegationRuled(.revoke), of: "ana", by: "olga")
    }
    #expect(
      error?.description.contains("'ana' takes no decisions; name one of boss") ?? false,
      "\(String(describing: error))")
  }

  @Test func `a revocation beyond a partition holds once it comes to the desk, and one told there at once`()
    throws
  {
    let place = try DecisionPlace(DecisionPlace.policy(.auto) { $0.delegation.audit = 1 })
    func revoke(on node: NodeID) throws {
      _ = try #require(place.deployment.node(node)).rule(DelegationRuled(.revoke), of: "boss", by: "olga")
    }
    func ben() throws -> String? {
      try place.deployment.publish(Trip.Wanted(trip: Trip(number: 1)), from: "ben", to: "ben")
      place.deployment.run(for: .milliseconds(200))
      return try place.asker("ben").taken.last?.grant
    }
    _ = try place.ask(until: .delegated)
    for other in ["mid", "top"] as [NodeID] {
      place.deployment.network.setCut(true, between: "far", and: other)
    }
    try revoke(on: "far")
    place.deployment.run(for: .seconds(30))
    #expect(try ben() == "delegation:boss:1")
    for other in ["mid", "top"] as [NodeID] {
      place.deployment.network.setCut(false, between: "far", and: other)
    }
    place.deployment.run(for: .seconds(10))
    #expect(try ben() == nil)
    #expect(try place.stated(DelegationChanged.self).last?.event.by == "olga")
    _ = try place.ask(until: .delegated)
    for other in ["far", "mid"] as [NodeID] {
      place.deployment.network.setCut(true, between: "top", and: other)
    }
    try revoke(on: "top")
    place.deployment.run(for: .milliseconds(50))
    #expect(try place.ledger().strata.first?.report.stage == .watched)
  }

  @Test func `who asks cannot say by a decision's id whether it is audited`() throws {
    let place = try DecisionPlace(DecisionPlace.policy(.auto) { $0.delegation.audit = 500 })
    _ = try place.ask(until: .delegated)
    for _ in 0..<40 { try place.ask() }
    let granted = try place.stated(DecisionTaken.self).map(\.event).filter { $0.grant != nil }
    #expect(granted.count == 40 && (8...32).contains(granted.count(where: \.isAudited)))
    // Whatever an id's parts, or what they lead to, would say.
    func draws(_ id: EventID) -> [UInt64] {
      var mixed = SeededGenerator(seed: id.high ^ id.low)
      return [id.high, id.low, id.high ^ id.low, mixed.next()]
    }
    for place in 0..<4 {
      let said = granted.map { draws($0.decision)[place] % 1000 < 500 }
      #expect(said != granted.map(\.isAudited))
    }
  }

  @Test func `an audit that nobody answers ends all grants until it is`() throws {
    let policy = DecisionPlace.policy(.auto) {
      $0.delegation.audit = 1000
      $0.auditWithin = .seconds(60)
    }
    let place = try DecisionPlace(policy, judge: ["ignores": .bool(true)])
    _ = try place.ask(until: .delegated)
    try place.ask()
    #expect(try place.asker("ana").taken.last?.grant != nil)
    place.deployment.run(for: .seconds(61))
    try place.ask()
    #expect(try place.asker("ana").taken.last?.grant == nil)
    #expect(try place.ledger().strata.first?.report.stage == .delegated)
  }

  @Test func `after the event the approver is told of all grants now and then`() throws {
    let policy = DecisionPlace.policy(.auto) {
      ($0.copies, $0.every) = (.after, .seconds(10))
      $0.delegation.audit = 1
    }
    let place = try DecisionPlace(policy)
    _ = try place.ask(until: .delegated)
    for _ in 0..<7 { try place.ask() }
    #expect(try place.judge().told == [])
    place.deployment.kill("top")
    try place.deployment.start("top")
    place.deployment.run(for: .seconds(12))
    #expect(try place.judge().told == [7])
    for _ in 0..<2 { try place.ask() }
    place.deployment.run(for: .seconds(12))
    #expect(try place.judge().told == [7, 2])
  }

  @Test func `a decision that waits is found`() throws {
    let place = try DecisionPlace(DecisionPlace.policy(.off), judge: ["after": .integer(60_000)])
    try place.deployment.publish(Trip.Wanted(trip: Trip(number: 3)), from: "ana", to: "ana")
    place.deployment.run(for: .seconds(20))
    let found = try TopologyReading(place.deployment.reader(of: "top"), of: place.topology).findings
    let stall = try #require(found.values.first { $0.finding.topic.kind == .stall })
    #expect(stall.finding.topic.agent == "boss" && stall.finding.topic.about == "trip", "\(stall)")
    place.deployment.run(for: .seconds(60))
    #expect(
      try TopologyReading(place.deployment.reader(of: "top"), of: place.topology).findings.isEmpty)
  }

  @Test func `nobody decides, asks or rules in another's name`() throws {
    let place = try DecisionPlace(DecisionPlace.policy(.auto))
    func failures() throws -> [String] {
      try place.stated(HandlerFailed.self).map(\.event.error)
    }
    try place.deployment.publish(
      DecisionRequested(
        decision: .none, requester: "ben", approver: "boss", kind: "trip", role: "", amount: 0, request: .null
      ),
      from: "eve", to: DecisionPlace.desk)
    place.deployment.run(for: .seconds(1))
    #expect(try failures().last?.contains("is not what its author may ask here") ?? false)
    try place.deployment.publish(
      DecisionAnswered(decision: .none, isGranted: true), from: "eve", to: DecisionPlace.desk)
    place.deployment.run(for: .seconds(1))
    #expect(try failures().last?.contains("'eve' answers for 'boss'") ?? false)
    try place.deployment.publish(DelegationRuled(.delegate), from: "eve", to: DecisionPlace.desk)
    place.deployment.run(for: .seconds(1))
    #expect(try failures().last?.contains("'eve' rules about delegation") ?? false)
    #expect(try place.ledger() == DecisionLedger())
  }
}
