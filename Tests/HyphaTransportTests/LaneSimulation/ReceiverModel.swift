import HyphaCore
import HyphaTransport

/// A model of a node that takes a lane: the receiver, the log to which it gives what it takes, and the node's crashes.
///
/// It checks by name what docs/guarantees.md says of "A lane's receiver" as it goes.
struct ReceiverModel {
  let name: NodeID
  let limits: LaneLimits
  private(set) var receiver = LaneReceiver()
  /// What its log has: what its agents are given, from their cursors on.
  private(set) var log: [Record] = []
  /// What the log was given and has not committed.
  private var pending: [(due: UInt64, records: [Record])] = []
  /// The last event that was taken, in the log or on the way there.
  private var last: Record?
  private(set) var forks: Set<LaneFork> = []
  private(set) var isUp = true
  /// When each other node was heard last.
  private var heard: [NodeID: UInt64] = [:]
  var counts = Counts()

  /// What happened, for the test's own coverage.
  struct Counts {
    var droppedCount = 0
    var contradictionCount = 0
    var copyAnswerCount = 0
    var crashCount = 0
  }

  init(_ name: NodeID, limits: LaneLimits) {
    self.name = name
    self.limits = limits
  }

  var logEnd: LanePoint { log.last?.point ?? .start }

  /// Whether its log has something to commit.
  var isCommitting: Bool { !pending.isEmpty }

  // MARK: Life

  /// Ends: what the log had not committed is gone.
  mutating func crash() {
    isUp = false
    pending = []
    counts.crashCount += 1
  }

  /// Goes on where the log ends.
  mutating func restart() {
    guard !isUp else { return }
    isUp = true
    heard = [:]
    last = log.last
    receiver = LaneReceiver(head: logEnd, id: log.last?.id ?? .none)
  }

  /// The log refuses what it was given.
  mutating func refuseAppends(now: Timestamp) {
    guard isUp, !pending.isEmpty else { return }
    pending = []
    last = log.last
    receiver.reset(to: logEnd, id: log.last?.id ?? .none, now: now)
  }

  mutating func commit(upTo milliseconds: UInt64) {
    guard let first = pending.first, first.due <= milliseconds else { return }
    let due = pending.prefix { $0.due <= milliseconds }
    for (_, records) in due { log += records }
    pending.removeFirst(due.count)
  }

  // MARK: Inputs

  mutating func receive(_ records: [Record], at milliseconds: UInt64, commitAt due: UInt64) throws {
    let reception = receiver.receive(records, now: time(milliseconds: milliseconds), limits: limits)
    try take(reception, commitAt: due)
  }

  mutating func receive(
    answer records: [Record], after: LanePoint, from source: LaneReceiver.Source, _ node: NodeID,
    at milliseconds: UInt64, commitAt due: UInt64
  ) throws {
    heard[node] = milliseconds
    let reception = receiver.receive(
      answer: records, after: after, from: source, now: time(milliseconds: milliseconds), limits: limits)
    if source == .copy { counts.copyAnswerCount += reception.delivered.count }
    try take(reception, commitAt: due)
  }

  mutating func announce(
    _ end: LanePoint, by source: LaneReceiver.Source, _ node: NodeID, at milliseconds: UInt64
  ) {
    heard[node] = milliseconds
    receiver.announce(end, by: source, now: time(milliseconds: milliseconds))
  }

  /// Whom to ask now, and for what.
  mutating func fetchDue(copy: NodeID, at milliseconds: UInt64) -> (node: NodeID, after: LanePoint)? {
    guard isUp, let fetch = receiver.fetchDue(now: time(milliseconds: milliseconds), limits: limits) else {
      return nil
    }
    let node = RepairHolders.choose(origin: "origin", copies: [copy], attempt: fetch.attempt) { node in
      milliseconds - (heard[node] ?? 0) > 600
    }
    return (node, fetch.after)
  }

  // MARK: Invariants

  private mutating func take(_ reception: LaneReceiver.Reception, commitAt due: UInt64) throws {
    counts.droppedCount += reception.droppedCount
    counts.contradictionCount += reception.contradictoryCount
    var lost = reception.forks.filter { $0.kind == .lost }[...]
    for record in reception.delivered {
      let (event, end) = (record, last?.point ?? .start)
      guard event.point > end else {
        throw Broken("lane-once", "\(name) takes \(event.point) after \(end)")
      }
      if event.previous != end {
        guard let fork = lost.popFirst(), fork.common == event.previous, fork.kept.point == end,
          fork.kept.event == last?.id ?? .none,
          fork.other == .init(point: event.point, event: event.id), event.epoch > end.epoch
        else {
          throw Broken(
            "lane-order", "\(name) takes \(event.point), which names \(event.previous), after \(end)")
        }
      }
      last = record
    }
    guard lost.isEmpty else { throw Broken("lane-forks-told", "\(name): nothing is behind \(lost)") }
    guard (reception.contradictoryCount > 0) == reception.forks.contains(where: { $0.kind == .contradicted })
    else { throw Broken("lane-forks-told", "\(name): \(reception)") }
    forks.formUnion(reception.forks)
    if !reception.delivered.isEmpty { pending.append((due, reception.delivered)) }
    try checkBounds()
  }

  func checkBounds() throws {
    guard receiver.parkedCount <= limits.parkedCountMax,
      receiver.parkedByteCount <= limits.parkedByteCountMax
    else {
      throw Broken(
        "lane-bounded", "\(name) parks \(receiver.parkedCount) events of \(receiver.parkedByteCount) bytes")
    }
  }

  /// Everything that the origin's log has is here, in its order; what is here beside it is in a fork that was told.
  func checkEnd(_ origin: OriginModel) throws {
    let committed = Set(origin.log)
    guard log.filter(committed.contains) == origin.log else {
      throw Broken(
        "lane-complete",
        "\(name) has \(log.map(\.point)) of \(origin.log.map(\.point))")
    }
    let lost = Set(log.filter { !committed.contains($0) }.map(\.point))
    let told = forks.filter { $0.kind == .lost }
    let forked = Set(
      log.map(\.point).filter { point in
        told.contains { $0.common < point && point <= $0.kept.point }
      })
    guard forked == lost else {
      throw Broken("lane-forks-told", "\(name) tells \(told.map(\.description)) for the lost \(lost)")
    }
    guard origin.sendsBeforeCommit || lost.isEmpty else {
      throw Broken("lane-not-merged", "\(name) has the persistent \(lost), which no log has")
    }
    try checkRest()
  }

  /// A lane that has everything keeps nothing else.
  func checkRest() throws {
    guard !receiver.isBehind, receiver.parkedCount == 0, receiver.parkedByteCount == 0 else {
      throw Broken("lane-at-rest", "\(name) counts as behind \(receiver.announced) at \(receiver.head)")
    }
  }
}

/// An invariant that does not hold.
struct Broken: Error, CustomStringConvertible {
  let description: String

  init(_ invariant: String, _ detail: String) {
    description = "invariant '\(invariant)' is broken: \(detail)"
  }
}
