import HyphaCore
import Synchronization

/// What one node drops, by path and cause, and the realtime events that leave it, by lane. Any thread.
///
/// Bounds: ``rowCountMax`` rows of losses and as many lanes; what comes beyond is in the channel's totals alone.
final class LossLedger: Sendable {
  private struct Row: Hashable {
    let lane: Lane
    let subscriber: AgentID
    let cause: LossCause
    let isAtHome: Bool
  }

  private struct State {
    var rows: [Row: UInt64] = [:]
    var totals: [Channel: [LossCause: UInt64]] = [:]
    var sent: [Lane: SentLane] = [:]
    /// What no receipt has said yet, and how much beyond ``rowCountMax`` rows.
    var unsaid: [Row: UInt64] = [:]
    var unsaidOther: UInt64 = 0

    /// Takes note of what the next receipt is to say.
    mutating func willSay(_ row: Row, count: UInt64) {
      guard unsaid[row] != nil || unsaid.count < LossLedger.rowCountMax else {
        unsaidOther += count
        return
      }
      unsaid[row, default: 0] += count
    }
  }

  private let state = Mutex(State())

  /// The most rows, and the most lanes, that are counted apart.
  static let rowCountMax = 16_384

  /// Notes that so many events of `lane` do not come to `subscriber`.
  ///
  /// - Parameter isAtHome: whether the subscriber is on this node. Agents move, so that it is noted now.
  func lost(_ lane: Lane, for subscriber: AgentID, _ cause: LossCause, isAtHome: Bool, count: Int = 1) {
    guard count > 0 else { return }
    state.withLock { state in
      state.totals[lane.channel, default: [:]][cause, default: 0] += UInt64(count)
      let row = Row(lane: lane, subscriber: subscriber, cause: cause, isAtHome: isAtHome)
      state.willSay(row, count: UInt64(count))
      guard state.rows[row] != nil || state.rows.count < Self.rowCountMax else { return }
      state.rows[row, default: 0] += UInt64(count)
    }
  }

  /// The counter of a lane of this node; nil where it leads to no other node, or there are too many.
  func sent(_ lane: Lane, _ routes: RouteTable) -> SentLane? {
    if let known = state.withLock({ $0.sent[lane] }) { return known }
    let remote = routes.subscribers(of: lane).filter { routes.node(of: $0.agent) != routes.node }
    guard !remote.isEmpty else { return nil }
    return state.withLock { state in
      if let known = state.sent[lane] { return known }
      guard state.sent.count < Self.rowCountMax else { return nil }
      let lanes = SentLane(remote)
      state.sent[lane] = lanes
      return lanes
    }
  }

  /// What was lost since the last time, by path and cause, and how much beyond that.
  func takeUnsaid() -> (rows: [EventsLost.Receipt], other: UInt64) {
    let (unsaid, other) = state.withLock { state in
      defer { (state.unsaid, state.unsaidOther) = ([:], 0) }
      return (state.unsaid, state.unsaidOther)
    }
    var sums: [EventsLost.Receipt: UInt64] = [:]
    for (row, count) in unsaid {
      let path = LanePath(row.lane, to: row.subscriber)
      sums[EventsLost.Receipt(path: path, cause: row.cause, count: 0), default: 0] += count
    }
    return (sums.map { EventsLost.Receipt(path: $0.path, cause: $0.cause, count: $1) }, other)
  }

  /// How many events of a channel were dropped since the node started, by cause.
  func totals(_ channel: Channel) -> [LossCause: UInt64] { state.withLock { $0.totals[channel] ?? [:] } }

  /// What was counted since the node started.
  var counted: (losses: [NodeLosses.Loss], sent: [NodeLosses.Passage]) {
    let (rows, sent) = state.withLock { ($0.rows, $0.sent) }
    return (
      rows.map {
        .init(path: LanePath($0.lane, to: $0.subscriber), cause: $0.cause, count: $1, isAtHome: $0.isAtHome)
      },
      sent.flatMap { lane, counts in
        counts.all.map { .init(path: LanePath(lane, to: $0.agent), count: $0.count) }
      }
    )
  }
}

/// How many events of one lane have left for each agent on another node. Any thread; a count is an atomic addition.
final class SentLane: Sendable {
  private final class Counter: Sendable {
    let agent: AgentID
    /// The subjects that the agent takes; empty means all.
    let subjects: [Pattern]
    let count = Atomic<UInt64>(0)

    init(_ agent: AgentID, _ subjects: [Pattern]) {
      self.agent = agent
      self.subjects = subjects
    }
  }

  private let counters: [Counter]

  init(_ subscribers: [(agent: AgentID, subjects: [Pattern])]) {
    counters = subscribers.map { Counter($0.agent, $0.subjects) }
  }

  func add(_ subject: Subject) {
    for counter in counters
    where counter.subjects.isEmpty || counter.subjects.contains(where: { $0.matches(subject) }) {
      counter.count.wrappingAdd(1, ordering: .relaxed)
    }
  }

  var all: [(agent: AgentID, count: UInt64)] {
    counters.map { ($0.agent, $0.count.load(ordering: .relaxed)) }
  }
}
