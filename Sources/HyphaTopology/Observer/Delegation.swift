import HyphaCore

/// Which decisions may be taken without their approver, on the evidence of those that the approver took: a pure machine in
/// integers.
///
/// Decisions fall into *strata*: those of one approver about one kind, for one role, in one range of amounts. A stratum is
/// first *watched*. When the lower bound of its approval rate (Wilson, one-sided, 95 %) comes near the bound that the
/// declared risk asks for, it is *shadowed*: the machine says what it would have granted, and the approver still decides.
/// When the bound is reached and a number of shadowed decisions had no miss, it is *delegated*: granted at once, and a share
/// is audited by the approver afterwards. The first audited rejection revokes it, and the stratum starts anew.
///
/// **What it does not promise.** That a decision granted without an audit would have been approved. The risk is declared, and the
/// report shows what shadowing and audits found.
///
/// Memory is bounded: beyond ``Policy/strataMax`` strata, decisions of others go to their approver and teach nothing.
public struct Delegation: Sendable {
  /// What is risked, and how closely it is looked at.
  public struct Policy: Sendable, Hashable {
    /// The share of wrong grants that is accepted, in ten thousandths; 1 to 5,000.
    public var risk = 200
    /// The share of grants that is audited, in thousandths; 1 to 1,000.
    public var audit = 100
    /// The shadowed decisions without a miss that a delegation needs; 0 to 1,000,000.
    public var shadowed = 32
    /// The most strata; 1 to 1,000,000.
    public var strataMax = 4096

    /// The defaults.
    public init() {}

    static let bounds:
      [(key: String, path: any WritableKeyPath<Policy, Int> & Sendable, range: ClosedRange<Int>)] = [
        ("risk", \.risk, 1...5000), ("audit", \.audit, 1...1000), ("shadowed", \.shadowed, 0...1_000_000),
        ("strata", \.strataMax, 1...1_000_000),
      ]
  }

  /// Decisions of one sort.
  public struct Stratum: Sendable, Hashable, Codable {
    public var approver: String
    public var kind: String
    /// The role of who asks.
    public var requester: String
    /// The range that the amount falls into, as a number of the caller's choice.
    public var amount: Int

    public init(approver: String, kind: String, requester: String = "", amount: Int = 0) {
      self.approver = approver
      self.kind = kind
      self.requester = requester
      self.amount = amount
    }
  }

  /// How far a stratum has come.
  public enum Stage: String, Sendable, Codable { case watched, shadowed, delegated }

  /// What becomes of one decision.
  public enum Course: String, Sendable {
    /// The approver decides.
    case asked
    /// It is granted.
    case granted
    /// It is granted, and the approver looks at it afterwards.
    case audited
  }

  /// What a stratum has come to.
  public struct Report: Sendable, Hashable {
    public var stage = Stage.watched
    /// Decisions of the approver since the stratum last started anew, audits included.
    public var approved: Int64 = 0
    public var rejected: Int64 = 0
    /// Shadowed decisions since then, all without a miss; and misses of shadowing, ever.
    public var shadowed: Int64 = 0
    public var shadowMisses: Int64 = 0
    /// Grants, those of them that were audited, and audits that rejected, ever.
    public var granted: Int64 = 0
    public var audited: Int64 = 0
    public var auditMisses: Int64 = 0
  }

  /// A change of a stratum's stage, with its evidence.
  public struct Change: Sendable, Hashable {
    public var stratum: Stratum
    public var stage: Stage
    public var evidence: Report
  }

  public let policy: Policy
  private var reports: [Stratum: Report] = [:]
  private var generator = SeededGenerator(seed: 0x6175_6469_74)

  /// - Throws: `invalidTopology` for a policy out of bounds.
  public init(policy: Policy = Policy()) throws {
    for (key, path, range) in Policy.bounds where !range.contains(policy[keyPath: path]) {
      throw HyphaError(
        .invalidTopology, "delegation: \(key) is \(policy[keyPath: path])",
        remedy: "use \(range.lowerBound) to \(range.upperBound)")
    }
    self.policy = policy
  }

  /// What becomes of the next decision of `stratum`. Where it is ``Course/asked`` or ``Course/audited``, the approver's
  /// answer goes to ``decided(_:approved:)``.
  public mutating func course(of stratum: Stratum) -> Course {
    guard reports[stratum]?.stage == .delegated else { return .asked }
    reports[stratum]?.granted += 1
    guard generator.next() % 1000 < UInt64(policy.audit) else { return .granted }
    reports[stratum]?.audited += 1
    return .audited
  }

  /// Takes an approver's answer, and returns the change of stage that it brings.
  public mutating func decided(_ stratum: Stratum, approved: Bool) -> Change? {
    guard var report = reports[stratum] ?? (reports.count < policy.strataMax ? Report() : nil) else {
      return nil
    }
    let before = report.stage
    if approved { report.approved += 1 } else { report.rejected += 1 }
    switch report.stage {
    case .watched:
      if isNear(report) { report.stage = .shadowed }
    case .shadowed where approved:
      report.shadowed += 1
      if report.shadowed >= Int64(policy.shadowed), isReached(report) { report.stage = .delegated }
    case .shadowed:
      report.shadowMisses += 1
      report.shadowed = 0
      report.stage = .watched
    case .delegated where approved: break
    case .delegated:
      report.auditMisses += 1
      (report.approved, report.rejected, report.shadowed) = (0, 0, 0)
      report.stage = .watched
    }
    if report.approved + report.rejected >= Self.countMax {
      // Half of the evidence is as good at this size, and the numbers stay in their bounds.
      (report.approved, report.rejected) = (report.approved / 2, (report.rejected + 1) / 2)
    }
    reports[stratum] = report
    return report.stage == before ? nil : Change(stratum: stratum, stage: report.stage, evidence: report)
  }

  /// What is known of a stratum.
  public func report(_ stratum: Stratum) -> Report { reports[stratum] ?? Report() }

  /// Shadowing begins when the bound for twice the risk is reached.
  private func isNear(_ report: Report) -> Bool {
    Wilson.isReached(
      approved: report.approved, rejected: report.rejected, bound: Int64(10_000 - 2 * policy.risk))
  }

  private func isReached(_ report: Report) -> Bool {
    Wilson.isReached(approved: report.approved, rejected: report.rejected, bound: Int64(10_000 - policy.risk))
  }

  private static let countMax: Int64 = 1 << 32
}

/// The one-sided 95 % Wilson lower bound of a rate, in integers (Wilson 1927).
enum Wilson {
  /// The square of the normal distribution's 95 % quantile, 1.6449, in ten thousandths.
  private static let quantileSquared: UInt128 = 27_056

  /// Whether the lower bound of the approval rate is at `bound` ten thousandths or above.
  ///
  /// The lower bound is the rate b at which the observed rate lies 1.6449 standard errors above: it is reached when
  /// `a − n·b ≥ 0` and `(a − n·b)² ≥ z²·n·b·(1 − b)`.
  static func isReached(approved: Int64, rejected: Int64, bound: Int64) -> Bool {
    guard bound > 0 else { return true }
    let count = UInt128(approved + rejected)
    let (all, limit) = (UInt128(approved) * 10_000, count * UInt128(bound))
    guard count > 0, all >= limit else { return false }
    let excess = all - limit
    return excess * excess * 10_000 >= quantileSquared * count * UInt128(bound) * UInt128(10_000 - bound)
  }
}
