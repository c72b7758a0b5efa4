public import HyphaCore

/// What decides which questions are *ambient*: a pure machine beside the ``Observer``, fed with nodes' reports and operators' rules
/// in the order of the seat's log.
///
/// As ``ObserverSeat`` it is a fold of the log: what it decides is ``pending`` until it comes back from the log, and a
/// restart that sees the same entries decides the same. It has integers, no clock, and a bounded memory. Each of its events has
/// all that is ambient, so that a term of the seat goes on from whatever its log has.
public struct AmbientSeat: Sendable {
  /// What is to be stated, and what has caused it.
  public struct Answer: Sendable, Hashable, Codable {
    public var cause, correlation: EventID
    public var content: Content

    public enum Content: Sendable, Hashable, Codable {
      case changed(QuestionsChanged)
      case suggested(QuestionsSuggested)
      case refused(QuestionRuleRefused)
    }
  }

  /// A rule that waits for an answer.
  struct Ask: Sendable, Hashable, Codable {
    var id, correlation: EventID
    var rule: QuestionRule
  }

  /// All that it knows at a place of the log.
  public struct Memory: Sendable, Codable {
    var items: [Item] = []
    /// Asks of all questions, by which evidence fades, and reports, by which it is seen that nobody asks.
    var askCount: Int64 = 0
    var reportCount: Int64 = 0
    var draw: UInt64 = 1
    /// What is ambient, with what is decided and not in the log yet; and as the log has it.
    public internal(set) var view = AmbientView()
    public internal(set) var stated = AmbientView()
    public internal(set) var pending: [Answer] = []
    var suggestions: [QuestionChange] = []
    var asks: [Ask] = []
    /// Rules whose answers came first.
    var answeredAhead: [EventID] = []
    var term: UInt32 = 1
    var isActive = true
  }

  /// The bounds of the rule.
  public enum Limits {
    /// What promoting costs, in asks that an earlier copy would have answered.
    public static let charge: Int64 = 16
    /// How many questions of one agent, and how many in all, may be ambient.
    public static let answererCount = 8
    public static let count = 64
    /// How many questions are remembered.
    public static let itemCount = 256
    /// How many are forbidden, and how many rules wait or are remembered.
    public static let forbiddenCount = 256
    static let askCount = 256
    /// In how many reports of a node its agents were answered from copies of a question before it is in the audience of that, how
    /// many nodes are one, and how many it may have.
    public static let audienceReportCount: Int64 = 8
    public static let audienceCounts = 2...64
    /// The most asks of a line that count.
    static let lineCount = 100_000
  }

  public internal(set) var memory = Memory()
  let agents: Set<AgentID>
  let mode: ObserverPolicy.Mode
  let decay: Decay
  /// After how many reports in which a question is not it counts as asked by nobody.
  let idleReportCount: Int64
  /// Whether operators have stopped all changes but their own.
  var isFrozen = false
  /// How many of the pending answers were given to the log since this process has begun.
  private var givenCount = 0

  /// One that has seen nothing.
  ///
  /// - Parameter agents: those of the deployment; questions to others are passed over.
  public init(agents: Set<AgentID>, nodeCount: Int, policy: ObserverPolicy) {
    (self.agents, mode) = (agents, policy.mode)
    decay = Decay(halfLifeEventCount: max(1024, policy.halfLife * agents.count))
    idleReportCount = Int64(64 * max(1, nodeCount))
  }

  /// What is ambient, with what is decided and on its way into the log.
  public var view: AmbientView { memory.view }
  /// What is to be stated.
  public var pending: [Answer] { memory.pending }
  /// What is suggested and no operator has answered, most evidence first.
  public var suggestions: [QuestionChange] { memory.suggestions }

  /// The pending answers that the log was not given yet.
  public mutating func takeDue() -> [Answer] {
    defer { givenCount = memory.pending.count }
    return Array(memory.pending.dropFirst(givenCount))
  }

  // MARK: The seat

  /// Takes note of who has the seat.
  ///
  /// - Parameter cause: of what begins a term, where that has something to say.
  public mutating func sync(term: UInt32, isActive: Bool, isFrozen: Bool, cause: EventID) {
    self.isFrozen = isFrozen
    guard term != memory.term || isActive != memory.isActive else { return }
    (memory.term, memory.isActive) = (term, isActive)
    goOn()
    guard isActive else { return }
    if memory.stated.version > 0, SeatTerm.of(memory.stated.version) < term {
      answer(.changed(changed([])), cause, cause)
    }
    answerOpen()
  }

  /// Goes on from what the log has.
  private mutating func goOn() {
    (memory.pending, givenCount) = ([], 0)
    memory.view = memory.stated
  }

  private mutating func answerOpen() {
    for ask in memory.asks { answer(ask) }
  }

  // MARK: Taking

