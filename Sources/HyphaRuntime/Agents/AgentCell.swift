import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// One agent at work: takes what waits in its mailbox, runs its handlers one at a time, and commits their
/// effects.
final class AgentCell<Kind: Agent>: AgentHost, AgentRunner {
  let spec: AgentSpec
  let mailbox: Mailbox
  let services: any NodeServices
  let supervision: SupervisionSettings
  let outbox: Mutex<Outbox>
  let metrics = Mutex(AgentMetrics(isWorker: Kind.finishes))
  /// The questions that wait for an answer.
  let asks = Mutex(OpenAsks())
  /// The call that runs.
  let call = Mutex<RunningCall?>(nil)
  /// Where its calls are noted beyond the process; nil where nobody does.
  let slot: CallSlot?
  /// The call that the process before this one ended in, until it was dealt with.
  let broken: Mutex<BrokenCall?>
  /// What the agent is to be woken for next.
  let alarm = Mutex<Timestamp?>(nil)
  /// What it has handled before its node's disk was lost; nil where nothing is known.
  let handledBefore: Set<EventID>?
  /// What it had handled before it came here, or of lanes that were not for it for a while.
  let handledElsewhere: HandledElsewhere?
  let declarations: Declarations
  let entries: [EventTypeName: Handlers<Kind>.Entry]
  /// Whether it has a state.
  let keepsState = Kind.State.self != Stateless.self
  /// Whether its state is committed as it is, and does not follow from events.
  let keepsWhole = Kind.State.self != Stateless.self && !Kind.evolves.isUsed
  /// Whether its state follows from events.
  let evolves = Kind.evolves.isUsed
  /// The agent's state on its way back from the log, before the agent begins.
  let restoring = Mutex<StateRestoration<Kind>?>(nil)
  /// What is called when the node stops.
  let stopActions = Mutex(StopActions())

  init(
    _ kind: Kind.Type, spec: AgentSpec, services: any NodeServices, outbox: Outbox, mailbox: Mailbox
  ) {
    self.spec = spec
    self.services = services
    self.mailbox = mailbox
    self.outbox = Mutex(outbox)
    handledBefore = services.inputsHandled(by: spec.id)
    handledElsewhere = services.handledElsewhere(by: spec.id)
    slot = services.calls?.slot(of: spec.id)
    broken = Mutex(services.calls?.brokenCall(of: spec.id))
    supervision = services.routes.topology.supervision(of: spec.id)
    let routes = services.routes
    declarations = Declarations(
      kind, spec, routes.topology, audience: routes.audience, limits: services.limits
    ) { [weak services] agent in
      services.map { $0.routes.node(of: agent) != nil && !$0.routes.topology.isRetired(agent) } ?? false
    }
    entries = Kind.handles.entries(for: declarations.takenTypes)
  }

  /// How many inputs are handled in one commit at the most.
  static var batchLimit: Int { 4096 }
  /// How long inputs are handled before what they have caused is committed: it waits for that, and a crash has all of it
  /// done anew.
  static var batchDuration: Duration { .milliseconds(2) }
  /// How long alerts are handled before those that were are answered: a commit takes several milliseconds, and those
  /// that wait wait for each.
  static var alertsDuration: Duration { .milliseconds(10) }

  // MARK: Life

  /// How one actor's work has ended.
  private enum Ending {
    case stopped
    /// Another actor is to take its place, for this reason.
    case failed(String)
  }

  func run() async {
    var budget = RestartBudget(supervision)
    // What was taken from the mailbox outlives the actor that has taken it.
    var hand = Hand()
    var isAnew = false
    guard await rest(&budget) else { return }
    slot?.begin(.start)
    while case .failed(let reason) = await live(as: Kind(), isAnew: isAnew, &hand) {
      isAnew = true
      guard supervision.strategy != .stop,
        let wait = budget.take(now: services.now(), random: services.random())
      else { return standStill(reason) }
      guard await mailbox.rest(for: wait, services.scheduler) else { return }
    }
  }

