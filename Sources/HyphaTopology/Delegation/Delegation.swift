import HyphaCore

/// Which decisions may be taken without their approver, on the evidence of those that the approver took: a pure machine in
/// integers.
///
/// Decisions fall into *strata*: those of one approver about one kind, for one role, in one range of amounts. A stratum is
/// first *watched*. When the lower bound of its approval rate (Wilson, one-sided, 95 %) comes near the bound that the
/// declared risk asks for, it is *shadowed*: the machine says what it would have granted, and the approver still decides.
/// When the bound is reached and a number of shadowed decisions had no miss, it is *delegated*, or *proposed* where an operator
/// is to say so: granted at once, and a share is audited by the approver afterwards. The first audited rejection revokes it, and
/// the stratum starts anew.
///
/// **What it does not promise.** That a decision granted without an audit would have been approved. The risk is declared, and the
/// report shows what shadowing and audits found.
///
/// Memory is bounded: beyond ``Policy/strataMax`` strata, decisions of others go to their approver and teach nothing.
public struct Delegation: Sendable {
  /// What is risked, and how closely it is looked at.
  public struct Policy: Sendable, Hashable, Codable {
    /// What becomes of a stratum that has earned it.
    public var mode = ObserverPolicy.Mode.auto
    /// The share of wrong grants that is accepted, in ten thousandths; 1 to 5,000.
    public var risk = 200
    /// The share of grants that is audited, in thousandths; 1 to 1,000.
    public var audit = 100
    /// The shadowed decisions without a miss that a delegation needs; 0 to 1,000,000.
    public var shadowed = 32
    /// The decisions of the approver that a delegation needs; 0 to 1,000,000.
    public var decisions = 0
    /// The most strata; 1 to 1,000,000.
    public var strataMax = 4096

    /// The defaults.
    public init() {}

    static let bounds:
      [(key: String, path: any WritableKeyPath<Policy, Int> & Sendable, range: ClosedRange<Int>)] = [
        ("risk", \.risk, 1...5000), ("audit", \.audit, 1...1000), ("shadowed", \.shadowed, 0...1_000_000),
        ("decisions", \.decisions, 0...1_000_000), ("strata", \.strataMax, 1...1_000_000),
      ]

    /// - Throws: `invalidTopology` for a policy out of bounds.
    func check() throws {
      for (key, path, range) in Self.bounds where !range.contains(self[keyPath: path]) {
        throw HyphaError(
          .invalidTopology, "delegation: \(key) is \(self[keyPath: path])",
          remedy: "use \(range.lowerBound) to \(range.upperBound)")
      }
    }

    /// The stage that follows from an answer of the approver, after it was counted; nil for the same.
    public func next(_ report: Report, approved: Bool) -> Stage? {
      switch report.stage {
      case .watched: return isNear(report) ? .shadowed : nil
      case .shadowed where approved, .proposed where approved:
        let earned: Stage =
          switch mode {
          case .auto: .delegated
          case .suggest: .proposed
          case .off: .shadowed
          }
        let stage = isEarned(report) ? earned : .shadowed
        return stage == report.stage ? nil : stage
      case .delegated where approved: return nil
      case .shadowed, .proposed, .delegated: return .watched
      }
    }

    /// Whether a grant is audited, by a number that nobody chooses.
    public func audits(_ draw: UInt64) -> Bool { draw % 1000 < UInt64(audit) }

    /// Shadowing begins when the bound for twice the risk is reached.
    private func isNear(_ report: Report) -> Bool {
      Wilson.isReached(
        approved: report.approved, rejected: report.rejected, bound: Int64(10_000 - 2 * risk))
    }

    func isEarned(_ report: Report) -> Bool {
      report.shadowed >= Int64(shadowed) && report.approved + report.rejected >= Int64(decisions)
        && Wilson.isReached(
          approved: report.approved, rejected: report.rejected, bound: Int64(10_000 - risk))
    }
  }

  /// Decisions of one sort.
  public struct Stratum: Sendable, Hashable, Codable {
    public var approver: String
    public var kind: String
    /// The role of who asks.
    public var requester: String
    /// The range that the amount falls into: more than the one, and no more than the other; nil for no bound.
    public var over, upTo: Int64?

    public init(
      approver: String, kind: String, requester: String = "", over: Int64? = nil, upTo: Int64? = nil
    ) {
      self.approver = approver
      self.kind = kind
      self.requester = requester
      (self.over, self.upTo) = (over, upTo)
    }
  }

  /// How far a stratum has come.
  public enum Stage: String, Sendable, Codable { case watched, shadowed, proposed, delegated }

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
  public struct Report: Sendable, Hashable, Codable {
    public var stage = Stage.watched
    /// Decisions of the approver since the stratum last started anew, audits included.
    public var approved: Int64 = 0
    public var rejected: Int64 = 0
    /// Shadowed decisions since then, all without a miss; and misses of shadowing, ever.
    public var shadowed: Int64 = 0
    public var shadowMisses: Int64 = 0
    /// Grants, those of them that the approver was to look at, and audits that rejected, ever.
    public var granted: Int64 = 0
    public var audited: Int64 = 0
    public var auditMisses: Int64 = 0
    /// Decisions that were or would have been granted and of which the approver's answer is known, ever.
    public var lookedAt: Int64 = 0
    /// What a grant is called in the authority of what is granted under it; nil where there is none.
    public var grant: String?

