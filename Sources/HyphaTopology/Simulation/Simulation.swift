/// A way to choose links, for comparison.
public enum SimulatedRule: String, Sendable, CaseIterable {
  /// ``Observer``.
  case observer
  /// The same by reports, as a running deployment has it: what it decides on events holds from the next report on.
  case reports
  /// No links at all.
  case tree
  /// A link between any two, for nothing.
  case mesh
  /// Links that are chosen with the whole traffic known and never changed: greedily, by saving.
  case hindsight
  /// The same choice made anew, after every so many events, for those just seen.
  case batch
  /// Deterministic online b-matching (Bienkowski, Fuchssteiner, Marcinkowski, Schmid: arXiv 2006.10692).
  case bma
  /// Its randomised form by paging at each end (arXiv 2209.01863).
  case rbma
  /// Each event's pair is linked at once in place of the least recently used.
  case lru

  /// What tables call it.
  public var title: String {
    switch self {
    case .observer: "observer"
    case .reports: "reports"
    case .tree: "tree"
    case .mesh: "mesh"
    case .hindsight: "hindsight"
    case .batch: "batch"
    case .bma: "BMA"
    case .rbma: "R-BMA"
    case .lru: "LRU"
    }
  }
}

/// Runs one rule after the other over the same traffic.
///
/// A simulation is pure: the same traffic and policy give the same rows. BMA, R-BMA and LRU know links between
/// agents only; the other rules have the kinds and the bounds of the policy.
public struct Simulation: Sendable {
  public let traffic: Traffic
  public let policy: ObserverPolicy
  private let pins: [AgentPair]
  private let forbids: Set<AgentPair>

  /// How often the progress is told, in events.
  static let progressInterval = 1 << 16
  /// For how many events an agent a batch is planned.
  static let batchEventsPerAgent = 16
  /// How many events a report has.
  static let reportEventCount = 1000

  /// - Parameters:
  ///   - pins: links that are there from the start and stay.
  ///   - forbids: links that are never made.
  public init(
    _ traffic: Traffic, policy: ObserverPolicy = ObserverPolicy(), pins: [AgentPair] = [],
    forbids: Set<AgentPair> = []
  ) {
    self.traffic = traffic
    self.policy = policy
    self.pins = pins
    self.forbids = forbids
  }

  /// A new observer for this traffic.
  ///
  /// - Throws: `invalidTopology` for a policy out of bounds or pins that cannot be.
  public func observer() throws -> Observer {
    try Observer(traffic.tree, policy: policy, pins: pins, forbids: forbids)
  }

  /// What `rule` does with the traffic.
  ///
  /// - Parameter progress: called now and then with the number of events done; what it throws ends the run.
  public func run(_ rule: SimulatedRule, progress: (Int) throws -> Void = { _ in }) throws -> SimulationRow {
    var meter = SimulationMeter(rule, traffic.tree, charge: policy.charge)
    switch rule {
    case .observer: return try observe(&meter, reportEventCount: nil, progress)
    case .reports: return try observe(&meter, reportEventCount: Self.reportEventCount, progress)
    case .tree:
      try follow([], &meter, progress)
    case .mesh:
      for event in traffic.events {
        let edges = traffic.tree.distance(event.from, event.to)
        meter.count(treeHops: edges, hops: min(1, edges))
      }
    case .hindsight:
      var choice = StaticChoice(traffic.tree, policy, forbids)
      let links = choice.links(for: traffic.events[...])
      for link in links { meter.add(link) }
      try follow(Set(links), &meter, progress)
    case .batch:
      try followBatches(&meter, progress)
    case .bma:
      var matching = CountedMatching(traffic.tree, policy)
      try match(&matching, &meter, progress)
    case .rbma:
      var matching = MarkedMatching(traffic.tree, policy)
      try match(&matching, &meter, progress)
    case .lru:
      var matching = RecentMatching(traffic.tree, policy)
      try match(&matching, &meter, progress)
    }
    return meter.finish()
  }

  private func observe(
    _ meter: inout SimulationMeter, reportEventCount: Int?, _ progress: (Int) throws -> Void
  ) throws -> SimulationRow {
    let observer = try watch(reportEventCount: reportEventCount) { step in
      switch step {
      case .passed(let place, let treeHops, let hops, let path):
        if place % Self.progressInterval == 0 { try progress(place) }
        meter.count(treeHops: treeHops, hops: hops)
        path.forEachRelay { meter.relayed($0) }
      case .decided(let decision):
        for link in decision.retired { meter.remove(link.pair) }
        if let link = decision.promoted { meter.add(link.pair) }
      }
    }
    return meter.finish(topologyHash: observer.topologyHash)
  }

  /// Calls `body` with the number of each event, the hops that it takes by links that the observer has made, and how often it
  /// is relayed.
  ///
  /// - Parameter reportEventCount: how many events a report has, as in ``SimulatedRule/reports``; nil where the observer sees each
  ///   event at once.
  public func forEachEvent(
    reportEventCount: Int? = nil, _ body: (_ event: Int, _ hops: Int, _ relays: Int) throws -> Void
  ) throws {
    try watch(reportEventCount: reportEventCount) { step in
      guard case .passed(let event, _, let hops, let path) = step else { return }
      var relays = 0
      path.forEachRelay { _ in relays += 1 }
      try body(event, hops, relays)
    }
  }

