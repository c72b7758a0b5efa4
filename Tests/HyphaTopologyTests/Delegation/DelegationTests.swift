import HyphaFormats
import Testing

@testable import HyphaTopology

/// Which decisions are taken without their approver, and what takes that back.
@Suite struct DelegationTests {
  private let stratum = Delegation.Stratum(approver: "director", kind: "travel")

  /// Decides until something changes; the number of decisions that took.
  private func untilChange(_ machine: inout Delegation, approved: Bool = true) -> (Int, Delegation.Change?) {
    for count in 1...1000 {
      guard machine.course(of: stratum) != .granted else { continue }
      if let change = machine.decided(stratum, approved: approved) { return (count, change) }
    }
    return (1000, nil)
  }

  @Test(
    arguments: [
      // n/(n + z²) for no rejection: 0.98 at 133, 0.96 at 65.
      (132, 0, 9800, false), (133, 0, 9800, true), (64, 0, 9600, false), (65, 0, 9600, true),
      // 396 of 400: 0.97791 by the textbook's formula.
      (396, 4, 9779, true), (396, 4, 9780, false), (0, 0, 1, false), (0, 0, 0, true), (5, 5, 9000, false),
      (1 << 40, 0, 9999, true), (0, 1 << 40, 1, false),
    ] as [(Int64, Int64, Int64, Bool)])
  func `the lower bound is Wilson's`(_ approved: Int64, _ rejected: Int64, _ bound: Int64, _ isReached: Bool)
  {
    #expect(Wilson.isReached(approved: approved, rejected: rejected, bound: bound) == isReached)
  }

  @Test func `the integer bound agrees with the formula in floating point`() {
    for seed in seeds(2000) {
      var random = SeededGenerator(seed: seed)
      let count = Double(Int.random(in: 1...5000, using: &random))
      let approved = count - Double(Int.random(in: 0...Int(count / 10), using: &random))
      let (z, rate) = (2.7056.squareRoot(), approved / count)
      let margin = z * (rate * (1 - rate) / count + z * z / (4 * count * count)).squareRoot()
      let lower = 10_000 * (rate + z * z / (2 * count) - margin) / (1 + z * z / count)
      let bound = lower.rounded(.down)
      func isReached(_ bound: Double) -> Bool {
        Wilson.isReached(approved: Int64(approved), rejected: Int64(count - approved), bound: Int64(bound))
      }
      if lower - bound > 0.01, lower - bound < 0.99 {
        #expect(isReached(bound) && !isReached(bound + 1), "seed \(seed)")
      }
    }
  }

  @Test func `a stratum is watched, shadowed, delegated, and audited`() throws {
    var machine = try Delegation()
    let shadowed = untilChange(&machine)
    #expect(shadowed.0 == 65 && shadowed.1?.stage == .shadowed)
    let delegated = untilChange(&machine)
    #expect(delegated.0 == 133 - 65 && delegated.1?.stage == .delegated)
    #expect(delegated.1?.evidence.approved == 133 && delegated.1?.evidence.shadowed == 68)
    var courses: [Delegation.Course: Int] = [:]
    for _ in 0..<10_000 { courses[machine.course(of: stratum), default: 0] += 1 }
    #expect(courses[.asked] == nil)
    let audited = try #require(courses[.audited])
    #expect((850...1150).contains(audited), "a tenth is audited, and it was \(audited) of 10,000")
    let report = machine.report(stratum)
    #expect(report.granted == 10_000 && report.audited == Int64(audited) && report.auditMisses == 0)
  }

  @Test func `the first audited rejection revokes, and all evidence is needed anew`() throws {
    var machine = try Delegation()
    for _ in 0..<133 { _ = machine.decided(stratum, approved: true) }
    #expect(machine.report(stratum).stage == .delegated)
    let revoked = untilChange(&machine, approved: false)
    #expect(revoked.1?.stage == .watched && revoked.1?.evidence.auditMisses == 1)
    #expect(machine.course(of: stratum) == .asked)
    #expect(machine.report(stratum).approved == 0)
    let again = [untilChange(&machine).0, untilChange(&machine).0]
    #expect(again == [65, 68])
  }

  @Test func `a miss of shadowing ends it, and it stays on record`() throws {
    var machine = try Delegation()
    _ = untilChange(&machine)
    let missed = machine.decided(stratum, approved: false)
    #expect(missed?.stage == .watched && machine.report(stratum).shadowMisses == 1)
    #expect(machine.course(of: stratum) == .asked)
  }

  @Test func `as many shadowed decisions are needed as the policy asks for, and as many in all`() throws {
    var policy = Delegation.Policy()
    policy.shadowed = 100
    var machine = try Delegation(policy: policy)
    #expect([untilChange(&machine).0, untilChange(&machine).0] == [65, 100])
    (policy.shadowed, policy.decisions) = (0, 300)
    machine = try Delegation(policy: policy)
    #expect([untilChange(&machine).0, untilChange(&machine).0] == [65, 235])
  }

  @Test func `strata are apart, and those beyond the bound are always asked`() throws {
    var policy = Delegation.Policy()
    policy.strataMax = 1
    var machine = try Delegation(policy: policy)
    let other = Delegation.Stratum(approver: "director", kind: "travel", over: 1)
    for _ in 0..<200 {
      _ = machine.decided(stratum, approved: true)
      _ = machine.decided(other, approved: true)
    }
    #expect(machine.course(of: stratum) != .asked)
    #expect(machine.course(of: other) == .asked && machine.report(other) == Delegation.Report())
  }

  @Test(arguments: [("risk", 0), ("audit", 1001), ("shadowed", -1), ("strata", 0)])
  func `a policy out of bounds is refused by name`(_ key: String, _ value: Int) throws {
    var policy = Delegation.Policy()
    policy[keyPath: try #require(Delegation.Policy.bounds.first { $0.key == key }).path] = value
    #expect { try Delegation(policy: policy) } throws: {
      "\($0)".contains("delegation: \(key) is \(value); use ")
    }
  }

  @Test(.enabled(if: Recordings.areThere, Recordings.absence))
  func `of the travel directors' decisions 55 per cent are delegated, and none is missed`() throws {
    var machine = try Delegation()
    let path = Recordings.path("bpic2020-PrepaidTravelCost.xes.gz")
    var decisions: [(time: Int64, stratum: Delegation.Stratum, approved: Bool)] = []
    try RecordedEvents.read(path: path, options: .init(resourceKey: "org:role")) { event in
      guard event.activity.hasSuffix(" by DIRECTOR") else { return }
      let isApproval = event.activity.contains("APPROVED")
      guard isApproval || event.activity.contains("REJECTED") else { return }
      let kind = event.activity.hasPrefix("Permit") ? "permit" : "payment"
      decisions.append((event.time, .init(approver: "DIRECTOR", kind: kind), isApproval))
    }
    decisions.sort { $0.time < $1.time }
    var (delegated, missed) = (0, 0)
    for decision in decisions {
      switch machine.course(of: decision.stratum) {
      case .asked: _ = machine.decided(decision.stratum, approved: decision.approved)
      case .granted:
        delegated += 1
        if !decision.approved { missed += 1 }
      case .audited:
        // Granted at once as well; the approver looks at it afterwards.
        delegated += 1
        _ = machine.decided(decision.stratum, approved: decision.approved)
      }
    }
    #expect(decisions.count == 395)
    #expect(Double(delegated) >= 0.55 * 395, "\(delegated) of \(decisions.count) were delegated")
    #expect(missed == 0)
  }
}
