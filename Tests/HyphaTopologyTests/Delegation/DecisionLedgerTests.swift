import HyphaCore
import Testing

@testable import HyphaTopology

/// What a desk knows and decides, without a desk.
@Suite struct DecisionLedgerTests {
  private let stratum = Delegation.Stratum(approver: "boss", kind: "trip", requester: "asker", upTo: 9)
  private func id(_ number: Int) -> EventID {
    EventID(time: Timestamp(microseconds: 1_000_000 + UInt64(number)), random: UInt64(number) &* 0x9E37_79B9)
  }

  private func policy(_ mode: ObserverPolicy.Mode) -> DeskPolicy {
    var policy = DeskPolicy(approver: "boss")
    policy.delegation.mode = mode
    return policy
  }

  /// A ledger with one stratum that is delegated.
  private func delegated() throws -> DecisionLedger {
    var ledger = DecisionLedger()
    for number in 0..<200 where ledger.report(stratum).stage != .delegated {
      ledger.apply(
        DecisionReferred(
          decision: id(number), requester: "ana", desk: "d", stratum: stratum,
          requestedAt: Timestamp(microseconds: 5)))
      ledger.apply(
        DecisionTaken(
          decision: id(number), requester: "ana", stratum: stratum, isGranted: true, waitedMicroseconds: 7))
      if let change = ledger.change(of: stratum, approved: true, by: policy(.auto)) { ledger.apply(change) }
    }
    try #require(ledger.report(stratum).stage == .delegated)
    return ledger
  }

  private func course(
    _ ledger: DecisionLedger, _ number: Int, _ policy: DeskPolicy, now: UInt64 = 10
  ) -> Delegation.Course {
    var random = SeededGenerator(seed: UInt64(number))
    return ledger.course(of: stratum, by: policy) {
      Timestamp(microseconds: now)
    } draw: {
      random.next()
    }
  }

  @Test func `a grant is called by its approver and its number, and the change says why`() throws {
    let ledger = try delegated()
    #expect(ledger.report(stratum).grant == "delegation:boss:1" && ledger.grantCount == 1)
    #expect(ledger.open.isEmpty && ledger.waitingSince == nil)
    #expect(ledger.usualWaitMicroseconds == 7 && ledger.answeredCount == 133)
  }

  @Test func `an audit of a grant that is over is no decision in the shadow`() throws {
    var ledger = try delegated()
    let before = ledger.report(stratum)
    func move(to stage: Delegation.Stage) {
      ledger.apply(ledger.change(of: stratum, ledger.report(stratum), to: stage, by: policy(.auto)))
    }
    func audit(_ number: Int, _ isGranted: Bool) {
      ledger.apply(
        DecisionAudited(
          decision: id(number), stratum: stratum, grant: "delegation:boss:1", isGranted: isGranted))
    }
    move(to: .watched)
    audit(1000, true)
    move(to: .shadowed)
    audit(1001, true)
    let report = ledger.report(stratum)
    #expect(report.approved == 2 && report.shadowed == 0 && report.lookedAt == before.lookedAt + 2)
    audit(1002, false)
    #expect(ledger.report(stratum).auditMisses == 1 && ledger.report(stratum).shadowMisses == 0)
  }

  @Test func `the declared share is audited, and which is said by what the desk draws alone`() throws {
    let ledger = try delegated()
    let courses = (0..<10_000).map { course(ledger, $0, policy(.auto)) }
    #expect((850...1150).contains(courses.count { $0 == .audited }) && !courses.contains(.asked))
    #expect(courses == (0..<10_000).map { course(ledger, $0, policy(.suggest)) })
  }

  @Test func `since when the oldest waits is known, whatever is answered first`() throws {
    for seed in 1...20 {
      var random = SeededGenerator(seed: UInt64(seed))
      var ledger = DecisionLedger()
      for number in 0..<200 {
        if random.next() % 3 > 0 {
          var referred = DecisionReferred(
            decision: id(number % 60), requester: "ana", desk: "d", stratum: stratum,
            requestedAt: Timestamp(microseconds: random.next() % 50))
          referred.audited = random.next() % 2 == 0 ? "delegation:boss:1" : nil
          ledger.apply(referred)
        } else if let one = ledger.open.keys.sorted().randomElement(using: &random) {
          ledger.apply(
            DecisionTaken(
              decision: one, requester: "ana", stratum: stratum, isGranted: true, waitedMicroseconds: 7))
        }
        let (audits, others) = (
          ledger.open.values.filter { $0.audited != nil }, ledger.open.values.filter { $0.audited == nil }
        )
        #expect(
          ledger.auditSince == audits.map(\.since).min() && ledger.waitingSince == others.map(\.since).min())
      }
    }
  }

  @Test func `where the file says that nothing is delegated any more, nothing is`() throws {
    let ledger = try delegated()
    #expect((0..<100).allSatisfy { course(ledger, $0, policy(.off)) == .asked })
  }

  @Test func `an audit that waits too long suspends all grants, and its answer lets them go on`() throws {
    var ledger = try delegated()
    ledger.apply(
      DecisionReferred(
        decision: id(7), requester: "ana", desk: "d", stratum: stratum,
        requestedAt: Timestamp(microseconds: 1_000_000), audited: "delegation:boss:1"))
    #expect(ledger.auditSince != nil && ledger.waitingSince == nil)
    let late: UInt64 = 1_000_000 + 86_400_000_000
    #expect(course(ledger, 1, policy(.auto), now: late) != .asked)
    #expect(course(ledger, 1, policy(.auto), now: late + 1) == .asked)
    ledger.apply(
      DecisionAudited(decision: id(7), stratum: stratum, grant: "delegation:boss:1", isGranted: true))
    #expect(course(ledger, 1, policy(.auto), now: late + 1) != .asked)
  }

  @Test func `equal ledgers are equal bytes, and come back`() throws {
    var ledger = try delegated()
    for number in 300..<320 {
      var other = stratum
      other.kind = "kind \(number % 7)"
      ledger.apply(
        DecisionReferred(decision: id(number), requester: "ana", desk: "d", stratum: other, amount: 4))
      ledger.apply(
        DecisionTaken(
          decision: id(number + 100), requester: "ana", stratum: stratum, isGranted: true,
          grant: "delegation:boss:1"))
    }
    let bytes = try JSON.encode(ledger)
    let again = try JSON.decode(DecisionLedger.self, from: bytes)
    #expect(again == ledger)
    #expect(try JSON.encode(again) == bytes)
    #expect(ledger.untold == [.init(stratum: stratum, count: 20, newest: id(419))])
  }

  @Test func `a proposal waits for an operator, unless the file does not ask for one any more`() throws {
    var report = Delegation.Report()
    (report.stage, report.approved, report.shadowed) = (.proposed, 200, 100)
    #expect(policy(.suggest).delegation.next(report, approved: true) == nil)
    #expect(policy(.auto).delegation.next(report, approved: true) == .delegated)
    #expect(policy(.off).delegation.next(report, approved: true) == .shadowed)
    #expect(policy(.suggest).delegation.next(report, approved: false) == .watched)
    report.decisionsNeeded(201) { #expect($0.next(report, approved: true) == .shadowed) }
  }
}

extension Delegation.Report {
  /// A policy that asks for so many decisions.
  fileprivate func decisionsNeeded(_ count: Int, _ body: (Delegation.Policy) -> Void) {
    var policy = Delegation.Policy()
    policy.decisions = count
    body(policy)
  }
}
