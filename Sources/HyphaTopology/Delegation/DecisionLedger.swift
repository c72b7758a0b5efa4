public import HyphaCore

/// What a desk knows of its approver's decisions: a fold of the events that the desk states, and of nothing else. So it is the same
/// after any crash, on any node that the desk is moved to, and for whoever reads the log.
public struct DecisionLedger: Sendable, Hashable {
  /// A decision that waits for its approver, or that its approver is to look at.
  public struct Open: Sendable, Hashable, Codable {
    public var decision: EventID
    public var requester: AgentID
    public var stratum: Delegation.Stratum
    public var amount: Int64
    public var since: Timestamp
    /// The grant under which it was granted already; nil where it waits.
    public var audited: String?
  }

  public private(set) var open: [EventID: Open] = [:]
  public private(set) var book = Delegation.Book()
  /// What became of the decisions of each stratum of the book.
  private var figures: [Delegation.Stratum: DecisionFigure] = [:]
  /// What was granted without the approver and the approver was not told of.
  public private(set) var untold: [DecisionsDelegated.Count] = []
  /// How many delegations there were.
  public private(set) var grantCount = 0
  /// How often the approver has answered, and how long that took together, in microseconds.
  public private(set) var answeredCount: UInt64 = 0
  public private(set) var waitedMicroseconds: UInt64 = 0

  /// The most decisions that wait; the next one is tried again until there is room.
  public static let openCountMax = 4096

  /// Nothing yet.
  public init() {}

  /// Since when the oldest decision waits, and the oldest audit. Each grant asks for it.
  public private(set) var waitingSince: Timestamp?
  public private(set) var auditSince: Timestamp?

  private mutating func insert(_ one: Open) {
    remove(one.decision)
    open[one.decision] = one
    let place: WritableKeyPath<Self, Timestamp?> = one.audited == nil ? \.waitingSince : \.auditSince
    self[keyPath: place] = min(self[keyPath: place] ?? one.since, one.since)
  }

  /// - Complexity: looks at all that are open where the oldest goes.
  private mutating func remove(_ decision: EventID) {
    guard let gone = open.removeValue(forKey: decision) else { return }
    let isAudit = gone.audited != nil
    let place: WritableKeyPath<Self, Timestamp?> = isAudit ? \.auditSince : \.waitingSince
    guard self[keyPath: place] == gone.since else { return }
    self[keyPath: place] = open.values.lazy.filter { ($0.audited != nil) == isAudit }.map(\.since).min()
  }

  /// How long a decision waits on average, in microseconds; 0 where there was none.
  public var usualWaitMicroseconds: UInt64 { answeredCount == 0 ? 0 : waitedMicroseconds / answeredCount }

  /// What is known of a stratum.
  public func report(_ stratum: Delegation.Stratum) -> Delegation.Report {
    book.reports[stratum] ?? Delegation.Report()
  }

  /// What became of the decisions of a stratum.
  public func figure(_ stratum: Delegation.Stratum) -> DecisionFigure {
    figures[stratum] ?? DecisionFigure()
  }

  /// All strata, in order.
  public var strata: [(stratum: Delegation.Stratum, report: Delegation.Report)] {
    book.reports.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
  }

  // MARK: The fold

  public mutating func apply(_ event: DecisionReferred) {
    insert(
      Open(
        decision: event.decision, requester: event.requester, stratum: event.stratum, amount: event.amount,
        since: event.requestedAt, audited: event.audited))
  }

  public mutating func apply(_ event: DecisionTaken) {
    guard event.grant == nil else {
      book.granted(event.stratum, isAudited: event.isAudited)
      count(event.stratum) { $0.granted += 1 }
      if let place = untold.firstIndex(where: { $0.stratum == event.stratum }) {
        untold[place].count += 1
        untold[place].newest = event.decision
      } else {
        untold.append(.init(stratum: event.stratum, count: 1, newest: event.decision))
      }
      return
    }
    remove(event.decision)
    answered(event.waitedMicroseconds)
    book.decided(event.stratum, approved: event.isGranted, strataMax: event.strataMax)
    count(event.stratum) { figure in
      if event.isGranted { figure.approved += 1 } else { figure.rejected += 1 }
      figure.waits.add(event.waitedMicroseconds)
    }
  }

  public mutating func apply(_ event: DecisionAudited) {
    remove(event.decision)
    book.decided(
      event.stratum, approved: event.isGranted, isAudit: true, strataMax: event.strataMax)
    count(event.stratum) { figure in
      if event.isGranted { figure.auditApproved += 1 } else { figure.auditRejected += 1 }
    }
  }

