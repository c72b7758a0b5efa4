public import HyphaCore

/// An agent asks for a decision (`Context.decide`). Stated by the agent, to the approver's desk.
public struct DecisionRequested: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DecisionRequested"
  public var subject: Subject { Subject(slug: "hypha.decision.\(approver)") }

  /// The decision's id, which is that of this event.
  public var decision: EventID
  public var requester: AgentID
  /// Who is to decide.
  public var approver: AgentID
  /// What sort of thing it is about.
  public var kind: String
  /// The role in which it is asked for; the requester's kind, where it says nothing else.
  public var role: String
  /// How much it is about, in whatever unit the deployment counts.
  public var amount: Int64
  /// What is asked for.
  public var request: JSONValue

  /// A request of its parts.
  public init(
    decision: EventID, requester: AgentID, approver: AgentID, kind: String, role: String, amount: Int64,
    request: JSONValue
  ) {
    (self.decision, self.requester, self.approver) = (decision, requester, approver)
    (self.kind, self.role, self.amount, self.request) = (kind, role, amount, request)
  }

  /// The longest kind and the longest role, in bytes.
  public static let nameByteCountMax = 127
}

/// A decision was put before its approver. Stated by the desk, to the approver, who answers with `Context.grant` or
/// `Context.reject`, now or later.
public struct DecisionReferred: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DecisionReferred"
  public var subject: Subject { Subject(slug: "hypha.decision.\(stratum.approver)") }

  public var decision: EventID
  public var requester: AgentID
  /// Where the answer goes.
  public var desk: AgentID
  public var stratum: Delegation.Stratum
  public var amount: Int64
  public var request: JSONValue
  /// When it was asked for.
  public var requestedAt: Timestamp
  /// The grant under which it was granted already: then the approver says whether it would have been. Nil where it waits for
  /// the answer.
  public var audited: String?

  /// A request before its approver.
  public init(
    decision: EventID, requester: AgentID, desk: AgentID, stratum: Delegation.Stratum, amount: Int64 = 0,
    request: JSONValue = .null, requestedAt: Timestamp = .zero, audited: String? = nil
  ) {
    (self.decision, self.requester, self.desk, self.stratum) = (decision, requester, desk, stratum)
    (self.amount, self.request) = (amount, request)
    (self.requestedAt, self.audited) = (requestedAt, audited)
  }

  /// Whether it was granted already.
  public var isAudit: Bool { audited != nil }

  /// What is asked for, as the type that the requester gave.
  public func request<Value: Decodable>(as type: Value.Type) throws -> Value {
    try JSON.decode(Value.self, from: JSON.encode(request))
  }
}

/// An approver has answered. Stated by the approver, to the desk.
public struct DecisionAnswered: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DecisionAnswered"
  public var subject: Subject { Subject(slug: "hypha.decision") }

  public var decision: EventID
  public var isGranted: Bool
  /// Why, in the approver's words.
  public var reason: String?

  /// An answer.
  public init(decision: EventID, isGranted: Bool, reason: String? = nil) {
    (self.decision, self.isGranted, self.reason) = (decision, isGranted, reason)
  }
}

/// A decision was taken: by its approver, or under a grant. Stated by the desk, to who asked, once for each request; its authority
/// is the approver's, or names the grant and the version of the policy.
public struct DecisionTaken: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DecisionTaken"
  public var subject: Subject { Subject(slug: "hypha.decision.\(stratum.approver)") }

  public var decision: EventID
  public var requester: AgentID
  public var stratum: Delegation.Stratum
  public var amount: Int64
  public var isGranted: Bool
  public var reason: String?
  /// The grant under which it was granted without the approver; nil where the approver has decided.
  public var grant: String?
  /// Whether the approver is to look at it afterwards.
  public var isAudited: Bool
  /// What delegation would have done: the stratum was shadowed.
  public var isShadowed: Bool
  /// How long it waited, in microseconds.
  public var waitedMicroseconds: UInt64
  /// The most strata that are followed, by the policy.
  public var strataMax: Int

  /// A decision by its approver, or under a grant.
  public init(
    decision: EventID, requester: AgentID, stratum: Delegation.Stratum, amount: Int64 = 0, isGranted: Bool,
    reason: String? = nil, grant: String? = nil, isAudited: Bool = false, isShadowed: Bool = false,
    waitedMicroseconds: UInt64 = 0, strataMax: Int = Delegation.Policy().strataMax
  ) {
    (self.decision, self.requester, self.stratum) = (decision, requester, stratum)
    (self.amount, self.isGranted, self.reason) = (amount, isGranted, reason)
    (self.grant, self.isAudited, self.isShadowed) = (grant, isAudited, isShadowed)
    (self.waitedMicroseconds, self.strataMax) = (waitedMicroseconds, strataMax)
  }
}

