import HyphaCore
import HyphaTopology
import HyphaTransport

/// What one node does with the frames of one channel: passes them on, puts lanes in order, and says what to
/// take, to fetch and to drop.
///
/// A pure state machine around one ``LaneReceiver`` per lane. Frames are passed on before anything else is
/// done with them; only what agents of this node are to get is put in order here.
struct Courier: Sendable {
  /// Events of one lane for agents of this node, and how they came here.
  struct Taken: Sendable {
    let lane: Lane
    /// At least one, in the lane's order.
    let records: [Record]
    /// Tree edges that they have crossed up to each agent; an agent that is not here was not on the frame's way.
    let hops: Hops
    /// When they are not worth delivering any more.
    var expiresAt: Timestamp?
    /// Whether they came in an answer to a fetch.
    var isRepair = false
    /// Whether that was from another node than their origin's.
    var isCopy = false
  }

  /// The tree edges that a frame has crossed up to agents of this node.
  struct Hops: Sendable {
    /// Up to where it came in.
    private let crossed: UInt8
    /// From there to each.
    private let deliveries: [RouteStep.Delivery]
    /// The same, where looking through them would cost more.
    private let table: [AgentID: UInt8]

    init(crossed: UInt8 = 0, deliveries: [RouteStep.Delivery] = []) {
      (self.crossed, self.deliveries) = (crossed, deliveries)
      table =
        deliveries.count <= 16
        ? [:] : Dictionary(deliveries.map { ($0.agent, $0.hops) }, uniquingKeysWith: min)
    }

    subscript(agent: AgentID) -> UInt8? {
      let hops = table.isEmpty ? deliveries.first { $0.agent == agent }?.hops : table[agent]
      return hops.map { crossed.adding($0) }
    }

    /// Up to the nearest one.
    var least: UInt8? { deliveries.map(\.hops).min().map { crossed.adding($0) } }
  }

  /// What is to be done.
  struct Actions: Sendable {
    /// To append (on a logged channel) and deliver, in this order.
    var taken: [Taken] = []
    /// To send, in this order.
    var forwards: [OutboundFrame] = []
    /// Lanes of which another side says something else than what was taken.
    var forks: [(Lane, LaneFork)] = []
    /// Why something was refused.
    var refusals: [String] = []
    /// Realtime events of one lane that do not come to an agent of this node, or of those behind it.
    var losses: [(records: [Record], agent: AgentID, cause: LossCause)] = []
  }

  let channel: Channel
  /// Whether the ages of events that are passed on are counted.
  private let measuresAges: Bool
  private let routes: RouteTable
  private var rights: PublishRights
  private var lanes: LaneTable
  private var gate = RealtimeGate()
  /// Of realtime events alone.
  private var limits: RateLimits?
  private var arrivals: [Lane: LaneArrivals] = [:]
  /// The nodes that were asked for copies of lanes, at most ``askedCountMax`` lanes.
  private var asked: [Lane: Set<NodeID>] = [:]
  /// Lanes whose relays have brought what their origin did not state: they are fetched from the origin alone.
  private var distrusted: Set<Lane> = []
  private var pausedUntil = Timestamp.zero
  private(set) var counters = CourierCounters()

  /// The most fetches that are begun in one go.
  static var fetchCountMax: Int { 64 }
  /// The most lanes of which is remembered who was asked for copies. Then all are forgotten: what those have still to
  /// answer is fetched again.
  static var askedCountMax: Int { 16_384 }

  init(
    channel: Channel, routes: RouteTable, heads: [Lane: LaneReceiver], measuresAges: Bool = false,
    limits: RateLimits? = nil, rights: PublishRights
  ) {
    self.channel = channel
    self.measuresAges = measuresAges
    self.routes = routes
    self.limits = limits
    self.rights = rights
    lanes = LaneTable(heads) { routes.shared($0) }
  }

  /// The lanes that are known to be incomplete, each with its end here and at its origin; the next to be looked at first.
  var behindLanes: [(lane: Lane, head: LanePoint, announced: LanePoint)] { lanes.behind }