  public mutating func apply(_ event: DelegationChanged) {
    if event.to == .delegated { grantCount += 1 }
    book.move(
      event.stratum, to: event.to, grant: event.grant, isAnew: event.by != nil && event.to == .watched)
  }

  public mutating func apply(_: DecisionsDelegated) { untold = [] }

  private mutating func count(_ stratum: Delegation.Stratum, _ body: (inout DecisionFigure) -> Void) {
    guard book.reports[stratum] != nil else { return }
    body(&figures[stratum, default: DecisionFigure()])
  }

  private mutating func answered(_ microseconds: UInt64) {
    if answeredCount >= 1 << 20 { (answeredCount, waitedMicroseconds) = (1 << 19, waitedMicroseconds / 2) }
    answeredCount += 1
    waitedMicroseconds =
      waitedMicroseconds.addingReportingOverflow(microseconds).overflow
      ? waitedMicroseconds : waitedMicroseconds + microseconds
  }

  /// What follows from an answer of the approver, once it was counted: the change to be stated, if any.
  public func change(
    of stratum: Delegation.Stratum, approved: Bool, by policy: DeskPolicy
  ) -> DelegationChanged? {
    guard let report = book.reports[stratum],
      let stage = policy.delegation.next(report, approved: approved)
    else { return nil }
    return change(of: stratum, report, to: stage, by: policy)
  }

  /// The change of a stratum to a stage.
  public func change(
    of stratum: Delegation.Stratum, _ report: Delegation.Report, to stage: Delegation.Stage,
    by policy: DeskPolicy
  ) -> DelegationChanged {
    let grant =
      stage == .delegated ? "delegation:\(stratum.approver):\(grantCount + 1)" : report.grant
    return DelegationChanged(
      stratum: stratum, from: report.stage, to: stage, grant: grant, evidence: report, bound: report.bound,
      needed: Int64(10_000 - policy.delegation.risk), policyVersion: policy.version)
  }

  /// What becomes of a request.
  ///
  /// - Parameters:
  ///   - now: an audit that nobody has answered for longer than the policy has it suspends all grants.
  ///   - draw: a number at random, the desk's own: whoever asks has no say in whether it is audited. Asked for where there is a grant.
  public func course(
    of stratum: Delegation.Stratum, by policy: DeskPolicy, now: () -> Timestamp, draw: () -> UInt64
  ) -> Delegation.Course {
    guard policy.delegation.mode != .off, report(stratum).stage == .delegated else { return .asked }
    if let since = auditSince, now().since(since) > policy.auditWithin { return .asked }
    return policy.delegation.audits(draw()) ? .audited : .granted
  }
}

extension Delegation.Stratum: Comparable {
  /// By approver, kind, role and amounts.
  public static func < (left: Self, right: Self) -> Bool {
    let (one, other) = (left.names, right.names)
    if one == other { return (left.over ?? .min) < (right.over ?? .min) }
    return one.lexicographicallyPrecedes(other)
  }

  private var names: [String] { [approver, kind, requester] }
}

extension DecisionLedger: Codable {
  private struct Entry: Codable {
    var stratum: Delegation.Stratum
    var report: Delegation.Report
    /// Nil in states of versions that did not count.
    var figure: DecisionFigure?
  }

  private enum CodingKeys: CodingKey {
    case open, strata, untold, grantCount, answeredCount, waitedMicroseconds
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    for one in try container.decode([Open].self, forKey: .open) { insert(one) }
    for entry in try container.decode([Entry].self, forKey: .strata) {
      book.restore(entry.stratum, entry.report)
      figures[entry.stratum] = entry.figure
    }
    untold = try container.decode([DecisionsDelegated.Count].self, forKey: .untold)
    grantCount = try container.decode(Int.self, forKey: .grantCount)
    answeredCount = try container.decode(UInt64.self, forKey: .answeredCount)
    waitedMicroseconds = try container.decode(UInt64.self, forKey: .waitedMicroseconds)
  }

  /// In order, so that equal ledgers are equal bytes.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(open.values.sorted { $0.decision < $1.decision }, forKey: .open)
    try container.encode(strata.map { Entry(stratum: $0, report: $1, figure: figures[$0]) }, forKey: .strata)
    try container.encode(untold, forKey: .untold)
    try container.encode(grantCount, forKey: .grantCount)
    try container.encode(answeredCount, forKey: .answeredCount)
    try container.encode(waitedMicroseconds, forKey: .waitedMicroseconds)
  }
}