  private func live(as agent: Kind, isAnew: Bool, _ hand: inout Hand) async -> Ending {
    let ending = await work(on: agent, isAnew: isAnew, &hand)
    let turn = Turn(host: self, input: nil, began: services.now())
    _ = turn.end()
    slot?.end()
    await agent.end(in: Context(turn: turn))
    stopActions.withLock { $0.forget() }
    return ending
  }

  private func work(on agent: isolated Kind, isAnew: Bool, _ hand: inout Hand) async -> Ending {
    var batch = Batch<Kind>()
    let ending = await work(on: agent, isAnew: isAnew, &hand, &batch)
    // Another actor begins with what the log has.
    return await settle(&batch) ? ending : .stopped
  }

  private func work(
    on agent: isolated Kind, isAnew: Bool, _ hand: inout Hand, _ batch: inout Batch<Kind>
  ) async -> Ending {
    if !isAnew { await services.restoreStates() }
    do {
      try restore(agent, &batch)
    } catch {
      giveUp("cannot be restored: \(error)")
      return .stopped
    }
    guard await checkpoint(&batch, on: agent) else { return .stopped }
    guard await noteBrokenStart(on: agent, &batch) else { return .stopped }
    // An agent that cannot begin must not take, and count as handled, what is for it.
    let outcome = await begin(agent, isAnew: isAnew, &batch)
    batch.hasBegun = true
    if case .threw(let error) = outcome { note(error, on: nil, &batch) }
    guard await commit(&batch, on: agent), !batch.isAbandoned else { return .stopped }
    guard case .returned = outcome else { return .failed("does not work: its start has failed") }
    guard await noteBrokenRetry(on: agent, &batch) else { return .stopped }
    while true {
      // What an actor before this one has left, or had to wait. A call that suspends costs more than to look first.
      if !hand.isEmpty || mailbox.hasAlerts || batch.isTouched || batch.isSpoilt {
        guard await empty(&hand, on: agent, &batch), await commit(&batch, on: agent) else { return .stopped }
      }
      guard !batch.isAbandoned else { return .stopped }
      guard !batch.isSpoilt else { return .failed("stands still: a handler has failed") }
      guard let work = await mailbox.next(upTo: Self.batchLimit, now: services.now) else { return .stopped }
      // Alerts do not wait for that.
      if work.alerts.isEmpty, !mailbox.hasAlerts, keepsState {
        guard await checkpoint(&batch, on: agent) else { return .stopped }
      }
      noteTaken(work)
      hand.take(work)
      for order in work.orders { guard await carryOut(order, on: agent, &batch) else { return .stopped } }
      if hasAlerts(hand) { guard await takeAlerts(on: agent, &batch, &hand) else { return .stopped } }
      if work.isWake, !batch.isSpoilt {
        let outcome = await turn(on: agent, .wake, &batch) { try await $0.wake(in: $1) }
        if case .threw(let error) = outcome { note(error, on: nil, &batch) }
      }
      guard await empty(&hand, on: agent, &batch) else { return .stopped }
      if work.isDue, !batch.isSpoilt {
        guard await doWhatIsDue(on: agent, &batch, &hand) else { return .stopped }
      }
      if let (channel, after) = work.catchUp, !batch.isSpoilt {
        guard await catchUp(channel, after: after, on: agent, &batch, &hand) else { return .stopped }
      }
      if batch.isTouched { guard await commit(&batch, on: agent) else { return .stopped } }
    }
  }

  /// Whether alerts wait, in hand or in the mailbox.
  private func hasAlerts(_ hand: Hand) -> Bool { mailbox.hasAlerts || !hand.alerts.isEmpty }

