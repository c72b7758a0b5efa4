import HyphaCore
import HyphaTopology
import HyphaTransport

/// How a node whose log is empty gets back what its agents have stated: asks its replicas, fetches what they have, and says when
/// it may begin. A pure state machine, without log, clock or network.
///
/// Invariants, for any sequence of calls (rejoin-keeps-replicated and asks-before-it-begins in docs/guarantees.md), where of m
/// replicas n must have an event before it leaves:
/// 1. it is complete only when m − n + 1 of them have said what they have, so that one of every n that have an event is among
///    them; or all m have; or it was told to wait for nobody, and has waited for ``patience``;
/// 2. where one of them has something, one with an empty log is not counted: it may have lost the same;
/// 3. it is complete only when every lane stands as far as it can be followed, from its begin on, in what they have;
/// 4. who does not answer any more does not count, and is asked anew.
///
/// Bounds: ``inFlightMax`` questions for lanes at a time. Of each lane it keeps its receiver, and of each replica how far that
/// has got in it: about 200 B for each lane and replica. ``forkCountMax`` forks.
struct RejoinMachine: Sendable {
  /// What was found, when it is complete.
  struct Findings: Sendable, Equatable {
    /// The replicas that have answered, each with the number of lanes that it has; in the topology's order.
    var answered: [(node: NodeID, laneCount: Int)] = []
    var silent: [NodeID] = []
    /// Whether that is enough for all that was on as many replicas as the topology file asks for.
    var isProven = false
    /// The highest epoch that any of them has of the node's agents; 0 where none has any.
    var epoch: UInt64 = 0
    /// How far each lane goes.
    var lanes: [Lane: LanePoint] = [:]
    var forks: [(lane: Lane, fork: LaneFork)] = []

    static func == (left: Findings, right: Findings) -> Bool {
      left.answered.elementsEqual(right.answered) { $0 == $1 } && left.silent == right.silent
        && left.isProven == right.isProven && left.epoch == right.epoch && left.lanes == right.lanes
        && left.forks.elementsEqual(right.forks) { $0 == $1 }
    }
  }

  /// What has come in an answer.
  struct Reception: Sendable {
    /// To be appended, in this order.
    var taken: [Record] = []
    /// The end of a lane as a replica has it, to be held against the log.
    var check: Record?
  }

  private struct Replica: Sendable {
    var log = EventID.none
    var since: UInt64 = 0
    var askedAt: Timestamp?
    /// After how long without an answer it is asked again.
    var patience = RejoinMachine.askInterval.lowerBound
    /// Since when it has been asked for events without a word; nil where it is not asked.
    var silentSince: Timestamp?
    var heads: [Lane: LanePoint] = [:]
    /// Whether it has told all that it has.
    var hasAnswered = false
    /// Whether its own log was empty.
    var isFresh = false
  }

  private struct LaneWork: Sendable {
    var receiver: LaneReceiver
    var asked: (node: NodeID, after: LanePoint, at: Timestamp, isCheck: Bool)?
    /// Replicas that have had nothing more to follow.
    var spent: Set<NodeID> = []
    /// Replicas whose end of the lane was held against the log.
    var checked: Set<NodeID> = []
    var isQueued = false
  }

  /// How often a replica is asked that has not answered: less and less often.
  static let askInterval = Duration.milliseconds(10)...(.seconds(1))
  /// After how long without a word a replica that was asked for events does not count any more.
  static let silence = Duration.seconds(3)
  /// How long it waits for further replicas when enough have answered, and one of them has something.
  static let grace = Duration.seconds(1)
  /// How long it waits for answers where it need not have them.
  static let patience = Duration.seconds(5)
  /// The most lanes that are asked for at a time.
  static let inFlightMax = 64
  /// The most forks that are kept.
  static let forkCountMax = 256

  private let own: NodeID
  private let order: [NodeID]
  /// How many answers are needed; nil for none.
  private let neededCount: Int?
  private let began: Timestamp
  private var replicas: [NodeID: Replica]
  private var lanes: [Lane: LaneWork] = [:]
  /// The lanes of which more is known than was taken, and those whose ends are to be compared; the next one last.
  private var fetching: [Lane] = []
  private var checking: [Lane] = []
  private var inFlight: Set<Lane> = []
  private var enoughSince: Timestamp?
  private var forks: [(lane: Lane, fork: LaneFork)] = []

  /// - Parameters:
  ///   - settings: the node's replicas. Where `level` is 0 no number of answers proves anything, and none is waited for.
  ///   - isWaived: whether somebody has said to wait for nobody.
  ///   - heads: what the log has of the node's lanes already, where an earlier attempt has ended in its middle.
  init(
    _ own: NodeID, _ settings: ReplicationSettings, isWaived: Bool = false, heads: [Lane: LaneReceiver] = [:],
    now: Timestamp
  ) {
    self.own = own
    order = settings.nodes
    neededCount =
      isWaived || settings.level == 0 ? nil : min(order.count, order.count - settings.level + 1)
    began = now
    replicas = Dictionary(uniqueKeysWithValues: order.map { ($0, Replica()) })
    lanes = heads.mapValues { LaneWork(receiver: $0) }
  }

