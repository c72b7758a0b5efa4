import HyphaCore

/// Finds bottlenecks, stalls and hot pairs in what nodes report.
///
/// A pure machine in integers. Each finding begins at one level and ends at a lower one, so that what hovers about a level is
/// not stated again and again.
///
/// | | begins | ends |
/// |---|---|---|
/// | bottleneck | in 3 reports of its node in a row: what it relays comes 250 ms later than usual and 4 times as late, or 1,024 events and no fewer than before wait for itself | 5 reports in a row at less than half |
/// | stall | 4 s, and 8 times the usual wait | it waits no more |
/// | hot pair | 1/16 of all events of late, 256 at least, not neighbours and without a link | 1/32, or a link |
///
/// **Bounds.** At most ``relayCountMax`` supervisors are followed, ``stallCountMax`` stalls and ``HotPairs/capacity`` pairs.
struct Findings: Sendable {
  /// What is known of one supervisor.
  struct RelayState: Sendable, Codable, Hashable {
    var node: NodeID
    /// How late it usually is, in microseconds: what the first report says, then an average in which each counts for a
    /// sixteenth. So the clocks of two machines may differ. Nil before there is one.
    var usual: Int?
    var inbox = 0
    /// How many reports in a row were above the level to begin, and below that to end.
    var overCount = 0
    var underCount = 0
  }

  /// What is found now.
  var current: [Finding.Topic: Finding] = [:]
  var audiences = AudienceWatch()
  var decisions = DecisionWatch()
  private var relays: [AgentID: RelayState] = [:]
  /// By which node a stall was told of.
  private var tellers: [Finding.Topic: NodeID] = [:]
  /// How old persistent events were when they left one node for another, in microseconds.
  private var departures: [NodeID: [NodeID: Int]] = [:]
  private(set) var pairs: HotPairs

  static let relayCountMax = 4096
  static let stallCountMax = 256
  static let (lateMin, lateFactor) = (250_000, 4)
  static let inboxMin = 1024
  static let (overCountMin, underCountMin) = (3, 5)
  static let (waitSecondsMin, waitFactor) = (4, 8)
  static let hotEventCountMin: Int64 = 256
  static let (hotShare, coolShare) = (Int64(16), Int64(32))
  /// What no figure of a report counts for more than: products of them fit in 64 bits.
  private static let (microsecondsMax, eventsMax) = (1 << 32, 1 << 22)

  /// - Parameter halfLife: after how many events those of pairs count half.
  init(halfLife: Int) { pairs = HotPairs(halfLife: halfLife) }

  // MARK: Load

  /// Takes a report. `knows` says whom the topology has; others are passed over.
  mutating func take(
    _ report: LoadReported, knowsAgent: (AgentID) -> Bool, knowsNode: (NodeID) -> Bool
  ) {
    guard knowsNode(report.node) else { return }
    departures[report.node] = Dictionary(
      report.sent.prefix(LoadReported.countMax).filter { knowsNode($0.node) }.map {
        ($0.node, Self.clamped($0.microseconds))
      }, uniquingKeysWith: max)
    var seen: Set<AgentID> = []
    for relay in report.relays.prefix(LoadReported.countMax)
    where knowsAgent(relay.agent) && seen.insert(relay.agent).inserted { take(relay, report) }
    for agent in relays.keys.sorted() where relays[agent]?.node == report.node && !seen.contains(agent) {
      take(.init(agent: agent, events: 0, inbox: 0, sources: []), report)
    }
    takeWaits(report, knowsAgent)
  }

  private static func clamped(_ microseconds: Int) -> Int { min(max(microseconds, 0), microsecondsMax) }

  /// How much later than they had left the node before a supervisor has passed events on, on average.
  private func lateness(_ relay: LoadReported.Relay, at node: NodeID) -> Int? {
    var (sum, count) = (0, 0)
    for source in relay.sources.prefix(64) {
      let events = min(max(source.events, 0), Self.eventsMax)
      // A node that has not reported yet tells nothing of how old they were.
      guard let before = departures[source.node]?[node] else { continue }
      sum += events * max(0, Self.clamped(source.microseconds) - before)
      count += events
    }
    return count == 0 ? nil : sum / count
  }

  private mutating func take(_ relay: LoadReported.Relay, _ report: LoadReported) {
    guard relays[relay.agent] != nil || relays.count < Self.relayCountMax else { return }
    var state = relays[relay.agent] ?? RelayState(node: report.node)
    let measured = lateness(relay, at: report.node)
    let (late, usual) = (measured ?? 0, state.usual ?? measured ?? 0)
    let inbox = min(max(relay.inbox, 0), Self.eventsMax)
    let level = max(usual + Self.lateMin, usual * Self.lateFactor)
    let isOver = late >= level || inbox >= Self.inboxMin && inbox >= state.inbox
    let isUnder = late < level / 2 && inbox < Self.inboxMin / 2
    state.overCount = isOver ? min(state.overCount + 1, Self.overCountMin) : 0
    state.underCount = isUnder ? min(state.underCount + 1, Self.underCountMin) : 0
    (state.node, state.inbox) = (report.node, inbox)
    let topic = Finding.Topic(.bottleneck, relay.agent)
    if current[topic] != nil {
      if state.underCount == Self.underCountMin { current[topic] = nil }
    } else if state.overCount == Self.overCountMin {
      let span = min(max(report.milliseconds, 1), Self.eventsMax)
      current[topic] = Finding(
        topic,
        .relay(
          lateMicroseconds: late, usualMicroseconds: usual,
          eventsPerSecond: min(max(relay.events, 0), Self.eventsMax) * 1000 / span, inbox: inbox))
    } else if let measured, !isOver {
      // What is found is not usual, and silence says nothing of it.
      state.usual = usual + (measured - usual) / 16
    }
    relays[relay.agent] = state
  }

