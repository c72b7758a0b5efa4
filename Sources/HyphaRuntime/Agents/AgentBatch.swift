import HyphaCore
import HyphaLog

/// What an agent's handlers leave until the next commit.
struct Batch<Kind: Agent> {
  /// The names of the last event, and its handler where it was for this agent.
  var names: AnyObject?
  var entry: Handlers<Kind>.Entry?
  /// How long events of a row were on their way, in microseconds.
  var arrivals: [UInt64] = []
  var drafts: [Draft] = []
  /// What the agent's replicas are to have of it, where its node has any.
  var kept = KeptInputs()
  var cursors: [Channel: Cursor] = [:]
  private(set) var moved: [Channel] = []
  /// How many events of logged channels were handled.
  private var handledCount: UInt64 = 0
  private(set) var agenda = Agenda()
  private(set) var isAgendaChanged = false
  /// The state as it was saved last; nil for none.
  var savedState: [UInt8]?
  var snapshots = SnapshotPolicy(every: Kind.snapshotEvery)
  var checkpoints = CheckpointPolicy(every: Kind.checkpointEvery)
  /// Whether the actor's start was called.
  var hasBegun = false
  private let evolves = Kind.evolves.isUsed
  var finishes = false
  /// Whether a handler has thrown, so that another actor is to take this one's place.
  var isSpoilt = false
  /// Whether a handler was left in its middle, because the node stops.
  var isAbandoned = false
  /// What the call was for that it has count as failed, since a trap has ended it; nil for none.
  var crash: CallPurpose?
  /// Whether it must have been committed before the next event is handled.
  var isUrgent: Bool { Kind.reachesOutside || crash != nil }
  /// Answers to questions, which leave once their effects are committed.
  var answers: [(Asker, Answered.Outcome)] = []
  /// Whether the newest answer has left nothing to be committed but, it may be, a changed state.
  var isAnswerPure = true
  /// Alerts whose handlers have thrown; it outlives the commit.
  var again = AlertsAgain()
  /// Calls that are to be recorded, where their commit comes to something.
  var calls: [BatchCall] = []
  /// The commit of those before, which may be on its way; whether it has succeeded.
  var commit: Task<Bool, Never>?
  /// Whether a call was made since the last commit.
  var hasRun = false
  /// Whether a commit may come to something.
  var isTouched: Bool {
    hasRun || hasEffects || !moved.isEmpty || !answers.isEmpty || !calls.isEmpty || crash != nil || finishes
  }
  /// Whether something is to be committed beside cursors and state.
  var hasEffects: Bool {
    !drafts.isEmpty || isAgendaChanged || calls.contains { !$0.isQuiet && !$0.waits }
  }

  /// How many inputs it has, as far as they would be given to the agent again.
  var inputCount: UInt64 {
    handledCount + UInt64(calls.count { $0.call.input != nil || $0.call.kind == .wake })
  }
  /// How large the state was when it was saved last.
  var savedByteCount: Int { savedState?.count ?? 0 }

  mutating func restore(_ agenda: Agenda) { self.agenda = agenda }

  /// Changes the agenda, which is committed then.
  mutating func change<Value>(_ body: (inout Agenda) -> Value) -> Value {
    let before = agenda.count
    defer { isAgendaChanged = isAgendaChanged || agenda.count != before }
    return body(&agenda)
  }

  mutating func handled(_ channel: Channel, _ position: Position, count: UInt64 = 1) {
    var cursor = cursors[channel] ?? .start
    cursor.position = max(cursor.position, position)
    cursor.handledCount += count
    handledCount += count
    cursors[channel] = cursor
    if !moved.contains(channel) { moved.append(channel) }
  }

  /// Takes what a call has left.
  mutating func take(_ effects: Turn.Effects) {
    drafts += effects.drafts
    finishes = finishes || effects.finishes
    if evolves {
      snapshots.evolved(by: effects.drafts.count { Kind.evolves.rules[$0.type] != nil })
    }
    guard !effects.timers.isEmpty else { return }
    isAgendaChanged = true
    agenda.timers.apply(effects.timers)
  }

  /// Adds an event of the bus about an input, or about none.
  mutating func state(
    _ event: some Event, to addressee: AgentID?, _ new: (id: EventID, time: Timestamp),
    _ input: RecordHeader?,
    authority: Authority? = nil
  ) {
    // What the bus states always encodes.
    guard
      let draft = try? Draft(
        bus: event, to: addressee, new,
        because: input.map { Cause(event: $0.id, correlation: $0.correlation) }, authority: authority)
    else { return }
    drafts.append(draft)
  }

  /// Begins anew after a commit has taken what there was.
  mutating func committed() {
    drafts = []
    calls = []
    answers = []
    moved = []
    handledCount = 0
    isAgendaChanged = false
    crash = nil
    hasRun = false
  }
}
