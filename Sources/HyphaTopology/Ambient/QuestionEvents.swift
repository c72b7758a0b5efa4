public import HyphaCore

/// What a node's agents were asked and have answered since its last report, and what they were answered without a message, for
/// the observer.
public struct QuestionsReported: TopologyEvent, Hashable {
  /// One question's counts.
  public struct Line: Hashable, Sendable, Codable {
    public var key: QuestionKey
    /// The question's JSON, cut to ``QuestionMeter/sampleByteCountMax`` bytes, where it was answered here.
    public var sample: String?
    /// How often it was answered here.
    public var asks: Int
    /// … with the same answer as the time before.
    public var unchanged: Int
    /// … with the same answer, to who would have taken that from a copy: it had not been too old.
    public var repeats: Int
    /// … with another answer than the time before.
    public var changes: Int
    /// How often agents here had the answer from a copy.
    public var local: Int
    /// How many copies of answers were stated here.
    public var stated: Int

    public init(
      _ key: QuestionKey, sample: String? = nil, asks: Int = 0, unchanged: Int = 0, repeats: Int = 0,
      changes: Int = 0, local: Int = 0, stated: Int = 0
    ) {
      (self.key, self.sample, self.asks, self.unchanged) = (key, sample, asks, unchanged)
      (self.repeats, self.changes, self.local, self.stated) = (repeats, changes, local, stated)
    }

    /// How much it says.
    var weight: Int { asks + local + stated }
  }

  /// The same event told to the same agents, one by one.
  public struct Audience: Hashable, Sendable, Codable {
    public var author: AgentID
    public var type: EventTypeName
    /// Whom it was told, in alphabetical order.
    public var members: [AgentID]
    /// How often.
    public var times: Int

    public init(author: AgentID, type: EventTypeName, members: [AgentID], times: Int) {
      (self.author, self.type, self.members, self.times) = (author, type, members, times)
    }
  }

  public var node: NodeID
  /// The questions that it has most to say of; at most ``QuestionMeter/lineCountMax``.
  public var questions: [Line]
  /// Missing for none; at most ``AudienceMeter/countMax``.
  public var audiences: [Audience]?

  public init(node: NodeID, questions: [Line], audiences: [Audience]? = nil) {
    (self.node, self.questions, self.audiences) = (node, questions, audiences)
  }
}

/// A question whose answers are stated as copies for those who ask it.
public struct AmbientQuestion: Hashable, Sendable, Codable {
  public var key: QuestionKey
  /// What it asks, cut; nil where nobody has said.
  public var sample: String?
  /// Since which version.
  public var version: UInt32
  /// The nodes that are given each fresh answer, whoever has asked for it, in alphabetical order; nil for none.
  public var audience: [NodeID]?

  public init(_ key: QuestionKey, sample: String? = nil, version: UInt32) {
    (self.key, self.sample, self.version) = (key, sample, version)
  }
}

/// The nodes whose agents are answered from copies of an ambient question again and again.
public struct AnswerAudience: Hashable, Sendable, Codable {
  public var question: QuestionKey
  /// In alphabetical order; none where it is no audience any more.
  public var nodes: [NodeID]
}

/// What was seen of a question lately, in whole asks; faded with the number of asks of all questions.
public struct QuestionEvidence: Hashable, Sendable, Codable {
  /// How often it was asked, answered from copies or by its agent.
  public var asks: Int64
  /// How many of these were answered from a copy, or would have been, with the same answer.
  public var repeats: Int64
  /// How often the answer was another one than before.
  public var changes: Int64
  /// How many copies were stated.
  public var stated: Int64
  /// Repeats less four for each change, since it last came or went; and what that must reach.
  public var credit, threshold: Int64
  /// Answers from copies since it was promoted.
  public var saved: Int64
}

/// One change of what is ambient, with the evidence for it.
public struct QuestionChange: Hashable, Sendable, Codable {
  public enum Cause: String, Hashable, Sendable, Codable {
    /// It is asked again and again with the same answer.
    case earned
    /// Its answers change too often, or copies cost more than they save.
    case changing
    /// Nobody asks it any more.
    case idle
    /// An operator has asked for it.
    case operated
  }

  public var cause: Cause
  public var rule: QuestionRule?
  public var promoted: QuestionKey?
  public var retired: [QuestionKey]
  /// Of the one that comes, or of the first that goes; nil where nothing was seen of it.
  public var evidence: QuestionEvidence?
  public var sample: String?
  /// What it changes beside that: who is given the fresh answers to an ambient question.
  public var audience: AnswerAudience?
}

/// What is ambient has changed: from ``version`` on it is ``promoted``, and nothing else. Each event has all of it, so that who
/// knows a version knows the same as all who do, whatever they knew before.
///
/// Stated by the node with the observer's seat, caused by the report or the rule that called for it.
public struct QuestionsChanged: TopologyEvent, Hashable {
  /// Greater than all before; the seat's term is in its upper bits, as with links.
  public var version: UInt32
  /// What changed. Empty where a term of the seat begins with what there is.
  public var changes: [QuestionChange]
  public var promoted: [AmbientQuestion]
  public var forbidden: [QuestionKey]
}

/// Changes that the rule calls for under the mode `suggest`.
public struct QuestionsSuggested: TopologyEvent, Hashable {
  public var changes: [QuestionChange]
  public var term: UInt32
}

/// What an operator may rule about questions. Freezing is for links and questions alike.
public enum QuestionRule: Hashable, Sendable, Codable {
  /// Promotes a question that was suggested, or drops the suggestion.
  case approve(QuestionKey), reject(QuestionKey)
  /// Takes one back; it may be earned again.
  case retire(QuestionKey)
  /// Never promotes one, or lets the observer decide about it again.
  case forbid(QuestionKey), allow(QuestionKey)
  /// Goes back to what was ambient at an earlier version.
  case revert(version: UInt32, promoted: [QuestionKey])
}

/// An operator has asked for something. Answered by ``QuestionsChanged`` or ``QuestionRuleRefused``, caused by this.
public struct QuestionRuleAsked: TopologyEvent, Hashable {
  public var rule: QuestionRule
  public var note: String?

  public init(rule: QuestionRule, note: String? = nil) { (self.rule, self.note) = (rule, note) }
}

/// What an operator asked for cannot be.
public struct QuestionRuleRefused: TopologyEvent, Hashable {
  public var rule: QuestionRule
  public var reason: String
  public var term: UInt32
}

/// What is ambient, as a log has it: a fold of ``QuestionsChanged``, the same on every node.
public struct AmbientView: Sendable, Hashable, Codable {
  /// 0 where nothing was ever promoted.
  public private(set) var version: UInt32 = 0
  /// In the order of their keys.
  public private(set) var promoted: [AmbientQuestion] = []
  public private(set) var forbidden: [QuestionKey] = []

  public init() {}

  /// Takes a change, unless it is older than what is known. Returns whether it was taken.
  @discardableResult
  public mutating func apply(_ event: QuestionsChanged) -> Bool {
    guard event.version > version, event.version < .max else { return false }
    version = event.version
    promoted = event.promoted.sorted { $0.key < $1.key }
    forbidden = event.forbidden.sorted()
    return true
  }

  /// Whether a question is ambient.
  public func isPromoted(_ key: QuestionKey) -> Bool { promoted.contains { $0.key == key } }
}