  /// How many lanes are known to be incomplete.
  var behindCount: Int { lanes.behindCount }
  /// How many events are parked.
  var parkedCount: Int { lanes.parkedCount }

  // MARK: Live

  /// Takes a frame that a neighbour sent. `sinceArrival` is how long it has waited on this node.
  mutating func receive(
    _ frame: Frame, from node: NodeID, now: Timestamp, sinceArrival: Duration = .zero
  ) -> Actions {
    var actions = Actions()
    let lane = frame.records[0].lane
    let step = routes.step(lane, at: frame.via, frame.topologyVersion)
    if let refusal = refusal(of: frame, lane, step, from: node)
      ?? excess(of: frame, lane, from: node, now: now)
    {
      counters.refusedCount += UInt64(frame.records.count)
      actions.refusals.append(refusal)
      lose(frame.records, .refused, for: routes.reached(lane, by: frame.via, frame.topologyVersion), &actions)
      return actions
    }
    let isDistrusted = distrusted.contains(lane) && node != routes.node(of: lane.agent)
    var records = frame.records
    if !channel.isRepaired { records = isDistrusted ? [] : arrive(records, of: lane) }
    var remaining = frame.remaining
    if let left = remaining {
      guard left > sinceArrival else {
        counters.expiredCount += UInt64(frame.records.count)
        lose(records, .expired, for: routes.plan(of: lane).local, &actions)
        for forward in step.forwards {
          lose(
            frame.records, .expired, for: routes.reached(lane, by: forward.via, frame.topologyVersion),
            &actions)
        }
        return actions
      }
      remaining = left - sinceArrival
    }
    for forward in step.forwards {
      let next = Frame(
        via: forward.via, topologyVersion: frame.topologyVersion, hops: frame.hops.adding(forward.hops),
        remaining: remaining, records: frame.records)
      actions.forwards.append(
        OutboundFrame(
          node: forward.node, channel: channel,
          bytes: next.encoded(isPacked: channel == .realtime && routes.peers.takesPacked(forward.node))))
    }
    for relay in step.relays { counters.relayed[relay, default: 0] += UInt64(frame.records.count) }
    if measuresAges, !step.forwards.isEmpty { counters.measure(frame, from: node, step, now: now) }
    // What was stated here is in the log, and was delivered, before it left.
    guard routes.node(of: lane.agent) != routes.node, routes.plan(of: lane).isTaken else {
      return actions
    }
    let hops = Hops(crossed: frame.hops, deliveries: step.deliveries)
    if isDistrusted {
      lose(frame.records, .refused, for: routes.plan(of: lane).local, &actions)
      counters.refusedCount += UInt64(frame.records.count)
      // That there is more is enough to fetch it.
      if let last = frame.records.last { announce(lane, last.point, by: node, now: now) }
    } else if channel.isRepaired {
      take(of: lane, hops: hops, &actions) { $0.receive(records, of: lane, now: now) }
    } else {
      let newest = gate.newest(of: records)
      if newest.count < records.count {
        counters.supersededCount += UInt64(records.count - newest.count)
        let passed = Set(newest.map(\.point))
        let superseded = records.filter { !passed.contains($0.point) }
        lose(superseded, .superseded, for: routes.plan(of: lane).local, &actions)
      }
      if !newest.isEmpty {
        let expiresAt = remaining.map { Timestamp(microseconds: now.microseconds + $0.wholeMicroseconds) }
        actions.taken.append(Taken(lane: lane, records: newest, hops: hops, expiresAt: expiresAt))
      }
    }
    return actions
  }

  /// The realtime events among `records` that come for the first time; they are counted for each agent of this node.
  private mutating func arrive(_ records: [Record], of lane: Lane) -> [Record] {
    guard routes.node(of: lane.agent) != routes.node, routes.plan(of: lane).isTaken else { return [] }
    var seen =
      arrivals[lane]
      ?? LaneArrivals(for: routes.subscribers(of: lane).filter { routes.node(of: $0.agent) == routes.node })
    arrivals[lane] = nil
    defer { arrivals[lane] = seen }
    if records.isWholeRun, seen.take(run: records) { return records }
    // Most often nothing has come before.
    guard let known = records.firstIndex(where: { !seen.take($0) }) else { return records }
    let new = records[..<known] + records[(known + 1)...].filter { seen.take($0) }
    counters.duplicateCount += UInt64(records.count - new.count)
    return Array(new)
  }

