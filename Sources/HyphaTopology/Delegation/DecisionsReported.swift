public import HyphaCore

/// What the desks of a node have come to, for the observer: of each stratum in which something has happened since the last report
/// all that there was, not what has come since. So a report that is lost, or comes twice, or of which only the next one arrives,
/// leaves nothing out and counts nothing twice.
///
/// Stated once a second where there is something new, and of all strata after a node's start.
public struct DecisionsReported: TopologyEvent, Hashable {
  /// One stratum.
  public struct Line: Hashable, Sendable, Codable {
    public var stratum: Delegation.Stratum
    /// How far it has come, and on what evidence.
    public var report: Delegation.Report
    /// What became of its decisions.
    public var figure: DecisionFigure
    /// How many of them wait for their approver.
    public var waiting: Int

    public init(
      _ stratum: Delegation.Stratum, report: Delegation.Report, figure: DecisionFigure, waiting: Int = 0
    ) {
      (self.stratum, self.report, self.figure, self.waiting) = (stratum, report, figure, waiting)
    }
  }

  public var node: NodeID
  /// At most ``lineCountMax``; what has no room is in a later one.
  public var lines: [Line]

  public static let lineCountMax = 64

  public init(node: NodeID, lines: [Line]) { (self.node, self.lines) = (node, lines) }
}

/// What the desks of one node have come to, as far as it is committed, and what of that is to be reported. Pure.
///
/// Constant work for an event. Memory: what the desks know themselves.
public struct DecisionBooks: Sendable {
  private var ledgers: [AgentID: DecisionLedger] = [:]
  /// What is to be reported, in the order in which it has happened.
  private var due: [Due] = []
  private var isDue: Set<Delegation.Stratum> = []

  private struct Due: Sendable {
    var desk: AgentID
    var stratum: Delegation.Stratum
  }

  /// No desks.
  public init() {}

  /// Takes up what a desk that begins knows; all of it is to be reported.
  public mutating func begin(_ desk: AgentID, with ledger: DecisionLedger) {
    ledgers[desk] = ledger
    for (stratum, _) in ledger.strata { note(stratum, of: desk) }
  }

  /// Takes what a desk has stated, once it is committed; in its order.
  public mutating func take(_ event: any Event, by desk: AgentID) {
    guard ledgers[desk] != nil else { return }
    switch event {
    case let event as DecisionReferred:
      ledgers[desk]?.apply(event)
      note(event.stratum, of: desk)
    case let event as DecisionTaken:
      ledgers[desk]?.apply(event)
      note(event.stratum, of: desk)
    case let event as DecisionAudited:
      ledgers[desk]?.apply(event)
      note(event.stratum, of: desk)
    case let event as DelegationChanged:
      ledgers[desk]?.apply(event)
      note(event.stratum, of: desk)
    case let event as DecisionsDelegated: ledgers[desk]?.apply(event)
    default: break
    }
  }

  private mutating func note(_ stratum: Delegation.Stratum, of desk: AgentID) {
    // What has no room among the strata counts nowhere.
    guard ledgers[desk]?.book.reports[stratum] != nil, isDue.insert(stratum).inserted else { return }
    due.append(Due(desk: desk, stratum: stratum))
  }

  /// The report that is due; nil where nothing has happened.
  public mutating func report(by node: NodeID) -> DecisionsReported? {
    guard !due.isEmpty else { return nil }
    let now = due.prefix(DecisionsReported.lineCountMax)
    due.removeFirst(now.count)
    var waiting: [Delegation.Stratum: Int] = [:]
    for desk in Set(now.map(\.desk)) {
      for open in ledgers[desk]?.open.values ?? [:].values where open.audited == nil {
        waiting[open.stratum, default: 0] += 1
      }
    }
    let lines = now.compactMap { one -> DecisionsReported.Line? in
      isDue.remove(one.stratum)
      guard let ledger = ledgers[one.desk] else { return nil }
      return DecisionsReported.Line(
        one.stratum, report: ledger.report(one.stratum), figure: ledger.figure(one.stratum),
        waiting: waiting[one.stratum] ?? 0)
    }
    return lines.isEmpty ? nil : DecisionsReported(node: node, lines: lines)
  }

  /// The oldest decision of each kind that waits for an approver.
  public func oldest() -> [(approver: AgentID, kind: String, since: Timestamp, usualMicroseconds: UInt64)] {
    var all: [(approver: AgentID, kind: String, since: Timestamp, usualMicroseconds: UInt64)] = []
    for (_, ledger) in ledgers.sorted(by: { $0.key < $1.key }) {
      var oldest: [String: DecisionLedger.Open] = [:]
      for open in ledger.open.values where open.audited == nil {
        if open.since < oldest[open.stratum.kind]?.since ?? Timestamp(rawValue: .max) {
          oldest[open.stratum.kind] = open
        }
      }
      for (kind, open) in oldest.sorted(by: { $0.key < $1.key }) {
        guard let approver = try? AgentID(open.stratum.approver) else { continue }
        all.append((approver, kind, open.since, ledger.usualWaitMicroseconds))
      }
    }
    return all
  }
}