  // MARK: Waits

  private mutating func takeWaits(_ report: LoadReported, _ knowsAgent: (AgentID) -> Bool) {
    var waiting: Set<Finding.Topic> = []
    for wait in report.waits.prefix(LoadReported.countMax) where knowsAgent(wait.agent) {
      let topic = Finding.Topic(.stall, wait.agent, alert: wait.alert, about: wait.decisionKind)
      waiting.insert(topic)
      let seconds = min(max(wait.seconds, 0), 1 << 32)
      let usual = Self.clamped(usualMicroseconds(wait))
      guard current[topic] == nil, seconds >= Self.waitSecondsMin,
        seconds * 1_000_000 >= usual * Self.waitFactor, tellers.count < Self.stallCountMax
      else { continue }
      tellers[topic] = report.node
      current[topic] = Finding(topic, .wait(type: wait.type, seconds: seconds, usualMicroseconds: usual))
    }
    for (topic, node) in tellers where node == report.node && !waiting.contains(topic) {
      tellers[topic] = nil
      current[topic] = nil
    }
  }

  // MARK: Pairs

  /// Takes events of a pair.
  mutating func count(_ pair: AgentPair, _ events: Int) { pairs.add(pair, events) }

  /// Looks at the pairs again. `isServed` says whether two agents are neighbours or have a link.
  mutating func lookAtPairs(topic: (AgentPair) -> Finding.Topic, isServed: (AgentPair) -> Bool) {
    var hot: Set<Finding.Topic> = []
    for pair in pairs.pairs where !isServed(pair) {
      let topic = topic(pair)
      let (certain, possible) = (pairs.certain(pair), pairs.possible(pair))
      if current[topic] != nil, possible * Self.coolShare >= pairs.total { hot.insert(topic) }
      guard current[topic] == nil, certain >= Self.hotEventCountMin, certain * Self.hotShare >= pairs.total
      else { continue }
      hot.insert(topic)
      current[topic] = Finding(topic, .traffic(events: Int(certain), of: Int(pairs.total)))
    }
    for topic in current.keys where topic.kind == .hotPair && !hot.contains(topic) { current[topic] = nil }
  }

  // MARK: Snapshots

  /// All that is known, in an order of its own.
  struct Memory: Sendable, Codable {
    struct Relay: Sendable, Codable {
      var agent: AgentID
      var state: RelayState
    }

    struct Teller: Sendable, Codable {
      var topic: Finding.Topic
      var node: NodeID
    }

    struct Departure: Sendable, Codable {
      var from, to: NodeID
      var microseconds: Int
    }

    var current: [Finding]
    var relays: [Relay]
    var tellers: [Teller]
    var departures: [Departure]
    var pairs: HotPairs
    /// Nil in snapshots of versions that found no audiences.
    var audiences: AudienceWatch?
    /// Nil in snapshots of versions that were not told of decisions.
    var decisions: [DecisionWatch.Line]?
  }

  var memory: Memory {
    Memory(
      current: current.values.sorted { $0.topic < $1.topic },
      relays: relays.map { .init(agent: $0, state: $1) }.sorted { $0.agent < $1.agent },
      tellers: tellers.map { .init(topic: $0, node: $1) }.sorted { $0.topic < $1.topic },
      departures: departures.flatMap { from, all in
        all.map { .init(from: from, to: $0, microseconds: $1) }
      }.sorted { ($0.from, $0.to) < ($1.from, $1.to) }, pairs: pairs,
      audiences: audiences, decisions: decisions.memory)
  }

  /// Goes on where another one was.
  mutating func resume(_ memory: Memory) {
    current = Dictionary(memory.current.map { ($0.topic, $0) }, uniquingKeysWith: { $1 })
    relays = Dictionary(memory.relays.map { ($0.agent, $0.state) }, uniquingKeysWith: { $1 })
    tellers = Dictionary(memory.tellers.map { ($0.topic, $0.node) }, uniquingKeysWith: { $1 })
    departures = memory.departures.reduce(into: [:]) { $0[$1.from, default: [:]][$1.to] = $1.microseconds }
    pairs = memory.pairs
    audiences = memory.audiences ?? AudienceWatch()
    decisions.memory = memory.decisions ?? []
  }
}