  /// How many realtime events have come for agents of this node.
  var arrived: [NodeLosses.Passage] {
    arrivals.flatMap { lane, seen in
      seen.counts.map { NodeLosses.Passage(path: LanePath(lane, to: $0.agent), count: $0.count) }
    }
  }

  private func lose(
    _ records: [Record], _ cause: LossCause, for agents: [AgentID], _ actions: inout Actions
  ) {
    guard !channel.isRepaired, !records.isEmpty else { return }
    for agent in agents { actions.losses.append((records, agent, cause)) }
  }

  /// Why a frame may not pass; nil where it may.
  private func refusal(of frame: Frame, _ lane: Lane, _ step: RouteStep, from node: NodeID) -> String? {
    if lane.channel != channel {
      return "node '\(node)' sent an event of the \(lane.channel) channel on the \(channel) channel"
    }
    guard routes.knows(frame.topologyVersion) else {
      return "node '\(node)' sent a frame under topology version \(frame.topologyVersion)"
    }
    guard let origin = routes.node(of: lane.agent) else {
      return "node '\(node)' sent an event of '\(lane.agent)', which the topology does not have"
    }
    // Lanes that the topology does not have are not remembered, so that nobody can make this node remember more.
    if case .addressee(let addressee) = lane.target, routes.node(of: addressee) == nil {
      return "node '\(node)' sent an event for '\(addressee)', which the topology does not have"
    }
    // The way between two others, or back, may lead through this node again; but each lane comes to each agent from
    // one side alone, that of its origin.
    guard let source = step.source else {
      return origin == routes.node
        ? "node '\(node)' sent an event of '\(lane.agent)', which is placed here"
        : "node '\(node)' sent an event of '\(lane.agent)' by '\(frame.via)', where its lane does not lead"
    }
    // Copies of what an agent states that moves come from its former node, and its new one.
    guard source == node || frame.via == routes.author && routes.isSource(node, of: lane) else {
      return
        "node '\(node)' sent an event of '\(lane.agent)' by '\(frame.via)', where it comes from node '\(source)'"
    }
    if rights.areLate(frame.records, of: lane) { return Self.late(lane, from: node) }
    // Most have the same type, and share it.
    var next = frame.records.startIndex
    while next < frame.records.endIndex {
      let record = frame.records[next]
      next = frame.records.endOfStretch(at: next)
      guard mayState(record) else {
        return "node '\(node)' sent \(record.type) of '\(lane.agent)', which does not declare it"
      }
      if let overseer = passedBy(record) {
        return "node '\(node)' sent \(record.type) of '\(lane.agent)' past '\(overseer)' who oversees it"
      }
    }
    return nil
  }

  private static func late(_ lane: Lane, from node: NodeID) -> String {
    "node '\(node)' sent events of '\(lane.agent)' that claim an earlier revision, behind where its node had begun under this one"
  }

  /// Why a frame is too much of its agent; nil where it is not. The bus's own questions and answers are not limited.
  private mutating func excess(of frame: Frame, _ lane: Lane, from node: NodeID, now: Timestamp) -> String? {
    guard limits != nil else { return nil }
    let count = frame.records[...].count { _, type, _ in type != Asked.eventType && type != Answered.eventType
    }
    guard count > 0, limits?.mayPass(count, of: lane.agent, by: frame.via, now: now) == false
    else { return nil }
    return "node '\(node)' sent more realtime events of '\(lane.agent)' than twice what it may send"
  }

  /// This node was added, and takes from any node which revision its file is.
  mutating func join() { rights.join() }

  /// Whether an event may be in its lane: its agent declares its type. What an agent sends to itself, such as timers, only its
  /// replicas take.
  private func mayState(_ record: Record) -> Bool {
    record.addressee == record.agent || rights.allow(record)
  }

