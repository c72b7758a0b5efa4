public import HyphaCore
import HyphaRuntime
import HyphaTopology

/// Lets a deployment send recorded traffic once more, first without an observer and then with one, and counts hops and relays
/// from the frames that have crossed the links; beside what the simulation says of the same traffic.
public struct LiveBench: Sendable {
  /// What is sent, and how.
  public struct Settings: Sendable {
    /// The recorded traffic.
    public var traffic: LiveTraffic
    /// The first so many of its events are sent; nil for all.
    public var eventCount: Int?
    /// Nodes beside that of the root.
    public var nodeCount: Int
    /// Events a second.
    public var rate: Double
    /// Persistent or realtime: by which events the recording's are sent once more.
    public var channel: Channel
    /// A new directory to measure in, whose parent exists; it is removed at the end.
    public var directory: String
    /// Where to make the directory for Unix-domain sockets, whose paths are bounded.
    public var socketDirectory: String
    /// The command, with its first words, that runs ``LiveChild``.
    public var childCommand: [String]

    /// Settings by their parts.
    public init(
      traffic: LiveTraffic, eventCount: Int?, nodeCount: Int, rate: Double, channel: Channel,
      directory: String, socketDirectory: String, childCommand: [String]
    ) {
      (self.traffic, self.eventCount, self.nodeCount, self.rate) = (traffic, eventCount, nodeCount, rate)
      (self.channel, self.directory, self.socketDirectory) = (channel, directory, socketDirectory)
      self.childCommand = childCommand
    }
  }

  private let settings: Settings
  private let progress: @Sendable (String) -> Void

  /// A bench that tells what it measures now.
  public init(_ settings: Settings, progress: @escaping @Sendable (String) -> Void = { _ in }) {
    (self.settings, self.progress) = (settings, progress)
  }

  /// Runs both deployments, and hands over the rows.
  ///
  /// - Throws: ``HyphaError/Code/failed`` when a process ends or cannot be started, and, after the rows, when there were faults; ``HyphaError/Code/fileUnavailable`` when
  ///   the directory may not be used.
  public func run(_ take: @Sendable (BenchRow) throws -> Void) async throws {
    let traffic = settings.traffic.prefix(settings.eventCount ?? .max)
    try Disk.makeDirectory(settings.directory)
    defer { Disk.remove(settings.directory) }
    let plain = try await outcome(traffic, isObserved: false)
    let watched = try await outcome(traffic, isObserved: true)
    progress("the same traffic in the simulation")
    let comparison = try LiveComparison(traffic, plain: plain, watched: watched)
    for row in try comparison.rows() { try take(row) }
    guard comparison.faultCount == 0 else {
      throw HyphaError(
        .failed, "\(comparison.faultCount) events were lost, doubled, reordered or never sent",
        remedy: "report it, with the rows")
    }
  }

  private func outcome(_ traffic: LiveTraffic, isObserved: Bool) async throws -> LiveOutcome {
    let name = isObserved ? "observed" : "plain"
    let scene = LiveScene(
      nodeCount: settings.nodeCount, rate: settings.rate, isObserved: isObserved,
      channel: settings.channel,
      directory: "\(settings.directory)/\(name)", socketDirectory: "\(settings.socketDirectory)-\(name)")
    progress("\(name): starting \(scene.nodes.count) nodes")
    let run = try LiveRun(scene, traffic, command: settings.childCommand)
    defer { run.remove() }
    return try await run.run { progress("\(name): \($0) of \(traffic.eventCount) events") }
  }
}

/// Two runs of the same traffic, and the simulation of it.
struct LiveComparison {
  private let traffic: LiveTraffic
  private let plain, watched: LiveOutcome
  private let places: [Int32]
  /// Whether an event goes from one node to another: others have no frames.
  private let crosses: [Bool]

  init(_ traffic: LiveTraffic, plain: LiveOutcome, watched: LiveOutcome) throws {
    (self.traffic, self.plain, self.watched) = (traffic, plain, watched)
    let numbers = Dictionary(
      uniqueKeysWithValues: plain.topology.agents.enumerated().map { ($1.id, Int32($0)) })
    places = traffic.groups.indices.map { numbers[LiveScene.agent($0)] ?? 0 }
    let nodes = traffic.groups.indices.map { plain.topology.agent(LiveScene.agent($0))?.node }
    crosses = (0..<traffic.eventCount).map { nodes[traffic.from($0)] != nodes[traffic.to($0)] }
  }

  private var text: String {
    "\(traffic.eventCount) events, \(plain.topology.agents.count) agents, \(plain.topology.nodes.count) nodes, "
      + "\(Int(plain.scene.rate))/s"
  }

  /// Events that were lost, doubled, reordered or never sent, in both runs.
  var faultCount: Int {
    [plain, watched].reduce(0) { sum, run in
      sum + traffic.eventCount - run.tally.takenCount + run.tally.doubledCount + run.tally.disorderedCount
        + run.tally.strangeCount
    }
  }