/// An approver has looked at what was granted without it. Stated by the desk, to nobody.
public struct DecisionAudited: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DecisionAudited"
  public var subject: Subject { Subject(slug: "hypha.decision.\(stratum.approver)") }

  public var decision: EventID
  public var stratum: Delegation.Stratum
  /// The grant.
  public var grant: String
  /// Whether the approver would have granted it, too.
  public var isGranted: Bool
  public var reason: String?
  public var waitedMicroseconds: UInt64
  /// The most strata that are followed, by the policy.
  public var strataMax: Int

  /// What the approver says of a grant.
  public init(
    decision: EventID, stratum: Delegation.Stratum, grant: String, isGranted: Bool, reason: String? = nil,
    waitedMicroseconds: UInt64 = 0, strataMax: Int = Delegation.Policy().strataMax
  ) {
    (self.decision, self.stratum, self.grant) = (decision, stratum, grant)
    (self.isGranted, self.reason) = (isGranted, reason)
    (self.waitedMicroseconds, self.strataMax) = (waitedMicroseconds, strataMax)
  }
}

/// A stratum has come to another stage, with the evidence. Stated by the desk, to nobody, caused by the answer or the operator's
/// wish; on the operator's authority where one has said so.
public struct DelegationChanged: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DelegationChanged"
  public var subject: Subject { Subject(slug: "hypha.decision.\(stratum.approver)") }

  public var stratum: Delegation.Stratum
  public var from, to: Delegation.Stage
  /// The grant that begins or ends.
  public var grant: String?
  /// What was known, and the lower bound of the approval rate in ten thousandths.
  public var evidence: Delegation.Report
  public var bound: Int64
  /// What the bound has to reach for a delegation, and the version of the policy.
  public var needed: Int64
  public var policyVersion: UInt32
  /// The operator who has said so; nil where the evidence did.
  public var by: AgentID?
  public var note: String?
}

/// What was granted without its approver. Stated by the desk, to the approver: for each grant (`parallel`), or now and then
/// (`after`).
public struct DecisionsDelegated: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DecisionsDelegated"
  public var subject: Subject { Subject(slug: "hypha.decision") }

  /// What was granted of one stratum.
  public struct Count: Sendable, Hashable, Codable {
    public var stratum: Delegation.Stratum
    public var count: Int
    /// The newest of them, to look it up by.
    public var newest: EventID
  }

  public var desk: AgentID
  public var counts: [Count]

  /// What was granted since the approver was told last.
  public init(desk: AgentID, counts: [Count]) { (self.desk, self.counts) = (desk, counts) }
}

/// An operator rules about a delegation. Stated by the node that the operator has spoken to, to the desk, on the operator's
/// authority.
public struct DelegationRuled: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DelegationRuled"
  public var subject: Subject { Subject(slug: "hypha.decision") }

  /// What is to become of the strata.
  public enum Rule: String, Sendable, Hashable, Codable {
    /// What is proposed is delegated.
    case delegate
    /// What is delegated or proposed is so no more, and all evidence is needed anew.
    case revoke
  }

  public var rule: Rule
  /// Which strata: all that fit; nil for any kind, any role.
  public var kind, role: String?
  public var note: String?

  /// A rule about some strata.
  public init(_ rule: Rule, kind: String? = nil, role: String? = nil, note: String? = nil) {
    (self.rule, self.kind, self.role, self.note) = (rule, kind, role, note)
  }

  /// Whether it is about a stratum in a stage.
  public func concerns(_ stratum: Delegation.Stratum, _ stage: Delegation.Stage) -> Bool {
    guard kind ?? stratum.kind == stratum.kind, role ?? stratum.requester == stratum.requester else {
      return false
    }
    switch rule {
    case .delegate: return stage == .proposed
    case .revoke: return stage == .delegated || stage == .proposed
    }
  }
}

/// What an operator has ruled about delegation concerns nothing. Stated by the desk.
public struct DelegationRefused: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DelegationRefused"
  public var subject: Subject { Subject(slug: "hypha.decision") }
  public var reason: String

  /// A refusal.
  public init(reason: String) { self.reason = reason }
}