  /// The supervisor whom an event goes past that it should have come to; nil where there is none. An addressee is all that
  /// could lead it there: the routes have no other way.
  private func passedBy(_ record: Record) -> AgentID? {
    // What was stated under an earlier revision of the file is as that had it.
    guard let addressee = record.addressee, addressee != record.agent,
      !rights.isEarlier(record)
    else { return nil }
    return routes.audience.overseer(of: record.type, by: record.agent)
  }

  // MARK: Repair

  /// Takes nothing of a lane from relays any more, nor what they have brought early.
  mutating func distrust(_ lane: Lane, now: Timestamp) {
    distrusted.insert(lane)
    lanes.dropEarly(of: lane, now: now)
  }

  /// Takes the answer to a fetch of what follows `after` in a lane.
  mutating func receive(
    answer records: [Record], of lane: Lane, after: LanePoint, from node: NodeID, now: Timestamp
  ) -> Actions {
    var actions = Actions()
    let plan = routes.plan(of: lane)
    guard !rights.areLate(records, of: lane) else {
      counters.refusedCount += UInt64(records.count)
      actions.refusals.append(Self.late(lane, from: node))
      return actions
    }
    guard plan.isTaken,
      records.allSatisfy({ mayState($0) && passedBy($0) == nil })
    else {
      counters.refusedCount += UInt64(records.count)
      actions.refusals.append(
        "an answer has events of lane \(lane), which has none of their type or does not lead here so")
      return actions
    }
    let source: LaneReceiver.Source = routes.isSource(node, of: lane) ? .origin : .copy
    guard source == .origin || mayTake(copyOf: lane, from: node) else {
      counters.refusedCount += UInt64(records.count)
      actions.refusals.append(
        "node '\(node)' answered with events of '\(lane.agent)', for which it was not asked")
      return actions
    }
    take(of: lane, hops: Hops(), isRepair: true, isCopy: source == .copy, &actions) {
      $0.receive(answer: records, of: lane, after: after, from: source, now: now)
    }
    return actions
  }

  /// Learns from a node how far a lane goes.
  ///
  /// - Parameter hasAdopted: whether the node runs under this node's topology file, as far as it has said.
  mutating func announce(
    _ lane: Lane, _ point: LanePoint, by node: NodeID, hasAdopted: Bool = false, now: Timestamp
  ) {
    guard routes.plan(of: lane).isTaken else { return }
    if hasAdopted, routes.node(of: lane.agent) == node { rights.adopted(lane, at: point) }
    lanes.announce(point, of: lane, by: routes.isSource(node, of: lane) ? .origin : .copy, now: now)
  }

  /// The fetches that are due: from which node, of which lane, after which event.
  ///
  /// - Parameters:
  ///   - silent: the nodes of which nothing was heard for long.
  ///   - pace: asked for each fetch of a persistent lane. Alerts wait for nothing.
  mutating func fetchesDue(now: Timestamp, silent: Set<NodeID>, pace: inout RepairPace) -> [(
    node: NodeID, lane: Lane, after: LanePoint
  )] {
    guard now >= pausedUntil else { return [] }
    var due: [(node: NodeID, lane: Lane, after: LanePoint)] = []
    let elapsed = Duration.microseconds(Int64(clamping: now.microseconds))
    while due.count < Self.fetchCountMax, lanes.behindCount > 0, !isPaced || pace.mayFetch(now: elapsed) {
      guard let (lane, fetch) = lanes.nextFetch(now: now),
        let origin = routes.source(of: lane, after: fetch.after), origin != routes.node
      else {
        if isPaced { pace.answered(byteCount: 0) }
        break
      }
      let node = RepairHolders.choose(
        origin: origin, copies: holders(of: lane, besides: origin), attempt: fetch.attempt,
        isSilent: silent.contains)
      if node != origin {
        if asked.count >= Self.askedCountMax { asked = [:] }
        asked[lane, default: []].insert(node)
      }
      due.append((node, lane, fetch.after))
    }
    lanes.endFetches()
    return due
  }

  /// Whether repair waits for its turn behind live traffic.
  var isPaced: Bool { channel == .persistent }

