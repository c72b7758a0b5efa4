import HyphaCore
import HyphaLog
import Synchronization

/// What waits for one agent: alerts before realtime before persistent events. Alerts overtake what the agent has
/// in hand, too (``takeAlerts(upTo:)``).
///
/// Every queue is bounded. A logged channel that overflows falls back to reading the log at the agent's own
/// pace and joins live again when it has caught up (``LoggedInbox``); a realtime queue keeps the newest
/// (``RealtimeInbox``). Publishers never wait here.
final class Mailbox: Sendable {
  /// What the agent is to do next.
  struct Work: Sendable {
    var isWake = false
    /// Whether the time of something in the agent's ``Agenda`` may have come.
    var isDue = false
    /// What operators want of it.
    var orders: [AgentOrder] = []
    /// To be handled before all else, in this order.
    var alerts: [Delivery] = []
    /// Realtime events, and persistent ones after them.
    var deliveries: [Delivery] = []
    /// Channels whose events must be read from the log after a position.
    var catchUp: (channel: Channel, after: Position)?
    /// Realtime events whose time to live was over.
    var expired: [Delivery] = []

    var eventCount: Int { alerts.reduce(0) { $0 + $1.count } + deliveries.reduce(0) { $0 + $1.count } }
  }

  private struct State {
    var alert: LoggedInbox
    /// Alerts whose handlers have thrown, to be run again.
    var again: [Delivery] = []
    var persistent: LoggedInbox
    var realtime = RealtimeInbox()
    var isWoken = false
    var isDue = false
    var orders: [AgentOrder] = []
    /// Whether persistent events are to wait.
    var holdsPersistent = false
    var isStopped = false
    /// Whether the agent has work in hand; until it first asks, its start.
    var isBusy = true
    /// Whether what it has done is being committed.
    var isCommitting = false
    var waiter: CheckedContinuation<Void, Never>?
    /// Who rests before it starts anew.
    var rester: CheckedContinuation<Void, Never>?

    var takesPersistent: Bool { persistent.hasWork && !holdsPersistent }
    var hasAlerts: Bool { !alert.isEmpty || !again.isEmpty }

    mutating func takeWaiter() -> CheckedContinuation<Void, Never>? { waiter == nil ? nil : waiter.take() }

    mutating func offer<E: Event>(
      _ event: E, _ numbers: RecordTemplate.Numbers, of front: ValueFront, hops: UInt8
    ) -> (CheckedContinuation<Void, Never>?, [RealtimeInbox.Dropped]) {
      (takeWaiter(), realtime.offer(event, numbers, of: front, hops: hops))
    }
  }

  /// Whether alerts wait: a hint that is looked at without the lock, for each event. It keeps to itself in memory what publishers
  /// do not write to.
  private final class AlertHint: Sendable {
    let isSet = Atomic<Bool>(false)
    private let room = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
  }

  private let state: Mutex<State>
  private let alertHint = AlertHint()

  init(alert: LoggedInbox, persistent: LoggedInbox) {
    state = Mutex(State(alert: alert, persistent: persistent))
  }

  /// Puts events in their channel's queue. Returns the realtime events that were dropped for them.
  func offer(_ delivery: Delivery) -> [RealtimeInbox.Dropped] {
    let channel = delivery.channel
    let (waiter, dropped) = state.withLock { state in
      var dropped: [RealtimeInbox.Dropped] = []
      switch channel {
      case .alert:
        state.alert.offer(delivery)
        noteAlerts(state.hasAlerts)
      case .persistent: state.persistent.offer(delivery)
      case .realtime: dropped = state.realtime.offer(delivery)
      }
      return (state.takeWaiter(), dropped)
    }
    waiter?.resume()
    return dropped
  }

  /// Puts a realtime event in its queue, as a value. Returns the realtime events that were dropped for it.
  func offer<E: Event>(
    _ event: E, _ numbers: RecordTemplate.Numbers, of front: ValueFront, hops: UInt8
  ) -> [RealtimeInbox.Dropped] {
    let (waiter, dropped) = state.withLock { $0.offer(event, numbers, of: front, hops: hops) }
    waiter?.resume()
    return dropped
  }