  // MARK: Inputs

  /// A replica says how far it has got with lanes of this node's agents.
  ///
  /// - Parameters:
  ///   - through: up to which position of its log; 0 where that is empty.
  ///   - isFull: whether it has more to say.
  mutating func told(
    _ heads: [(lane: Lane, point: LanePoint)], by node: NodeID, log: EventID, through: UInt64, isFull: Bool,
    now: Timestamp
  ) {
    // What it sends as its log syncs comes without a place in it.
    guard var replica = replicas[node], !replica.hasAnswered else { return }
    replica.silentSince = nil
    for (lane, point) in heads { replica.heads[lane] = max(replica.heads[lane] ?? .start, point) }
    (replica.log, replica.since) = (log, through)
    replica.isFresh = through == 0 && replica.heads.isEmpty
    replica.hasAnswered = !isFull
    if isFull { replica.askedAt = nil }
    replicas[node] = replica
    guard replica.hasAnswered else { return }
    for lane in replica.heads.keys.sorted(by: { $0.description < $1.description }) {
      if lanes[lane] == nil { lanes[lane] = LaneWork(receiver: LaneReceiver()) }
      lanes[lane]?.spent.remove(node)
      queue(lane)
    }
  }

  /// A replica answers with what follows `after` in a lane.
  mutating func received(
    _ records: [Record], of lane: Lane, after: LanePoint, from node: NodeID, now: Timestamp
  )
    -> Reception
  {
    guard var work = lanes[lane], let asked = work.asked, asked.node == node, asked.after == after else {
      return Reception()
    }
    work.asked = nil
    inFlight.remove(lane)
    var reception = Reception()
    if asked.isCheck {
      work.checked.insert(node)
      let end = replicas[node]?.heads[lane]
      reception.check = records.first { $0.point == end }
    } else {
      let found = work.receiver.receive(
        answer: records.filter { $0.lane == lane }, after: after, from: .copy, now: now)
      reception.taken = found.delivered
      if let last = found.delivered.last {
        work.spent = []
        if last.point == replicas[node]?.heads[lane] { work.checked.insert(node) }
      } else {
        work.spent.insert(node)
      }
      for fork in found.forks { report(fork, of: lane) }
    }
    lanes[lane] = work
    let isAsked = inFlight.contains { lanes[$0]?.asked?.node == node }
    replicas[node]?.silentSince = isAsked ? now : nil
    queue(lane)
    return reception
  }

  /// The log could not take what came of a lane: it stands at `head`.
  mutating func reset(_ lane: Lane, to head: LaneReceiver) {
    lanes[lane]?.receiver = head
    lanes[lane]?.spent = []
    queue(lane)
  }

  /// A replica has another event at the end of its lane than the log, or one that the log does not have.
  mutating func contradicted(_ record: Record) {
    let lane = record.lane
    guard let head = lanes[lane]?.receiver else { return }
    report(
      LaneFork(
        kind: .contradicted, common: record.previous, kept: .init(point: head.head, event: head.headID),
        other: .init(point: record.point, event: record.id)), of: lane)
  }

  private mutating func report(_ fork: LaneFork, of lane: Lane) {
    if forks.count < Self.forkCountMax { forks.append((lane, fork)) }
  }

  // MARK: Decisions

  /// What is to be asked now, and of whom.
  ///
  /// - Parameter isSettled: whether the log has all that was taken: then ends may be compared.
  mutating func due(now: Timestamp, isSettled: Bool) -> [(node: NodeID, question: ControlMessage)] {
    var due: [(node: NodeID, question: ControlMessage)] = []
    for node in order {
      if let since = replicas[node]?.silentSince, now.since(since) >= Self.silence { forget(node) }
      guard let replica = replicas[node], !replica.hasAnswered,
        replica.askedAt.map({ now.since($0) >= replica.patience }) ?? true
      else { continue }
      replicas[node]?.askedAt = now
      replicas[node]?.patience = min(replica.patience * 2, Self.askInterval.upperBound)
      due.append((node, .copies(of: own, log: replica.log, since: replica.since)))
    }
    for lane in inFlight.sorted(by: { $0.description < $1.description }) {
      guard let asked = lanes[lane]?.asked, now.since(asked.at) >= Self.askInterval.upperBound else {
        continue
      }
      lanes[lane]?.asked = nil
      inFlight.remove(lane)
      queue(lane)
    }
    while inFlight.count < Self.inFlightMax, let lane = fetching.popLast() {
      lanes[lane]?.isQueued = false
      ask(lane, isCheck: false, now, &due)
    }
    guard isSettled, fetching.isEmpty else { return due }
    while inFlight.count < Self.inFlightMax, let lane = checking.popLast() {
      lanes[lane]?.isQueued = false
      ask(lane, isCheck: true, now, &due)
    }
    return due
  }