  /// The nodes beside its origin's that take a lane, too. What nodes state under their own names comes from them alone.
  ///
  /// - Parameter source: the node that is asked first; nil for the lane's origin.
  private func holders(of lane: Lane, besides source: NodeID? = nil) -> [NodeID] {
    let plan = routes.plan(of: lane)
    guard plan.isHeld, !distrusted.contains(lane) else { return [] }
    let origin = routes.node(of: lane.agent)
    guard let source, source != origin else { return plan.nodes.filter { $0 != origin } }
    // What an agent that arrives was given its origin has, too.
    let others = plan.nodes.filter { $0 != source && $0 != origin }
    return origin.map { $0 == routes.node ? others : [$0] + others } ?? others
  }

  /// Whether a node may be heard about a lane of another's agent: it takes the lane, too.
  func isHolder(_ node: NodeID, of lane: Lane) -> Bool { holders(of: lane).contains(node) }

  private func mayTake(copyOf lane: Lane, from node: NodeID) -> Bool {
    (asked[lane]?.contains(node) ?? false) && !distrusted.contains(lane)
  }

  /// Goes back to what the log has of some lanes: what came after could not be appended.
  mutating func reset(_ heads: [Lane: LanePoint], now: Timestamp, pause: Duration) {
    for (lane, head) in heads { lanes.reset(lane, to: head, now: now) }
    pausedUntil = Timestamp(microseconds: now.microseconds + pause.wholeMicroseconds)
  }

  private mutating func take(
    of lane: Lane, hops: Hops, isRepair: Bool = false, isCopy: Bool = false,
    _ actions: inout Actions,
    _ receive: (inout LaneTable) -> LaneReceiver.Reception
  ) {
    let reception = receive(&lanes)
    if !reception.delivered.isEmpty {
      actions.taken.append(
        Taken(
          lane: lane, records: reception.delivered, hops: hops, isRepair: isRepair, isCopy: isCopy))
    }
    for fork in reception.forks { actions.forks.append((lane, fork)) }
    counters.duplicateCount += UInt64(reception.duplicateCount)
    counters.parkedCount += UInt64(reception.parkedCount)
    counters.overflowCount += UInt64(reception.droppedCount)
    counters.refusedCount += UInt64(reception.contradictoryCount)
    if isRepair { counters.repairedCount += UInt64(reception.delivered.count) }
    if isCopy { counters.copiedCount += UInt64(reception.delivered.count) }
  }
}

/// What one courier has counted since its node started.
struct CourierCounters: Sendable {
  /// Events that had come before.
  var duplicateCount: UInt64 = 0
  /// Events that came before their predecessors.
  var parkedCount: UInt64 = 0
  /// Events that came in answers to fetches.
  var repairedCount: UInt64 = 0
  /// Those of them that came from other nodes than their origin's.
  var copiedCount: UInt64 = 0
  /// Events that were dropped for want of room and fetched later.
  var overflowCount: UInt64 = 0
  /// Events that had no business here.
  var refusedCount: UInt64 = 0
  /// Realtime events that came after a newer one of their subject.
  var supersededCount: UInt64 = 0
  /// Realtime events whose time to live was over.
  var expiredCount: UInt64 = 0
  /// Events passed on, by the supervisor that relayed them.
  var relayed: [AgentID: UInt64] = [:]
  /// How old they were then, by the supervisor and the node that they came from; and by the node that they went to.
  var sources: [AgentID: [NodeID: AgeSum]] = [:]
  var sent: [NodeID: AgeSum] = [:]

  /// Takes note of the age of a frame's events, which is that of the newest.
  mutating func measure(_ frame: Frame, from node: NodeID, _ step: RouteStep, now: Timestamp) {
    guard let last = frame.records.last else { return }
    let (count, age) = (frame.records.count, now.since(last.time).wholeMicroseconds)
    for relay in step.relays { sources[relay, default: [:]][node, default: AgeSum()].add(count, age: age) }
    for forward in step.forwards { sent[forward.node, default: AgeSum()].add(count, age: age) }
  }
}

extension UInt8 {
  /// The sum, at most 255.
  func adding(_ other: UInt8) -> UInt8 { self > .max - other ? .max : self + other }
}