  /// Handles what was taken, as long as the actor can be trusted, and commits on the way where that takes long; alerts
  /// that come meanwhile go first.
  ///
  /// - Returns: whether the agent can go on.
  private func empty(_ hand: inout Hand, on agent: isolated Kind, _ batch: inout Batch<Kind>) async -> Bool {
    if hasAlerts(hand) { guard await takeAlerts(on: agent, &batch, &hand) else { return false } }
    var began = services.now()
    // What a node that stops has of persistent events waits for its next start in the log.
    while !batch.isSpoilt,
      let queue = hand.next(holdsPersistent: batch.agenda.isFull || mailbox.isStopped),
      let delivery = hand[keyPath: queue].first
    {
      let end = began.advanced(by: Self.batchDuration)
      let handledCount = handlePrompt(delivery, until: end, on: agent, &batch)
      hand[keyPath: queue].drop(first: handledCount)
      if services.now() >= end {
        guard await commit(&batch, on: agent) else { return false }
        began = services.now()
      }
      if hasAlerts(hand) { guard await takeAlerts(on: agent, &batch, &hand) else { return false } }
      // What could not be handled in a row is handled alone.
      if handledCount < delivery.count, !batch.isSpoilt, let next = hand[keyPath: queue].takeEvent() {
        await handle(next, on: agent, &batch)
        if !batch.answers.isEmpty || batch.isUrgent {
          guard await commit(&batch, on: agent) else { return false }
        }
        if hasAlerts(hand) { guard await takeAlerts(on: agent, &batch, &hand) else { return false } }
      }
    }
    return batch.isSpoilt ? await commit(&batch, on: agent) : true
  }

  private func noteTaken(_ work: Mailbox.Work) {
    let count = work.deliveries.reduce(0) { $1.channel == .realtime ? $0 + wantedCount(in: $1) : $0 }
    if count > 0 { metrics.withLock { $0.takenRealtimeCount += count } }
    for delivery in work.expired { services.lost(delivery, for: spec.id, .expired) }
  }

  /// Leaves the agent silent until its node starts again; its events wait in the log.
  func giveUp(_ reason: String) {
    metrics.withLock { $0.brokenBecause = reason }
    services.note("agent '\(spec.id)' \(reason)")
  }

  /// Gives up after too many failures, and tells the supervisor.
  func standStill(_ reason: String) {
    giveUp(reason)
    let event = AgentStopped(agent: spec.id, reason: "the agent \(reason)")
    do {
      try state(
        Draft(bus: event, to: services.keeper(of: spec.id, AgentStopped.eventType), services.newEvent()))
    } catch {
      services.note("agent '\(spec.id)' cannot say that it stands still: \(error)")
    }
  }

  /// Whether an event is for this agent: it is addressed to it, or it is of its audience.
  func wants(_ header: RecordHeader) -> Bool { declarations.wants(header) }

  /// How many of the events are for this agent.
  func wantedCount(in delivery: Delivery) -> Int {
    let author = delivery.lane.agent
    return delivery.count { declarations.wants(author, $0, $1, $2) }
  }

  // MARK: Reading the log

  /// Reads the next part of a channel's events from the log and handles those that are for this agent.
  ///
  /// - Returns: whether the agent can go on.
  private func catchUp(
    _ channel: Channel, after: Position, on agent: isolated Kind, _ batch: inout Batch<Kind>,
    _ hand: inout Hand
  ) async -> Bool {
    do {
      let entries = try services.log.read(after: after, limit: 512, byteLimit: 1 << 20)
      for entry in entries where entry.record.channel == channel && declarations.takes(entry.record) {
        if services.wasHandledElsewhere(entry, by: spec.id) {
          batch.handled(channel, entry.position, count: 0)
          continue
        }
        await handle(delivery(of: entry), on: agent, &batch)
        if batch.isUrgent { guard await commit(&batch, on: agent) else { return false } }
        guard await takeAlerts(on: agent, &batch, &hand) else { return false }
        if batch.isSpoilt || mailbox.isStopped {
          mailbox.caughtUp(channel, through: entry.position)
          return true
        }
      }
      guard let last = entries.last else {
        // The log ends before an event that was offered: another one would spin here.
        services.note("agent '\(spec.id)' was offered events that its node's log does not have")
        await services.pause(.seconds(1))
        return true
      }
      mailbox.caughtUp(channel, through: last.position)
    } catch {
      services.note("agent '\(spec.id)' cannot read its events: \(error)")
      await services.pause(.seconds(1))
    }
    return true
  }