  /// What happens while an observer watches.
  private enum WatchStep {
    case passed(event: Int, treeHops: Int, hops: Int, path: LinkedPath)
    case decided(RewireDecision)
  }

  @discardableResult
  private func watch(reportEventCount: Int?, _ body: (WatchStep) throws -> Void) throws -> Observer {
    var observer = try observer()
    guard let reportEventCount else {
      for (place, event) in traffic.events.enumerated() {
        let decision = observer.observe(from: event.from, to: event.to)
        try body(
          .passed(
            event: place, treeHops: observer.lastTreeCost, hops: observer.lastCost, path: observer.path))
        if let decision, !decision.isSuggestion { try body(.decided(decision)) }
      }
      return observer
    }
    var links = Set(observer.links)
    var path = LinkedPath()
    var start = 0
    while start < traffic.events.count {
      let end = min(start + reportEventCount, traffic.events.count)
      for place in start..<end {
        let (treeHops, hops) = pass(traffic.events[place], links, &path)
        try body(.passed(event: place, treeHops: treeHops, hops: hops, path: path))
      }
      // The pairs in the order in which they came.
      var flows: [Observer.Flow] = []
      var places: [Traffic.Event: Int] = [:]
      for event in traffic.events[start..<end] {
        if let place = places[event] {
          flows[place].count += 1
        } else {
          places[event] = flows.count
          flows.append(Observer.Flow(from: event.from, to: event.to, count: 1))
        }
      }
      try observer.observe(report: flows) { decision in
        guard !decision.isSuggestion else { return }
        for link in decision.retired { links.remove(link.pair) }
        if let link = decision.promoted { links.insert(link.pair) }
        try body(.decided(decision))
      }
      start = end
    }
    return observer
  }

  /// Sends an event over links that are there, and returns the hops of the tree and of its way.
  private func pass(_ event: Traffic.Event, _ links: Set<AgentPair>, _ path: inout LinkedPath) -> (Int, Int) {
    guard path.take(traffic.tree, from: event.from, to: event.to, passing: []) else {
      let edges = traffic.tree.distance(event.from, event.to)
      return (edges, edges)
    }
    if !links.isEmpty { path.takeLinks { links.contains($0) } }
    path.measure()
    return (path.edgeCount, path.cost)
  }

  /// Events over links that stay.
  private func follow(
    _ links: Set<AgentPair>, _ meter: inout SimulationMeter, _ progress: (Int) throws -> Void
  )
    throws
  {
    var path = LinkedPath()
    for (place, event) in traffic.events.enumerated() {
      if place % Self.progressInterval == 0 { try progress(place) }
      follow(event, links, &path, &meter)
    }
  }

  private func follow(
    _ event: Traffic.Event, _ links: Set<AgentPair>, _ path: inout LinkedPath, _ meter: inout SimulationMeter
  ) {
    let (treeHops, hops) = pass(event, links, &path)
    meter.count(treeHops: treeHops, hops: hops)
    path.forEachRelay { meter.relayed($0) }
  }

  private func followBatches(_ meter: inout SimulationMeter, _ progress: (Int) throws -> Void) throws {
    let period = Self.batchEventsPerAgent * traffic.tree.count
    var path = LinkedPath()
    var choice = StaticChoice(traffic.tree, policy, forbids)
    var links: Set<AgentPair> = []
    var start = 0
    while start < traffic.events.count {
      let end = min(start + period, traffic.events.count)
      try progress(start)
      for event in traffic.events[start..<end] { follow(event, links, &path, &meter) }
      if end < traffic.events.count {
        let next = choice.links(for: traffic.events[start..<end])
        let wanted = Set(next)
        for link in links.sorted() where !wanted.contains(link) { meter.remove(link) }
        for link in next where !links.contains(link) { meter.add(link) }
        links = wanted
      }
      start = end
    }
  }

  private func match(
    _ matching: inout some OnlineMatching, _ meter: inout SimulationMeter, _ progress: (Int) throws -> Void
  ) throws {
    var path = LinkedPath()
    for (place, event) in traffic.events.enumerated() {
      if place % Self.progressInterval == 0 { try progress(place) }
      let pair = AgentPair(event.from, event.to)
      follow(event, matching.contains(pair) ? [pair] : [], &path, &meter)
      let edges = traffic.tree.distance(event.from, event.to)
      let mayLink = edges >= 2 && !forbids.contains(pair) && isBetweenAgents(pair)
      guard mayLink else { continue }
      for change in matching.take(pair, saving: edges - 1) {
        switch change {
        case .add(let pair): meter.add(pair)
        case .remove(let pair): meter.remove(pair)
        }
      }
    }
  }

  private func isBetweenAgents(_ pair: AgentPair) -> Bool {
    LinkKind(traffic.tree.role(pair.low), traffic.tree.role(pair.high)) == .agents
  }
}
