public import HyphaCore

/// What the observer knows of decisions: of each stratum the newest that its desk's node has reported. Pure, in integers.
///
/// Bounded by ``lineCountMax``: strata beyond that are passed over.
public struct DecisionWatch: Sendable, Hashable {
  /// What is known of one stratum, from whom and since when.
  public struct Line: Sendable, Hashable, Codable {
    public var line: DecisionsReported.Line
    public var node: NodeID
    public var time: Timestamp
  }

  private var known: [Delegation.Stratum: Line] = [:]
  /// What the topology file says of the desks.
  private let policies: [String: DeskPolicy]

  public static let lineCountMax = 4096
  /// How many decisions of a kind must have been waited for before that says what is usual.
  static let usualCountMin: UInt32 = 8

  /// Nothing known yet of the decisions of a topology.
  public init(_ topology: Topology) {
    let policies = topology.desks.compactMap {
      try? JSON.decode(DeskPolicy.self, from: JSON.encode($0.settings))
    }
    self.policies = Dictionary(policies.map { ($0.approver.text, $0) }) { $1 }
  }

  init() { policies = [:] }

  /// All that is known, in the order of approvers, kinds, roles and amounts.
  public var lines: [Line] { known.values.sorted { $0.line.stratum < $1.line.stratum } }

  /// What is known of a stratum.
  public subscript(_ stratum: Delegation.Stratum) -> Line? { known[stratum] }

  /// Takes a report. One that was stated before the one that is known, by the node on which the desk was then, says nothing new.
  ///
  /// - Returns: the strata of which something is known now that was not.
  @discardableResult
  public mutating func take(_ report: DecisionsReported, at time: Timestamp) -> [Delegation.Stratum] {
    report.lines.prefix(DecisionsReported.lineCountMax).compactMap { line in
      let stratum = line.stratum
      guard line.isSane, policies[stratum.approver] != nil, time >= known[stratum]?.time ?? .zero,
        known[stratum] != nil || known.count < Self.lineCountMax
      else { return nil }
      known[stratum] = Line(line: line, node: report.node, time: time)
      return stratum
    }
  }

  /// How long an approver usually takes for a decision of a kind, by what was reported; nil where too few were waited for.
  public func usualMicroseconds(_ approver: AgentID, _ kind: String) -> UInt64? {
    var waits = DecisionWaits()
    for (stratum, line) in known where stratum.approver == approver.text && stratum.kind == kind {
      waits.add(line.line.figure.waits)
    }
    return waits.count < Self.usualCountMin ? nil : waits.usualMicroseconds
  }

  /// What an operator should know of a stratum: that it has earned a delegation which the file leaves to an operator, or does not have.
  func earned(_ stratum: Delegation.Stratum) -> Finding? {
    guard let line = known[stratum]?.line, let policy = policies[stratum.approver]?.delegation,
      let approver = try? AgentID(stratum.approver)
    else { return nil }
    let report = line.report
    switch policy.mode {
    case .auto: return nil
    case .suggest: guard report.stage == .proposed else { return nil }
    case .off: guard report.stage == .shadowed, report.isSane, policy.isEarned(report) else { return nil }
    }
    guard report.isSane else { return nil }
    return Finding(
      Finding.Topic(.delegable, approver, about: stratum.text),
      .decisions(
        stratum, approved: Int(report.approved), of: Int(report.approved + report.rejected),
        bound: Int(report.bound), needed: 10_000 - policy.risk, isProposed: report.stage == .proposed))
  }

  /// All that is known, to go on from.
  var memory: [Line] {
    get { lines }
    set { known = Dictionary(newValue.prefix(Self.lineCountMax).map { ($0.line.stratum, $0) }) { $1 } }
  }
}

extension DecisionsReported.Line {
  /// Whether its numbers can be: a node may say what it likes.
  fileprivate var isSane: Bool {
    report.isSane && figure.isSane && (0...1 << 32).contains(waiting)
  }
}

extension Delegation.Report {
  fileprivate var isSane: Bool {
    (0...1 << 32).contains(approved) && (0...1 << 32).contains(rejected) && shadowed >= 0
  }
}

extension Delegation.Stratum {
  /// In words: `permit of clerk, over 100 up to 1000`.
  public var text: String { "\(kind) of \(requester)" + (rangeText.isEmpty ? "" : ", \(rangeText)") }

  /// Its range of amounts in words; empty for any.
  public var rangeText: String {
    switch (over, upTo) {
    case (nil, nil): ""
    case (nil, let upTo?): "up to \(upTo)"
    case (let over?, nil): "over \(over)"
    case (let over?, let upTo?): "over \(over) up to \(upTo)"
    }
  }
}
