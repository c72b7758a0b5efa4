public import HyphaCore

/// Events of the live topology. Nodes state them under their own names (`hypha.node.NAME`) and tell each other of them
/// directly, so that they need no route.
public protocol TopologyEvent: Event {}

extension TopologyEvent {
  public static var eventType: EventTypeName { EventTypeName(unchecked: "hypha.\(Self.self)") }
  public var subject: Subject { Subject(slug: "hypha.topology") }
}

/// Who of a node's agents has sent to whom since the node's last report, for the observer.
///
/// A report has at most ``FlowMeter/pairCountMax`` pairs of at most ``FlowMeter/pairEventCountMax`` events each.
public struct FlowReported: TopologyEvent, Hashable {
  /// The node whose agents have sent.
  public var node: NodeID
  /// The agents that ``flows`` names by their places here.
  public var agents: [AgentID]
  /// Three numbers a pair: the sender's place, the addressee's, and how many events.
  public var flows: [Int]
  /// Events for so many agents each that no pair of them is worth a link.
  public var broadcastCount: UInt64

  /// One pair's events.
  public struct Flow: Hashable, Sendable {
    public var from, to: AgentID
    public var count: Int

    /// So many events from one agent to another.
    public init(from: AgentID, to: AgentID, count: Int) {
      self.from = from
      self.to = to
      self.count = count
    }
  }

  /// The pairs, without those that name no agent of the report or have no events, and no more than a report may have.
  public var pairs: [Flow] {
    stride(from: 0, to: min(flows.count - flows.count % 3, 3 * FlowMeter.pairCountMax), by: 3).compactMap {
      place in
      let (from, to, count) = (flows[place], flows[place + 1], flows[place + 2])
      guard agents.indices.contains(from), agents.indices.contains(to), count > 0 else { return nil }
      return Flow(from: agents[from], to: agents[to], count: min(count, FlowMeter.pairEventCountMax))
    }
  }
}

/// The direct links have changed, or branches are attached elsewhere: from ``version`` on, routes follow that.
///
/// Stated by the node that has the observer's seat, caused by the report, the command or the judgement of a node that called for it;
/// where nobody observes, by the node of ``Topology/branchSeat``.
public struct LinksChanged: TopologyEvent, Hashable {
  /// The version of the topology that frames carry from now on; one more than before.
  public var version: UInt32
  /// What changed, in order.
  public var changes: [LinkChange]
  /// Where a term of the seat begins with it: all that there is, in place of all before.
  public var begun: SeatBegun?
  /// Where branches are attached otherwise than before; then ``changes`` is empty.
  public var attachments: AttachmentsChange?
  /// The node that may begin the next term of the seat now: the one that states this decides nothing more.
  public var handedTo: NodeID?
}

/// Changes that the rule calls for under the mode `suggest`: nothing has changed, an operator says.
public struct LinksSuggested: TopologyEvent, Hashable {
  public var changes: [LinkChange]
  /// The term of the seat; nil in the first one.
  public var term: UInt32?
}

/// One change of the live topology, with the evidence for it.
public struct LinkChange: Hashable, Sendable, Codable {
  /// A link that comes or goes.
  public struct End: Hashable, Sendable, Codable {
    public var link: DirectLink
    public var kind: LinkKind
    /// What it saved or would have saved, decayed, in 1/65,536 hop.
    public var score: Int64
  }

  public var cause: RewireDecision.Cause
  /// What an operator has ruled, where one has.
  public var rule: LinkRule?
  /// The link that is made, if any.
  public var promoted: End?
  /// The links that go.
  public var retired: [End]
  /// How many events the observer had seen.
  public var event: Int64
  /// The evidence, and what it had to reach, in 1/65,536 hop.
  public var credit, threshold: Int64
  /// What links have saved less what changes have cost, in hops, before and after.
  public var ledgerBefore, ledgerAfter: Int64
  public var policyVersion: UInt32
}

/// What an operator may rule.
public enum LinkRule: Hashable, Sendable, Codable {
  /// Links two agents for good, or lets the observer decide about it again.
  case pin(DirectLink), unpin(DirectLink)
  /// Never links two agents, or lets the observer decide about it again.
  case forbid(DirectLink), allow(DirectLink)
  /// Takes a link away; the traffic may earn it again.
  case retire(DirectLink)
  /// Makes a link that was suggested, or drops the suggestion.
  case approve(DirectLink), reject(DirectLink)
  /// Stops all changes but operators', or lets them go on.
  case freeze, thaw
  /// Gives the observer's seat to the other node that may have it.
  case handOver
  /// Goes back to the links of an earlier version.
  case revert(version: UInt32, links: [DirectLink])
}

/// An operator has asked for something. Stated by the node that the operator has spoken to, on the operator's authority;
/// the seat answers with ``LinksChanged`` or ``RuleRefused``, caused by this.
public struct RuleAsked: TopologyEvent, Hashable {
  public var rule: LinkRule
  /// Why, in the operator's words.
  public var note: String?

  /// A wish, with a reason where there is one.
  public init(rule: LinkRule, note: String? = nil) {
    self.rule = rule
    self.note = note
  }
}

/// What an operator asked for cannot be.
public struct RuleRefused: TopologyEvent, Hashable {
  public var rule: LinkRule
  public var reason: String
  /// The term of the seat; nil in the first one.
  public var term: UInt32?
}

/// What nodes state about the topology.
public enum TopologyEvents {
  /// What is for the observer's seat.
  public static let forSeat: Set<EventTypeName> = [
    FlowReported.eventType, LoadReported.eventType, RuleAsked.eventType, QuestionsReported.eventType,
    QuestionRuleAsked.eventType, DecisionsReported.eventType,
  ]
  /// What is for every node.
  public static let forAll: Set<EventTypeName> = [
    LinksChanged.eventType, LinksSuggested.eventType, RuleRefused.eventType, FindingsChanged.eventType,
    SeatSuperseded.eventType, QuestionsChanged.eventType, QuestionsSuggested.eventType,
    QuestionRuleRefused.eventType,
  ]
  /// All of them.
  public static let all = forSeat.union(forAll)
}