  private mutating func ask(
    _ lane: Lane, isCheck: Bool, _ now: Timestamp, _ due: inout [(node: NodeID, question: ControlMessage)]
  ) {
    guard let work = lanes[lane] else { return }
    let further = furthest(of: lane, work)
    guard let node = isCheck ? unchecked(of: lane, work) : further, !isCheck || further == nil else {
      return queue(lane)
    }
    let end = replicas[node]?.heads[lane] ?? .start
    let after = isCheck ? Self.before(end) : work.receiver.head
    lanes[lane]?.asked = (node, after, now, isCheck)
    inFlight.insert(lane)
    if replicas[node]?.silentSince == nil { replicas[node]?.silentSince = now }
    due.append((node, .fetch(lane: lane, after: after)))
  }

  /// Puts a lane where it goes on: what is known is fetched first; then ends are compared.
  private mutating func queue(_ lane: Lane) {
    guard let work = lanes[lane], !work.isQueued, work.asked == nil else { return }
    if furthest(of: lane, work) != nil {
      fetching.append(lane)
    } else if unchecked(of: lane, work) != nil {
      checking.append(lane)
    } else {
      return
    }
    lanes[lane]?.isQueued = true
  }

  /// The replica that has the most of a lane beyond what was taken; nil where none has.
  private func furthest(of lane: Lane, _ work: LaneWork) -> NodeID? {
    var best: (node: NodeID, end: LanePoint)?
    for node in order where !work.spent.contains(node) {
      guard let replica = replicas[node], replica.hasAnswered, let end = replica.heads[lane],
        end > work.receiver.head, end > best?.end ?? .start
      else { continue }
      best = (node, end)
    }
    return best?.node
  }

  private func unchecked(of lane: Lane, _ work: LaneWork) -> NodeID? {
    order.first { node in
      !work.checked.contains(node) && replicas[node].map { $0.hasAnswered && $0.heads[lane] != nil } ?? false
    }
  }

  /// The newest point that lies before another one, whether there is an event or not.
  static func before(_ point: LanePoint) -> LanePoint {
    if point.sequence > 1 { return LanePoint(epoch: point.epoch, sequence: point.sequence - 1) }
    return point.epoch > 1 ? LanePoint(epoch: point.epoch - 1, sequence: .max) : .start
  }

  /// Counts a replica as if it had never answered.
  private mutating func forget(_ node: NodeID) {
    replicas[node] = Replica()
    for lane in inFlight.sorted(by: { $0.description < $1.description })
    where lanes[lane]?.asked?.node == node {
      lanes[lane]?.asked = nil
      inFlight.remove(lane)
      queue(lane)
    }
  }

  private var answered: [NodeID] { order.filter { replicas[$0]?.hasAnswered ?? false } }

  /// How many answers count (invariant 2).
  private var countedCount: Int { answered.count { !(replicas[$0]?.isFresh ?? true) } }

  private var isProven: Bool { neededCount.map { countedCount >= $0 } ?? false }

  /// The replicas that have not answered yet, and how many answers are needed; nil for none.
  var waiting: (nodes: [NodeID], neededCount: Int?) {
    (order.filter { !(replicas[$0]?.hasAnswered ?? false) }, neededCount)
  }

  /// What was found, when it is complete and the log has all that was taken; nil before.
  mutating func findings(now: Timestamp, isSettled: Bool) -> Findings? {
    guard isEnough(now: now), isSettled, fetching.isEmpty, checking.isEmpty, inFlight.isEmpty else {
      return nil
    }
    var findings = Findings()
    let answered = answered
    findings.answered = answered.map { ($0, replicas[$0]?.heads.count ?? 0) }
    findings.silent = order.filter { !answered.contains($0) }
    findings.isProven = isProven
    for node in answered {
      for point in (replicas[node]?.heads ?? [:]).values { findings.epoch = max(findings.epoch, point.epoch) }
    }
    for (lane, work) in lanes where work.receiver.head > .start {
      findings.lanes[lane] = work.receiver.head
      findings.epoch = max(findings.epoch, work.receiver.head.epoch)
    }
    findings.forks = forks
    return findings
  }

  private mutating func isEnough(now: Timestamp) -> Bool {
    let count = answered.count
    if count == order.count { return true }
    guard neededCount != nil else { return now.since(began) >= Self.patience }
    guard isProven else {
      enoughSince = nil
      return false
    }
    let isNothing = answered.allSatisfy { replicas[$0]?.heads.isEmpty ?? true }
    if isNothing { return true }
    let since = enoughSince ?? now
    enoughSince = since
    return now.since(since) >= Self.grace
  }
}