  /// Takes a report.
  public mutating func take(_ report: QuestionsReported, _ id: EventID, correlation: EventID) {
    memory.reportCount += 1
    var changes = observe(report)
    if mode == .suggest {
      let suggested = changes.filter { $0.audience == nil }
      changes.removeAll { $0.audience == nil }
      if !suggested.isEmpty {
        keep(suggested)
        answer(.suggested(QuestionsSuggested(changes: suggested, term: memory.term)), id, correlation)
      }
    }
    if !changes.isEmpty { answer(.changed(changed(changes)), id, correlation) }
  }

  /// Takes note that some report has come.
  public mutating func tick() { memory.reportCount += 1 }

  /// Takes what an operator asked for.
  public mutating func take(_ asked: QuestionRuleAsked, _ id: EventID, correlation: EventID) {
    if let place = memory.answeredAhead.firstIndex(of: id) {
      memory.answeredAhead.remove(at: place)
      return
    }
    let ask = Ask(id: id, correlation: correlation, rule: asked.rule)
    if memory.asks.count >= Limits.askCount { memory.asks.removeFirst() }
    memory.asks.append(ask)
    if memory.isActive { answer(ask) }
  }

  /// Takes note of what the log has.
  public mutating func confirm(_ event: QuestionsChanged, cause: EventID) {
    guard event.version > memory.stated.version else { return }
    memory.stated.apply(event)
    settle(cause, term: SeatTerm.of(event.version))
    if let first = memory.pending.first, first.cause == cause, first.content == .changed(event) {
      removePending()
      return
    }
    // Another seat, or another version of this program, has decided otherwise.
    goOn()
    for change in event.changes {
      for key in change.retired + [change.promoted].compactMap(\.self) { spend(key) }
      memory.suggestions.removeAll { $0.promoted == change.promoted }
    }
    learnAudiences()
    if memory.isActive { answerOpen() }
  }

  /// The same of suggestions.
  public mutating func confirm(_ event: QuestionsSuggested, cause: EventID) {
    if !pop(cause, .suggested(event)), !memory.isActive { keep(event.changes) }
  }

  /// The same of a refusal.
  public mutating func confirm(_ event: QuestionRuleRefused, cause: EventID) {
    settle(cause, term: event.term)
    _ = pop(cause, .refused(event))
  }

  private mutating func pop(_ cause: EventID, _ content: Answer.Content) -> Bool {
    guard let first = memory.pending.first, first.cause == cause, first.content == content else {
      return false
    }
    removePending()
    return true
  }

  private mutating func removePending() {
    memory.pending.removeFirst()
    givenCount = max(0, givenCount - 1)
  }

  /// What a term that is over has answered may have to be answered again.
  private mutating func settle(_ rule: EventID, term: UInt32) {
    guard term >= memory.term, rule != .none else { return }
    if let place = memory.asks.firstIndex(where: { $0.id == rule }) {
      memory.asks.remove(at: place)
    } else if !memory.isActive {
      memory.answeredAhead.append(rule)
      if memory.answeredAhead.count > Limits.askCount { memory.answeredAhead.removeFirst() }
    }
  }

  mutating func answer(_ content: Answer.Content, _ cause: EventID, _ correlation: EventID) {
    memory.pending.append(Answer(cause: cause, correlation: correlation, content: content))
  }

  /// The event that makes changes, which are made from now on.
  mutating func changed(_ changes: [QuestionChange]) -> QuestionsChanged {
    // Another node of the seat may have named one twice.
    var next = Dictionary(memory.view.promoted.map { ($0.key, $0) }) { $1 }
    var forbidden = Set(memory.view.forbidden)
    let version = max(memory.view.version, SeatTerm.firstVersion(of: memory.term)) + 1
    for change in changes {
      for key in change.retired { next[key] = nil }
      if let key = change.promoted {
        next[key] = AmbientQuestion(key, sample: change.sample, version: version)
      }
      if let audience = change.audience {
        next[audience.question]?.audience = audience.nodes.isEmpty ? nil : audience.nodes
      }
      if case .forbid(let key)? = change.rule { forbidden.insert(key) }
      if case .allow(let key)? = change.rule { forbidden.remove(key) }
    }
    let event = QuestionsChanged(
      version: version, changes: changes, promoted: next.values.sorted { $0.key < $1.key },
      forbidden: forbidden.sorted())
    memory.view.apply(event)
    return event
  }

  private mutating func keep(_ changes: [QuestionChange]) {
    for change in changes {
      memory.suggestions.removeAll { $0.promoted == change.promoted }
      memory.suggestions.append(change)
    }
    memory.suggestions.sort {
      ($1.evidence?.credit ?? 0, $0.promoted?.description ?? "") < (
        $0.evidence?.credit ?? 0, $1.promoted?.description ?? ""
      )
    }
    if memory.suggestions.count > Limits.count { memory.suggestions.removeLast() }
  }
}