    /// The lower bound of the approval rate, in ten thousandths.
    public var bound: Int64 { Wilson.lowerBound(approved: approved, rejected: rejected) }
    /// What shadowing and audits found to be wrong: rejections of what was or would have been granted.
    public var misses: Int64 { shadowMisses + auditMisses }
  }

  /// A change of a stratum's stage, with its evidence.
  public struct Change: Sendable, Hashable {
    public var stratum: Stratum
    public var stage: Stage
    public var evidence: Report
  }

  /// What is known of all strata: a fold of decisions and of changes of stages, which needs no policy.
  public struct Book: Sendable, Hashable {
    public private(set) var reports: [Stratum: Report] = [:]

    public init() {}

    /// Takes up what was known of a stratum.
    mutating func restore(_ stratum: Stratum, _ report: Report) { reports[stratum] = report }

    /// Counts a grant.
    public mutating func granted(_ stratum: Stratum, isAudited: Bool) {
      reports[stratum]?.granted += 1
      if isAudited { reports[stratum]?.audited += 1 }
    }

    /// Counts an answer of the approver; one of a stratum that is not known where there are as many as there may be counts nowhere.
    ///
    /// - Parameter isAudit: whether it was granted before: such an answer may come when the grant is over, and shadows nothing.
    public mutating func decided(
      _ stratum: Stratum, approved: Bool, isAudit: Bool = false, strataMax: Int
    ) {
      guard var report = reports[stratum] ?? (reports.count < strataMax ? Report() : nil) else { return }
      if approved { report.approved += 1 } else { report.rejected += 1 }
      if isAudit || report.stage != .watched { report.lookedAt += 1 }
      if isAudit || report.stage == .delegated {
        if !approved { report.auditMisses += 1 }
      } else if report.stage != .watched {
        if approved { report.shadowed += 1 } else { report.shadowMisses += 1 }
      }
      if !approved { report.shadowed = 0 }
      if report.approved + report.rejected >= Delegation.countMax {
        // Half of the evidence is as good at this size, and the numbers stay in their bounds.
        (report.approved, report.rejected) = (report.approved / 2, (report.rejected + 1) / 2)
      }
      reports[stratum] = report
    }

    /// Moves a stratum to a stage. Where a delegation ends, or an operator says so, all evidence is needed anew.
    public mutating func move(
      _ stratum: Stratum, to stage: Stage, grant: String? = nil, isAnew: Bool = false
    ) {
      guard var report = reports[stratum] else { return }
      if isAnew || stage == .watched && report.stage == .delegated {
        (report.approved, report.rejected, report.shadowed) = (0, 0, 0)
      }
      (report.stage, report.grant) = (stage, stage == .delegated ? grant : nil)
      reports[stratum] = report
    }
  }

  public let policy: Policy
  private var book = Book()
  private var generator = SeededGenerator(seed: 0x6175_6469_74)

  /// - Throws: `invalidTopology` for a policy out of bounds.
  public init(policy: Policy = Policy()) throws {
    try policy.check()
    self.policy = policy
  }

  /// What becomes of the next decision of `stratum`. Where it is ``Course/asked`` or ``Course/audited``, the approver's
  /// answer goes to ``decided(_:approved:)``.
  public mutating func course(of stratum: Stratum) -> Course {
    guard book.reports[stratum]?.stage == .delegated else { return .asked }
    let isAudited = policy.audits(generator.next())
    book.granted(stratum, isAudited: isAudited)
    return isAudited ? .audited : .granted
  }

  /// Takes an approver's answer, and returns the change of stage that it brings.
  public mutating func decided(_ stratum: Stratum, approved: Bool) -> Change? {
    book.decided(stratum, approved: approved, strataMax: policy.strataMax)
    guard let report = book.reports[stratum], let stage = policy.next(report, approved: approved) else {
      return nil
    }
    book.move(stratum, to: stage)
    return Change(stratum: stratum, stage: stage, evidence: self.report(stratum))
  }

  /// What is known of a stratum.
  public func report(_ stratum: Stratum) -> Report { book.reports[stratum] ?? Report() }

  fileprivate static let countMax: Int64 = 1 << 32
}

extension ObserverPolicy.Mode: Codable {}

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

  /// The lower bound itself, in ten thousandths, rounded down.
  static func lowerBound(approved: Int64, rejected: Int64) -> Int64 {
    var (low, high): (Int64, Int64) = (0, 9_999)
    while low < high {
      let middle = (low + high + 1) / 2
      let isReached = isReached(approved: approved, rejected: rejected, bound: middle)
      (low, high) = isReached ? (middle, high) : (low, middle - 1)
    }
    return low
  }
}
