import Foundation
import HyphaCore
import HyphaFormats
import HyphaTopology

/// `hypha topology simulate`: what the observer would do with recorded traffic, beside other rules.
struct TopologySimulateCommand: Command {
  static let configuration = CommandConfiguration(
    name: "simulate", abstract: "Try the observer on recorded traffic, beside other rules.",
    discussion: """
      The recording is an edge list (a line 'from to time' for each event, or with a header that names such columns) \
      or an event log, whose hand-overs are taken (as in 'init'): plain or gzip. The agents stand below a root, in \
      the groups that --groups FILE, --group-size or the event log names, or where a topology file places them. The directory of \
      a run is a recording, too: its logs say who sent to whom and who reports to whom ('what-if' compares with what its own \
      observer did, realtime events included).

      total: hops and changes, relative to the plain tree, which is 1; a change costs the policy's charge (10 hops). \
      hops: without changes. share: of what the best static links, chosen with hindsight, save. readds: links added \
      that had been links before. kept: how many events a link was there, on average. root, relays: what the root \
      and the other supervisors relay, relative to the plain tree. lowest: the least that savings less charges \
      have been, in charges; the observer's overdraft bounds it.
      """,
    examples: [
      "hypha topology simulate email.txt.gz --groups departments.tsv",
      "hypha topology simulate bpic2012.xes.gz --json",
      "hypha topology simulate trace.txt --group-size 16 --policy policy.yaml",
      "hypha topology simulate data/incident-room",
    ])

  @Argument(help: "The recording.", completion: .file) var trace: String
  @Option(help: "The topology whose agents the recording names.", valueName: "file", completion: .file)
  var topology: String?
  @Option(help: "Who is in which group: lines 'name group'.", valueName: "file", completion: .file)
  var groups: String?
  @Option(help: "Put agents that are numbers in groups of this many.", valueName: "count") var groupSize: Int?
  @Option(help: "The observer's policy; default the topology's.", valueName: "file", completion: .file)
  var policy: String?
  @Option(help: "Only this rule; may be repeated.", valueName: "rule") var rule: [SimulatedRule] = []
  @Option(help: "The file's format; default by its content.") var format: RecordedEvents.Format?
  @Option(help: "The attribute or column of the resource.", valueName: "key") var resource: String?
  @Flag(help: "Print each rule as a line of JSON.") var json = false

  func validate() throws {
    guard [topology != nil, groups != nil, groupSize != nil].count(where: { $0 }) <= 1 else {
      throw HyphaError(
        .usage, "--topology, --groups and --group-size each say who stands where", remedy: "give one of them")
    }
    if let groupSize, groupSize < 1 {
      throw HyphaError(.usage, "--group-size is \(groupSize)", remedy: "use 1 or more")
    }
  }

  func run() async throws {
    let stop = StopSignal()
    let (deployment, rows, rate) = try await LiveRegion.run {
      region -> (TopologySimulation, [SimulationRow], Double?) in
      let deployment = try read(region, stop)
      let rows = try simulate(deployment.simulation, region, stop)
      let rate = rows.contains { $0.rule == .observer } ? try speed(deployment.simulation, region, stop) : nil
      try region.draw([])
      return (deployment, rows, rate)
    }
    if json { try write(rows, rate) } else { try show(deployment, rows, rate) }
  }

  private func read(_ region: LiveRegion, _ stop: StopSignal) throws -> TopologySimulation {
    var isDirectory: ObjCBool = false
    if FileManager.default.fileExists(atPath: trace, isDirectory: &isDirectory), isDirectory.boolValue {
      guard groups == nil, groupSize == nil, format == nil, resource == nil else {
        throw HyphaError(
          .usage, "\(trace) is a directory of logs, which say who stands where and who sent",
          remedy: "leave out --groups, --group-size, --format and --resource, or export the logs first")
      }
      let logs = try LogTraffic(trace, topology.map(TopologyFiles.topology), stop, region)
      var deployment = try TopologySimulation(
        logs.traffic, named: trace, .topology(logs.topology, name: topology ?? trace), policyPath: policy)
      deployment.broadcastCount = logs.broadcastCount
      return deployment
    }
    var options = RecordedEvents.Options(format: format)
    if let resource { options.resourceKey = resource }
    options.columns = CSVColumns(resource: resource)
    return try TopologySimulation(
      RecordedTraffic.read(path: trace, options: options), named: trace, hierarchy(), policyPath: policy)
  }

  private func hierarchy() throws -> TopologySimulation.Hierarchy {
    if let topology { return .topology(try TopologyFiles.topology(topology), name: topology) }
    if let groups { return .groups(try GroupFile.read(path: groups)) }
    return groupSize.map { .groupSize($0) } ?? .recorded
  }

  private func simulate(_ simulation: Simulation, _ region: LiveRegion, _ stop: StopSignal) throws
    -> [SimulationRow]
  {
    let rules = SimulatedRule.allCases.filter { rule.isEmpty || rule.contains($0) }
    // Loads and shares are relative to these two, whether they are shown or not.
    let all = SimulatedRule.allCases.filter { rules.contains($0) || $0 == .tree || $0 == .hindsight }
    let count = simulation.traffic.events.count
    return try all.map { rule in
      try simulation.run(rule) { done in
        try check(stop)
        try region.draw(["\(trace): \(rule.title), \(Human.count(done)) of \(Human.count(count)) events"])
      }
    }
  }