  /// The most alerts that wait to be run again; what comes beyond is not.
  static var againCountMax: Int { AlertsAgain.countMax }

  /// Puts an alert before the agent once more.
  func offerAgain(_ delivery: Delivery) {
    signal {
      if $0.again.count < Self.againCountMax { $0.again.append(delivery) }
      noteAlerts($0.hasAlerts)
    }
  }

  private func noteAlerts(_ wait: Bool) {
    if alertHint.isSet.load(ordering: .relaxed) != wait { alertHint.isSet.store(wait, ordering: .relaxed) }
  }

  /// Whether alerts have come since the agent took its work in hand.
  var hasAlerts: Bool { alertHint.isSet.load(ordering: .relaxed) }

  /// Alerts that have come since the agent took its work in hand.
  func takeAlerts(upTo limit: Int) -> [Delivery] {
    hasAlerts ? state.withLock { takeAlerts(from: &$0, limit) } : []
  }

  private func takeAlerts(from state: inout State, _ limit: Int) -> [Delivery] {
    guard state.hasAlerts else { return [] }
    let alerts = state.again + state.alert.take(upTo: limit)
    state.again = []
    noteAlerts(state.hasAlerts)
    return alerts
  }

  /// Lets the agent's `wake` run.
  func wake() { signal { $0.isWoken = true } }

  /// Lets the agent look at what it has before it.
  func due() { signal { $0.isDue = true } }

  /// The most orders that wait.
  static var orderCountMax: Int { 64 }

  /// Puts an operator's order before the agent. Returns whether there was room for it.
  func order(_ order: AgentOrder) -> Bool {
    let (waiter, hasRoom) = state.withLock { state in
      let hasRoom = state.orders.count < Self.orderCountMax && !state.isStopped
      if hasRoom { state.orders.append(order) }
      return (state.waiter.take(), hasRoom)
    }
    waiter?.resume()
    return hasRoom
  }

  /// Lets persistent events wait where they are, or come again.
  func setHoldsPersistent(_ holds: Bool) { state.withLock { $0.holdsPersistent = holds } }

  /// Waits for `duration`, or until the agent is stopped. Returns whether it can go on.
  func rest(for duration: Duration, _ scheduler: any Scheduler) async -> Bool {
    if duration > .zero {
      await withCheckedContinuation { continuation in
        let isStopped = state.withLock { state in
          if !state.isStopped { state.rester = continuation }
          return state.isStopped
        }
        if isStopped { return continuation.resume() }
        scheduler.schedule(after: duration) { [weak self] in
          let rester = self?.state.withLock { $0.rester.take() }
          rester?.resume()
        }
      }
    }
    return state.withLock { !$0.isStopped }
  }

  /// Whether the agent is to come to its end.
  var isStopped: Bool { state.withLock { $0.isStopped } }

  /// Ends ``next(upTo:now:)`` and ``rest(for:_:)``. Orders that wait are refused.
  func stop() {
    signal { $0.isStopped = true }
    let (rester, orders) = state.withLock { state in
      defer { state.orders = [] }
      return (state.rester.take(), state.orders)
    }
    rester?.resume()
    for order in orders { order.refuse() }
  }

  /// The log was read up to `position` for a channel that had fallen behind.
  func caughtUp(_ channel: Channel, through position: Position) {
    state.withLock { state in
      switch channel {
      case .alert: state.alert.caughtUp(through: position)
      case .persistent: state.persistent.caughtUp(through: position)
      case .realtime: break
      }
    }
  }

  /// Says whether what the agent has done is being committed; until it is, the agent is not done with it.
  func setCommitting(_ isCommitting: Bool) { state.withLock { $0.isCommitting = isCommitting } }

  /// How many events wait; those that are only in the log count as one, and so does what the agent has in hand, or has not
  /// committed.
  var backlog: Int {
    state.withLock { state in
      state.alert.backlog + state.again.count + state.persistent.backlog + state.realtime.count
        + (state.isBusy || state.isCommitting ? 1 : 0)
    }
  }