  /// An entry of the log as the agent is given it.
  func delivery(of entry: LogEntry) -> Delivery {
    let hops: UInt8? =
      switch entry.source {
      case .stated: UInt8(clamping: services.routes.distance(entry.record.agent, spec.id))
      case .received(let hops): hops
      }
    return Delivery(entry.record, position: entry.position, hops: hops)
  }
}

/// An agent at work, whatever its kind.
protocol AgentRunner: StateRestoring {
  var spec: AgentSpec { get }
  var mailbox: Mailbox { get }
  /// Looks up what the agent's state has still to evolve by, before the agent works; nil for nothing.
  func prepareState() async -> StateTail?
  /// Works until the mailbox is stopped.
  func run() async
  /// Lets the agent come to its end; on any thread.
  func stop()
  /// Takes an answer to a question of the agent; on any thread.
  func take(answer delivery: Delivery)
  /// Refuses a question whose asker the agent waits for itself. Returns whether it has.
  func refuses(question delivery: Delivery) -> Bool
  func snapshotMetrics() -> AgentMetrics
  /// How long events have been on their way and waited for the agent on average, in microseconds.
  var usualWaitMicroseconds: UInt64 { get }
  /// How many realtime events for the agent wait in its mailbox or are in its hand.
  var waitingRealtimeCount: Int { get }
  /// States an alert of the bus in the agent's stream; on any thread.
  func state(_ draft: Draft) throws
  /// The call that has run too long at `now` and of which nobody was told, if there is one; once for each call.
  func takeOverdue(now: Timestamp) -> RunningCall?
  /// The call that runs.
  var runningCall: RunningCall? { get }
  /// Asks in the agent's name, and waits; on any thread.
  func answer(to ask: Ask, _ question: some Question) async throws -> Answered.Outcome
  /// Whose answers it waits for.
  var awaited: [AgentID] { get }
}

/// A call of an agent that has not returned.
struct RunningCall: Sendable {
  private let delivery: Delivery?
  /// Which of its events it is about.
  private var index = 0
  private(set) var began: Timestamp
  var isTold = false

  init(_ delivery: Delivery?, began: Timestamp) {
    self.delivery = delivery
    self.began = began
  }

  /// The call with another event of the delivery begins.
  mutating func next(_ index: Int, began: Timestamp) {
    self.index = index
    self.began = began
    isTold = false
  }

  var input: RecordHeader? { delivery?.input(at: index).header }
}

/// What an agent has taken from its mailbox and not handled yet.
struct Hand {
  /// In the order in which they came. They go before all others.
  var alerts = Queue<Delivery>()
  private var realtime = Queue<Delivery>()
  private var persistent = Queue<Delivery>()

  var isEmpty: Bool { alerts.isEmpty && realtime.isEmpty && persistent.isEmpty }

  mutating func take(_ work: Mailbox.Work) {
    for alert in work.alerts { alerts.append(alert) }
    for delivery in work.deliveries {
      if delivery.channel == .realtime { realtime.append(delivery) } else { persistent.append(delivery) }
    }
  }

  /// Where the next one besides alerts lies; nil where there is none to be handled now.
  func next(holdsPersistent: Bool) -> WritableKeyPath<Hand, Queue<Delivery>>? {
    if !realtime.isEmpty { return \.realtime }
    return persistent.isEmpty || holdsPersistent ? nil : \.persistent
  }
}

extension Queue<Delivery> {
  /// The first event, by itself.
  mutating func takeEvent() -> Delivery? {
    guard let count = first?.count else { return nil }
    return count == 1 ? takeFirst() : withFirst { $0.takeFirst(1) }
  }

  /// Forgets the first events of the first delivery.
  mutating func drop(first count: Int) {
    if count == first?.count { drop(1) } else { withFirst { $0.drop(first: count) } }
  }
}

/// A persistent or alert event that an agent of this node published, with the value it was made of.
struct Stated: Sendable {
  var record: Record
  /// Nil where only the record is at hand.
  var event: (any Event)?
}