  /// The events that the observer takes in a second: the median of up to five runs, and of fewer where they are long.
  private func speed(_ simulation: Simulation, _ region: LiveRegion, _ stop: StopSignal) throws -> Double {
    var rates: [Double] = []
    let clock = ContinuousClock()
    let start = clock.now
    while rates.count < 5, rates.isEmpty || clock.now - start < .seconds(5) {
      try region.draw(["\(trace): observer, run \(rates.count + 1) for its speed"])
      var observer = try simulation.observer()
      let duration = try clock.measure {
        for (place, event) in simulation.traffic.events.enumerated() {
          if place & 0xF_FFFF == 0 { try check(stop) }
          observer.observe(from: event.from, to: event.to)
        }
      }
      rates.append(Double(simulation.traffic.events.count) / max(duration / .seconds(1), 1e-9))
    }
    return rates.sorted()[rates.count / 2]
  }

  private func check(_ stop: StopSignal) throws {
    if stop.isRaised { throw ExitStatus.stopped(by: stop.signalNumber ?? SIGINT) }
  }

  private func show(_ deployment: TopologySimulation, _ rows: [SimulationRow], _ rate: Double?) throws {
    let simulation = deployment.simulation
    let tree = rows.first { $0.rule == .tree }
    try Output.standard.writeLine(
      """
      \(trace): \(Human.count(simulation.traffic.events.count)) events among \
      \(Human.count(deployment.agentCount)) agents, \(deployment.levelCount) levels
      the plain tree takes \(Human.count(tree?.hops ?? 0)) hops; a change costs \(simulation.policy.charge)
      """)
    if deployment.broadcastCount > 0 {
      try Output.standard.writeLine(
        "\(Human.count(deployment.broadcastCount)) more were for over \(FlowMeter.audienceMax) agents each: in no figure"
      )
    }
    try Output.standard.writeLine()
    var table = Table([
      .init("rule"), .init("total"), .init("hops"), .init("share"), .init("changes"), .init("readds"),
      .init("kept"), .init("root"), .init("relays"), .init("lowest"),
    ])
    for row in rows where rule.isEmpty || rule.contains(row.rule) { table.add(cells(row, rows)) }
    try table.write()
    if let rate {
      try Output.standard.writeLine(
        "\nthe observer takes \(Human.rate(rate).dropLast(2)) events a second (median of 5 runs)")
    }
  }

  private func cells(_ row: SimulationRow, _ rows: [SimulationRow]) -> [Table.Cell] {
    let (root, relays) = loads(row, rows)
    let changes = row.changeCount > 0
    return [
      .string(row.rule.title, row.rule == .observer ? .bold : .plain), .double(row.total, digits: 3),
      .double(row.hopsAlone, digits: 3),
      share(row, rows).map { .double($0 * 100, digits: 0, unit: "%") } ?? .none,
      .integer(row.changeCount), changes ? .integer(row.readdCount) : .none,
      row.meanLifetime.map { .integer(Int($0)) } ?? .none, root.map { .double($0, digits: 3) } ?? .none,
      relays.map { .double($0, digits: 3) } ?? .none,
      changes ? .integer(Int(row.overdraftMin / row.charge)) : .none,
    ]
  }

  private func share(_ row: SimulationRow, _ rows: [SimulationRow]) -> Double? {
    guard row.rule != .tree, row.rule != .mesh else { return nil }
    return rows.first { $0.rule == .hindsight }.flatMap { row.captured(of: $0) }
  }

  private func loads(_ row: SimulationRow, _ rows: [SimulationRow]) -> (Double?, Double?) {
    guard let tree = rows.first(where: { $0.rule == .tree }) else { return (nil, nil) }
    return (
      tree.rootRelays > 0 ? Double(row.rootRelays) / Double(tree.rootRelays) : nil,
      tree.supervisorRelays > 0 ? Double(row.supervisorRelays) / Double(tree.supervisorRelays) : nil
    )
  }

  private func write(_ rows: [SimulationRow], _ rate: Double?) throws {
    for row in rows where rule.isEmpty || rule.contains(row.rule) {
      let (root, relays) = loads(row, rows)
      try Output.standard.writeLine(
        JSON.text(
          Line(
            rule: row.rule.rawValue, events: row.eventCount, treeHops: row.treeHops, hops: row.hops,
            charge: row.charge, total: row.total, hopsAlone: row.hopsAlone, captured: share(row, rows),
            added: row.addCount, readded: row.readdCount, removed: row.removeCount, links: row.linkCount,
            meanLifetimeEvents: row.meanLifetime, rootLoad: root, supervisorLoad: relays,
            overdraftMinHops: row.overdraftMin,
            topologyHash: row.topologyHash.map { String($0, radix: 16) },
            eventsPerSecond: row.rule == .observer ? rate : nil)))
    }
  }

  private struct Line: Encodable {
    let rule: String
    let events: Int
    let treeHops, hops, charge: Int64
    let total, hopsAlone: Double
    let captured: Double?
    let added, readded, removed, links: Int
    let meanLifetimeEvents, rootLoad, supervisorLoad: Double?
    let overdraftMinHops: Int64
    let topologyHash: String?
    let eventsPerSecond: Double?
  }
}

extension SimulatedRule: ExpressibleByArgument {}
