public import HyphaCore

/// What a desk may do: the settings of one approver's desk, which the section `delegation` of a topology file says for all
/// approvers that it names.
///
/// A desk is an agent of a kind of the bus, on its approver's node and below the approver. Requests for decisions go to it.
public struct DeskPolicy: Sendable, Hashable {
  public var approver: AgentID
  /// The number that grants carry in their authority; raised with every change.
  public var version: UInt32 = 1
  public var delegation: Delegation.Policy
  /// How long an audit may wait for the approver's answer before nothing is granted any more.
  public var auditWithin: Duration = .seconds(86_400)
  /// The upper bounds of the ranges of amounts, ascending; none means one range for all.
  public var amounts: [Int64] = []
  /// How the approver is told of what is granted without it: ``OversightRule/Mode/parallel`` or ``OversightRule/Mode/after``.
  public var copies = OversightRule.Mode.parallel
  /// How often at the most, of `after`.
  public var every: Duration = .seconds(3600)

  /// The defaults: decisions are observed, and nothing is delegated.
  public init(approver: AgentID) {
    self.approver = approver
    delegation = Delegation.Policy()
    delegation.mode = .off
  }

  /// The kind of desks, and what their names begin with.
  public static let kind = "hypha.desk"
  static let prefix = "hypha.desk."
  static let amountCountMax = 64

  /// The desk of an approver, where it has one.
  public static func desk(of approver: AgentID) -> AgentID { AgentID(unchecked: prefix + approver.text) }
  static let approverByteCountMax = AgentID.byteCountMax - prefix.utf8.count

  /// The stratum of a decision.
  public func stratum(kind: String, role: String, amount: Int64) -> Delegation.Stratum {
    let place = amounts.count { $0 < amount }
    return Delegation.Stratum(
      approver: approver.text, kind: kind, requester: role, over: place > 0 ? amounts[place - 1] : nil,
      upTo: place < amounts.count ? amounts[place] : nil)
  }
}

extension DeskPolicy: Codable {
  private enum CodingKeys: String, CodingKey {
    case approver, version, mode, risk, audit, shadowed, decisions, strata, amounts, copies
    case auditWithin = "audit-within-ms"
    case every = "every-ms"
  }

  /// The names of a desk's settings.
  public static let settingNames: Set<String> = [
    "approver", "version", "mode", "risk", "audit", "shadowed", "decisions", "strata", "amounts", "copies",
    "audit-within-ms", "every-ms",
  ]

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(approver: try container.decode(AgentID.self, forKey: .approver))
    func read<Value: Decodable>(_ key: CodingKeys, _ set: (Value) -> Void) throws {
      if let value = try container.decodeIfPresent(Value.self, forKey: key) { set(value) }
    }
    try read(.version) { version = $0 }
    try read(.mode) { delegation.mode = $0 }
    try read(.risk) { delegation.risk = $0 }
    try read(.audit) { delegation.audit = $0 }
    try read(.shadowed) { delegation.shadowed = $0 }
    try read(.decisions) { delegation.decisions = $0 }
    try read(.strata) { delegation.strataMax = $0 }
    try read(.amounts) { amounts = $0 }
    try read(.copies) { copies = $0 }
    try read(.auditWithin) { auditWithin = .milliseconds($0 as Int64) }
    try read(.every) { every = .milliseconds($0 as Int64) }
    try check()
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(approver, forKey: .approver)
    try container.encode(version, forKey: .version)
    try container.encode(delegation.mode, forKey: .mode)
    try container.encode(delegation.risk, forKey: .risk)
    try container.encode(delegation.audit, forKey: .audit)
    try container.encode(delegation.shadowed, forKey: .shadowed)
    try container.encode(delegation.decisions, forKey: .decisions)
    try container.encode(delegation.strataMax, forKey: .strata)
    try container.encode(amounts, forKey: .amounts)
    try container.encode(copies, forKey: .copies)
    try container.encode(auditWithin.wholeMicroseconds / 1000, forKey: .auditWithin)
    try container.encode(every.wholeMicroseconds / 1000, forKey: .every)
  }

  /// - Throws: `invalidTopology` for what cannot be.
  func check() throws {
    try delegation.check()
    guard zip(amounts, amounts.dropFirst()).allSatisfy({ $0 < $1 }), amounts.count <= Self.amountCountMax
    else {
      throw HyphaError(
        .invalidTopology, "delegation: the amounts do not ascend, or are more than \(Self.amountCountMax)",
        remedy: "write them in order, such as [100, 1000]")
    }
    guard copies == .parallel || copies == .after else {
      throw HyphaError(
        .invalidTopology, "delegation: copies is '\(copies.rawValue)'", remedy: "use parallel or after")
    }
  }
}

extension Topology {
  /// The desks of approvers, in the order of the file.
  public var desks: [AgentSpec] { agents.filter { $0.kind == DeskPolicy.kind && !isRetired($0.id) } }

  /// The nearest supervisor above an agent that takes decisions; nil where there is none.
  ///
  /// - Complexity: linear in the agent's depth.
  public func approver(above agent: AgentID) -> AgentID? {
    sequence(first: agent) { self.agent($0)?.reportsTo }.dropFirst().first { takesDecisions($0) }
  }

  /// Whether an agent takes decisions.
  public func takesDecisions(_ id: AgentID) -> Bool {
    let desk = DeskPolicy.desk(of: id)
    return agent(desk)?.kind == DeskPolicy.kind && !isRetired(desk)
  }
}
