public import HyphaCore

/// Something that the observer finds in the network and that an operator should know, whether links change or not.
public struct Finding: Sendable, Hashable, Codable {
  /// What sort of thing it is.
  public enum Kind: String, Sendable, Codable, CaseIterable {
    /// A supervisor that holds up what it relays, or cannot keep up with what is for itself.
    case bottleneck
    /// Something that has waited far longer than its like.
    case stall
    /// Two agents that carry much of all traffic by way of others.
    case hotPair = "hot-pair"
    /// An agent that tells the same agents the same again and again, each by itself.
    case audience = "recurring-audience"
    /// Decisions of one sort that have earned a delegation which nobody has made.
    case delegable
  }

  /// What a finding is about: there is one of each at a time.
  public struct Topic: Sendable, Hashable, Codable, Comparable {
    public var kind: Kind
    /// The supervisor; who is waited for; one end of the pair.
    public var agent: AgentID
    /// The other end of the pair.
    public var other: AgentID?
    /// The alert that waits.
    public var alert: EventID?
    /// The kind of decisions that wait; the stratum that could be delegated.
    public var about: String?

    public init(
      _ kind: Kind, _ agent: AgentID, other: AgentID? = nil, alert: EventID? = nil, about: String? = nil
    ) {
      (self.kind, self.agent, self.other, self.alert) = (kind, agent, other, alert)
      self.about = about
    }

    /// By kind, then by agents.
    public static func < (left: Topic, right: Topic) -> Bool {
      if left.kind != right.kind { return left.kind.rawValue < right.kind.rawValue }
      if left.agent != right.agent { return left.agent < right.agent }
      if left.other != right.other { return (left.other?.text ?? "") < (right.other?.text ?? "") }
      if left.about != right.about { return (left.about ?? "") < (right.about ?? "") }
      return (left.alert ?? .none) < (right.alert ?? .none)
    }
  }

  /// What it was found by, as of its beginning.
  public enum Evidence: Sendable, Hashable, Codable {
    /// What a supervisor relays comes so much later than it left the node before, where so much is usual; it relays so many
    /// events a second, and so many wait in its own inbox.
    case relay(lateMicroseconds: Int, usualMicroseconds: Int, eventsPerSecond: Int, inbox: Int)
    /// An event of a type has waited for so long at least, where so much is usual.
    case wait(type: EventTypeName, seconds: Int, usualMicroseconds: Int)
    /// So many of so many events lately.
    case traffic(events: Int, of: Int)
    /// Events of a type, each told to these agents one by one.
    case audience(type: EventTypeName, members: [AgentID])
    /// So many of so many decisions of a stratum approved; the lower bound of that rate and what a delegation needs, in ten thousandths;
    /// whether it is proposed to an operator.
    case decisions(
      Delegation.Stratum, approved: Int, of: Int, bound: Int, needed: Int, isProposed: Bool)
  }

  public var topic: Topic
  public var evidence: Evidence

  public init(_ topic: Topic, _ evidence: Evidence) {
    (self.topic, self.evidence) = (topic, evidence)
  }
}

/// What the observer has begun to find, and what it finds no more. Stated by the node with the observer's seat.
public struct FindingsChanged: TopologyEvent, Hashable {
  public var began: [Finding]
  public var ended: [Finding.Topic]
  /// The term of the seat; nil in the first one. A term begins with nothing found.
  public var term: UInt32?

  /// The most of each in one event.
  public static let countMax = 64

  public init(began: [Finding], ended: [Finding.Topic]) { (self.began, self.ended) = (began, ended) }
}

extension [Finding.Topic: Finding] {
  /// Takes a change; a topic that ends and begins in one event is there after it.
  public mutating func apply(_ event: FindingsChanged) {
    for topic in event.ended { self[topic] = nil }
    for finding in event.began { self[finding.topic] = finding }
  }

  /// What it takes to come from `stated` to these; nil where nothing. No more than an event may have.
  func change(from stated: [Finding.Topic: Finding]) -> FindingsChanged? {
    let began = values.filter { stated[$0.topic] == nil }.sorted { $0.topic < $1.topic }
    let ended = stated.keys.filter { self[$0] == nil }.sorted()
    guard !began.isEmpty || !ended.isEmpty else { return nil }
    return FindingsChanged(
      began: Array(began.prefix(FindingsChanged.countMax)),
      ended: Array(ended.prefix(FindingsChanged.countMax)))
  }
}