  func rows() throws -> [BenchRow] {
    let promoted = promoted()
    let links = watched.reading?.live.links.count ?? 0
    let pairs = "promoted pairs, \(promoted.count) of their events"
    let byEvent = try simulate(reportEventCount: nil)
    let byReport = try simulate(reportEventCount: max(1, Int(plain.scene.rate)))
    let relays = Double(watched.relayCount)
    let channel = plain.scene.channel
    var rows = [
      row(
        "live-relays", "relayed by supervisors: \(text), \(links) links", .events, relays,
        Double(plain.relayCount), .liveRelays),
      row(
        "live-latency-p50", "\(channel), \(pairs)", .seconds, latency(watched, promoted, 0.5),
        latency(plain, promoted, 0.5), .liveLatency),
      row(
        "live-latency-p99", "\(channel), \(pairs)", .seconds, latency(watched, promoted, 0.99),
        latency(plain, promoted, 0.99), nil),
      row(
        "live-latency-all-p50", "\(channel), all events", .seconds,
        latency(watched, Array(0..<traffic.eventCount), 0.5),
        latency(plain, Array(0..<traffic.eventCount), 0.5), nil),
      BenchRow(
        "live-faults", "lost, doubled, reordered or strange, in both runs", .events,
        ours: Spread(Double(faultCount)), goal: .liveFaults),
      BenchRow(
        "live-repaired", "fetched from their origin, in both runs", .events,
        ours: Spread(Double(plain.repairedCount + watched.repairedCount))),
      row(
        "live-relays-simulated", "relayed; beside the rule event by event", .events, relays, byEvent.relays,
        .liveSimulated),
      row(
        "live-relays-reported", "relayed; beside the rule by reports of a second", .events, relays,
        byReport.relays, nil),
      row(
        "live-relays-plain", "relayed without links; beside the tree's", .events, Double(plain.relayCount),
        try simulate(reportEventCount: nil, mode: .off).relays, .liveSimulated),
    ]
    // Of realtime events no log has the hops.
    guard channel == .persistent else { return rows }
    let hops = mean(watched.hops)
    rows += [
      row(
        "live-hops-p50", "\(channel), \(pairs)", .hops, median(promoted.map { Double(watched.hops[$0]) }),
        median(promoted.map { Double(plain.hops[$0]) }), .liveHops),
      row(
        "live-hops-simulated", "mean over links; beside the rule event by event", .hops, hops, byEvent.hops,
        .liveSimulated),
      row(
        "live-hops-reported", "mean over links; beside the rule by reports of a second", .hops, hops,
        byReport.hops, nil),
    ]
    return rows
  }

  private func row(
    _ name: String, _ workload: String, _ unit: BenchUnit, _ ours: Double, _ other: Double, _ goal: BenchGoal?
  ) -> BenchRow {
    BenchRow(name, workload, unit, ours: Spread(ours), bare: other, ratios: Spread(ours / other), goal: goal)
  }

  // MARK: Figures

  /// The events of pairs that a link joins at the end, by nodes of their own and four edges of the tree apart, that were
  /// due two seconds after the link had come or later; the same events in both runs.
  private func promoted() -> [Int] {
    guard let links = watched.reading?.live.links else { return [] }
    let routes = Routes(watched.topology)
    var chosen: [Int] = []
    var known: [DirectLink: Timestamp?] = [:]
    for number in 0..<traffic.eventCount
    where crosses[number] && watched.latencies[number] > 0 && plain.latencies[number] > 0 {
      let link = DirectLink(LiveScene.agent(traffic.from(number)), LiveScene.agent(traffic.to(number)))
      let since: Timestamp?
      if let found = known[link] {
        since = found
      } else {
        since = routes.treeDistance(link.one, link.other) == 4 ? links[link]?.since : nil
        known[link] = since
      }
      // It may have been stated later than it was due, and not earlier.
      let due = watched.begin.advanced(by: .seconds(Double(number) / watched.scene.rate))
      guard let since, due >= since.advanced(by: .seconds(2)) else { continue }
      chosen.append(number)
    }
    return chosen
  }

  private func median(_ values: [Double]) -> Double { values.sorted().quantile(0.5) ?? .nan }

  private func latency(_ run: LiveOutcome, _ numbers: [Int], _ share: Double) -> Double {
    let values = numbers.compactMap { run.latencies[$0] > 0 ? Double(run.latencies[$0]) / 1e6 : nil }
    return values.sorted().quantile(share) ?? .nan
  }

  /// The mean over the events that frames have brought.
  private func mean(_ hops: [UInt8]) -> Double {
    let crossed = hops.lazy.filter { $0 > 0 }
    return Double(crossed.reduce(0) { $0 + Int($1) }) / Double(max(1, crossed.count))
  }

  /// What the rule makes of the same traffic: the mean of the hops between nodes, and all relays.
  private func simulate(reportEventCount: Int?, mode: ObserverPolicy.Mode = .auto) throws -> (
    hops: Double, relays: Double
  ) {
    var policy = watched.topology.observer
    policy.mode = mode
    let events = (0..<traffic.eventCount).map {
      Traffic.Event(from: places[traffic.from($0)], to: places[traffic.to($0)])
    }
    let simulation = Simulation(
      Traffic(tree: try AgentTree(watched.topology), events: events), policy: policy)
    var (hops, count, relays) = (0, 0, 0)
    try simulation.forEachEvent(reportEventCount: reportEventCount) { number, cost, relayCount in
      relays += relayCount
      if crosses[number] { (hops, count) = (hops + cost, count + 1) }
    }
    return (Double(hops) / Double(max(1, count)), Double(relays))
  }
}