  /// Of what is queued that which was stated first, and how many events are: at no cost that grows with them.
  var waiting: (oldest: Delivery?, count: Int) {
    state.withLock { state in
      let firsts = [state.alert.first, state.again.first, state.persistent.first, state.realtime.first]
      let oldest = firsts.compactMap(\.self).min { $0.time < $1.time }
      return (
        oldest, state.alert.count + state.again.count + state.persistent.count + state.realtime.count
      )
    }
  }

  /// What waits here, in words, each with whether it keeps the agent from it.
  var findings: [(text: String, isObstacle: Bool)] {
    state.withLock { state in
      var findings: [(text: String, isObstacle: Bool)] = []
      func note(_ channel: Channel, _ inbox: LoggedInbox) {
        if inbox.count > 0 {
          findings.append(("\(AgentReport.count(inbox.count, "\(channel) event")) in the inbox", false))
        }
        if inbox.isBehind {
          findings.append(
            ("\(channel) events come faster than they are handled: the agent reads them from the log", false))
        }
      }
      note(.alert, state.alert)
      note(.persistent, state.persistent)
      if state.realtime.count > 0 {
        findings.append(("\(AgentReport.count(state.realtime.count, "realtime event")) in the inbox", false))
      }
      if state.holdsPersistent {
        findings.append(("persistent events wait until some of those that failed were tried again", true))
      }
      return findings
    }
  }

  /// One of `agents` that has asked this one and waits, or whom somebody waits for who has.
  func asker(among agents: [AgentID]) -> AgentID? {
    state.withLock { state in
      state.realtime.all.first { $0.isQuestion && agents.contains($0.header.agent) }?.header.agent
    }
  }

  /// How many realtime events wait, counted by `count` in each delivery.
  func realtimeCount(_ count: (Delivery) -> Int) -> Int {
    state.withLock { state in state.realtime.all.reduce(0) { $0 + count($1) } }
  }

  /// Takes all realtime events out, the oldest first.
  func takeRealtime() -> [Delivery] {
    state.withLock { state in
      defer { state.realtime = RealtimeInbox() }
      return state.realtime.all
    }
  }

  /// Waits for something to do; nil once stopped.
  func next(upTo limit: Int, now: () -> Timestamp) async -> Work? {
    while true {
      let (work, isStopped) = state.withLock { state in
        let work = state.isStopped ? nil : take(from: &state, limit)
        state.isBusy = work != nil
        return (work, state.isStopped)
      }
      if isStopped { return nil }
      if var work {
        // Not under the lock, which publishers wait for.
        (work.deliveries, work.expired) = RealtimeInbox.parted(work.deliveries, at: now())
        return work
      }
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state in
          guard !state.isStopped, !Self.hasWork(&state) else { return true }
          state.waiter = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    }
  }

  private func signal(_ change: (inout sending State) -> Void) {
    let waiter = state.withLock { state in
      change(&state)
      return state.waiter.take()
    }
    waiter?.resume()
  }

  private static func hasWork(_ state: inout State) -> Bool {
    state.isWoken || state.isDue || !state.orders.isEmpty || !state.again.isEmpty || state.alert.hasWork
      || state.takesPersistent || state.realtime.count > 0
  }

  private func take(from state: inout State, _ limit: Int) -> Work? {
    var work = Work(isWake: state.isWoken, isDue: state.isDue, orders: state.orders)
    state.isWoken = false
    state.isDue = false
    state.orders = []
    work.alerts = takeAlerts(from: &state, limit)
    if work.alerts.isEmpty, let after = state.alert.catchUp {
      work.catchUp = (.alert, after)
      return work
    }
    let room = max(0, limit - work.eventCount)
    work.deliveries = state.realtime.take(upTo: room)
    let rest = limit - work.eventCount
    if rest > 0, state.takesPersistent {
      let persistent = state.persistent.take(upTo: rest)
      work.deliveries += persistent
      if persistent.isEmpty, let after = state.persistent.catchUp { work.catchUp = (.persistent, after) }
    }
    let hasWork =
      work.isWake || work.isDue || !work.orders.isEmpty || !work.alerts.isEmpty || !work.deliveries.isEmpty
      || work.catchUp != nil
    return hasWork ? work : nil
  }
}
