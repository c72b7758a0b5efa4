public import HyphaCore

/// An alert that somebody has not answered yet.
public struct OpenAlert: Sendable, Hashable, Codable {
  /// Who is to answer now, and for whom.
  public struct Duty: Sendable, Hashable, Codable {
    /// The agent that is to answer: at step 0 the one that the alert is for, then a supervisor above it.
    public internal(set) var holder: AgentID
    /// Those that the alert was for and for whom it would answer, in alphabetical order.
    public internal(set) var unanswered: [AgentID]
    /// How many times the alert was escalated to come here.
    public internal(set) var step: Int
    /// Where the event that it is to answer stands in the log of the alert's node.
    public internal(set) var position: UInt64
    /// When its time is over.
    public internal(set) var dueAt: Timestamp
    /// Whether its time was over at the root: nobody is left to be told.
    public internal(set) var isGivenUp = false
    /// Whether what follows its deadline is on its way into the log.
    var isPassing = false

    private enum CodingKeys: CodingKey { case holder, unanswered, step, position, dueAt, isGivenUp }

    init(holder: AgentID, unanswered: [AgentID], step: Int, position: UInt64, dueAt: Timestamp) {
      self.holder = holder
      self.unanswered = unanswered
      self.step = step
      self.position = position
      self.dueAt = dueAt
    }

    /// Whether somebody may still answer in time.
    var isWaiting: Bool { !isGivenUp }
  }

  /// An event by which a supervisor was told of the alert.
  struct Escalation: Sendable, Hashable, Codable {
    var id: EventID
    /// For whom its answer counts.
    var names: [AgentID]
  }

  /// The alert.
  public let id: EventID
  /// Its type.
  public let type: EventTypeName
  /// The agent that stated it.
  public let agent: AgentID
  /// The conversation that it belongs to.
  public let correlation: EventID
  /// When it was stated.
  public let statedAt: Timestamp
  /// Where it stands in the log of its agent's node.
  public let position: UInt64
  /// How long each holder has, in microseconds.
  public let withinMicroseconds: UInt64
  /// Who is to answer; never empty.
  public internal(set) var duties: [Duty]
  var escalations: [Escalation] = []
  /// How many times what is to be answered was sent, and when it is sent again.
  var sentCount = 1
  var sendAt = Timestamp.zero
  /// Under which of the tracker's moments it stands.
  var moment: UInt64?

  private enum CodingKeys: CodingKey {
    case id, type, agent, correlation, statedAt, position, withinMicroseconds, duties, escalations
  }

  init(_ header: RecordHeader, position: UInt64, withinMicroseconds: UInt64, addressees: [AgentID]) {
    id = header.id
    type = header.type
    agent = header.agent
    correlation = header.correlation
    statedAt = header.time
    self.position = position
    self.withinMicroseconds = withinMicroseconds
    let dueAt = header.time.adding(withinMicroseconds)
    duties = addressees.map {
      Duty(holder: $0, unanswered: [$0], step: 0, position: position, dueAt: dueAt)
    }
  }

  /// Whether nobody is left to be told.
  public var isGivenUp: Bool { !duties.contains(where: \.isWaiting) }

  /// When something is to be done about it next, unless it is answered before.
  var nextAt: Timestamp? {
    guard let dueAt = duties.filter({ $0.isWaiting && !$0.isPassing }).map(\.dueAt).min() else { return nil }
    return min(sendAt, dueAt)
  }

}

extension Timestamp {
  /// The time so many microseconds later, at most the last there is.
  func adding(_ microseconds: UInt64) -> Timestamp {
    let (sum, overflow) = self.microseconds.addingReportingOverflow(microseconds)
    return Timestamp(microseconds: overflow ? .max : sum)
  }
}

extension OpenAlert {
  /// Takes `names` off all duties; those without names are fulfilled.
  mutating func fulfil(_ names: [AgentID]) {
    for index in duties.indices { duties[index].unanswered.removeAll(where: names.contains) }
    duties.removeAll { $0.unanswered.isEmpty }
  }

  /// Takes `names` off the duties of one step, and returns those that were there, in alphabetical order.
  mutating func take(_ names: [AgentID], from step: Int) -> [AgentID] {
    var taken: [AgentID] = []
    for index in duties.indices where duties[index].step == step {
      taken += duties[index].unanswered.filter(names.contains)
      duties[index].unanswered.removeAll(where: names.contains)
    }
    duties.removeAll { $0.unanswered.isEmpty }
    return taken.sorted()
  }

  /// Marks the duties for `names` of one step as given up.
  mutating func giveUp(_ names: [AgentID], at step: Int) {
    for index in duties.indices
    where duties[index].step == step && duties[index].unanswered.contains(where: names.contains) {
      duties[index].isGivenUp = true
      duties[index].isPassing = false
    }
  }
}
