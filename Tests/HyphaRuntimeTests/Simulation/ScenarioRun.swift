import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

@testable import HyphaRuntime

/// Runs a ``Scenario`` and keeps what its nodes' logs hold at the end.
struct ScenarioRun {
  let scenario: Scenario
  /// Whether the deployment said of itself, in time, that all is done.
  let isComplete: Bool
  let summary: DeploymentSummary
  let logs: [NodeID: LoggedNode]
  /// The logs themselves, to be read when the run is over.
  let stores: [NodeID: MemoryLogStore]
  /// How many events the logs got in the two seconds after the deployment had said that all is done.
  let lateCount: Int
  /// Frames that came by a way that the tree does not have.
  let directFrameCount: Int
  /// The topology as each node knows it at the end, and by which version it sends.
  let lives: [NodeID: (live: LiveTopology, sending: UInt32)]
  let breaches: [String]
  /// Events that left a node before as many replicas had them as it asks for.
  let early: [Early]
  /// How often a node that ran was killed.
  let killCount: Int
  /// The topology with agents where they were moved, and how many times one has come to another node.
  let topology: Topology
  let moves: AgentMoves
  /// All that agents and nodes have stated, by the logs of those that have.
  let statedIDs: Set<EventID>

  /// - Parameter ownByteCountMax: the size from which on what nodes state of the topology goes in parts.
  init(_ scenario: Scenario, limit: Duration = .seconds(150), ownByteCountMax: Int? = nil) throws {
    let kinds = try Scenario.kinds
    let deployment = SimulatedDeployment(
      scenario.topology, kinds: kinds, seed: scenario.seed, faults: scenario.faults,
      commitDelay: scenario.commitDelay, notary: { TestNotary($0) })
    deployment.ownByteCountMax = ownByteCountMax
    let tree = Routes(scenario.topology)
    let links = Dictionary(
      uniqueKeysWithValues: scenario.topology.nodes.map { ($0.id, tree.links(into: $0.id)) })
    let directCount = Mutex(0)
    deployment.network.onArrival { frame, node in
      guard let decoded = try? Frame(decoding: frame.bytes) else { return }
      if !(links[node]?[frame.from]?.contains(decoded.via) ?? false) { directCount.withLock { $0 += 1 } }
    }
    let departures = Departures(deployment, scenario.topology)
    var driver = Driver(deployment: deployment, topology: scenario.topology)
    try driver.run(scenario.actions)
    let isComplete = deployment.runToEnd(limit: limit)
    self.scenario = scenario
    stores = deployment.stores
    self.isComplete = isComplete
    summary = deployment.summary()
    let atEnd = try Self.read(deployment, scenario.topology)
    deployment.run(for: .seconds(2))
    let later = try Self.read(deployment, scenario.topology)
    lateCount = LateEvents(after: atEnd, in: later, of: scenario.topology).count
    // Nodes that were away or cut off come to know the newest topology, and all send by it.
    let isLive = scenario.topology.observer.node != nil
    let isMoving = scenario.actions.contains { if case .move = $0.action { true } else { false } }
    let isSettled = isLive || isMoving || scenario.isBranching
    if isSettled { deployment.run(for: .seconds(8)) }
    logs = isSettled ? try Self.read(deployment, scenario.topology) : atEnd
    lives = scenario.topology.nodes.reduce(into: [:]) { lives, node in
      guard let running = deployment.node(node.id) else { return }
      let live = running.desks.topology.state.withLock { $0.live }
      lives[node.id] = (live, running.routes.sending)
    }
    directFrameCount = directCount.withLock { $0 }
    breaches = Breaches.take(scenario.name)
    killCount = driver.kills.count
    early = departures.early(besides: driver.kills)
    moves = try MoveReading(deployment.reader(of: scenario.topology.moveSeat)).moves
    topology = try moves.placing(scenario.topology)
    statedIDs = Set(
      logs.values.flatMap(\.entries).filter { $0.source == .stated }.map(\.record.header.id))
    if isComplete { try deployment.stop() }
    scenario.removeFiles()
  }

  /// A number that two runs share only if their logs are the same (FNV-1a).
  var digest: UInt64 {
    var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    for (_, log) in logs.sorted(by: { $0.key < $1.key }) {
      for entry in log.entries {
        for byte in entry.record.bytes { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
        digest = (digest ^ entry.appendedAt.rawValue) &* 0x100_0000_01B3
      }
    }
    return digest
  }

  private static func read(_ deployment: SimulatedDeployment, _ topology: Topology) throws
    -> [NodeID: LoggedNode]
  {
    try Dictionary(
      uniqueKeysWithValues: topology.nodes.map { ($0.id, try LoggedNode(deployment.reader(of: $0.id))) })
  }
}

/// All that one node's log holds.
struct LoggedNode: Equatable {
  let entries: [LogEntry]
  let cursors: [CursorKey: Cursor]
  let snapshots: [AgentID: [UInt8]]
  let findings: [String]
  let forks: [RecordedFork]

  init(_ reader: any LogReader) throws {
    entries = try reader.read(after: .start, limit: .max, byteLimit: .max)
    cursors = try reader.cursors()
    var snapshots: [AgentID: [UInt8]] = [:]
    for stream in try reader.streamHeads().keys {
      snapshots[stream.agent] = try reader.snapshot(of: stream.agent)
    }
    self.snapshots = snapshots
    findings = try reader.verify().findings
    forks = try RecordedFork.all(in: reader)
  }
}

/// Lets things go wrong at their times, and makes good in the end.
private struct Driver {
  let deployment: SimulatedDeployment
  let topology: Topology
  /// Who was killed, and when.
  private(set) var kills: [(node: NodeID, at: UInt64)] = []
  private var up: Set<NodeID> = []
  /// The nodes whose start has failed, for want of room in their logs.
  private let failed = FailedStarts()
  /// How often each node was started: who was killed has not failed.
  private var generations: [NodeID: Int] = [:]
  private var now: UInt64 = 0

  init(deployment: SimulatedDeployment, topology: Topology) {
    self.deployment = deployment
    self.topology = topology
  }

  mutating func run(_ actions: [(at: UInt64, action: Scenario.Action)]) throws {
    for node in topology.nodes { try begin(node.id) }
    for (at, action) in actions {
      deployment.run(for: .microseconds(at - now))
      now = at
      try perform(action)
    }
    for first in topology.nodes {
      deployment.stores[first.id]?.setFull(false)
      for second in topology.nodes where first.id != second.id {
        deployment.network.setCut(false, between: first.id, and: second.id)
      }
    }
    // Starts that have begun while a log was full come to their end first.
    deployment.run(for: .milliseconds(20))
    for node in topology.nodes { try begin(node.id) }
  }

  private mutating func perform(_ action: Scenario.Action) throws {
    switch action {
    case .kill(let node):
      guard up.remove(node) != nil else { return }
      kills.append((node, deployment.loop.microseconds()))
      deployment.kill(node)
    case .begin(let node): try begin(node)
    case .cut(let isCut, let first, let second):
      deployment.network.setCut(isCut, between: first, and: second)
    case .full(let isFull, let node): deployment.stores[node]?.setFull(isFull)
    case .faults(let faults): deployment.network.setFaults(faults)
    // Who is down cannot be asked.
    case .move(let agent, let to, let node):
      _ = try deployment.node(node)?.move(agent, to: to, by: "operator", note: nil)
    case .ask(let node, let rule): _ = try deployment.node(node)?.ask(rule, by: "operator", note: nil)
    }
  }

  private mutating func begin(_ node: NodeID) throws {
    if failed.take(node, generations[node] ?? 0) {
      deployment.kill(node)
      up.remove(node)
    }
    guard up.insert(node).inserted else { return }
    let generation = (generations[node] ?? 0) + 1
    generations[node] = generation
    let start = try deployment.begin(node)
    Task(executorPreference: deployment.loop) { [failed] in
      if case .failure = await start.result { failed.add(node, generation) }
    }
  }
}

private final class FailedStarts: Sendable {
  private let generations = Mutex<[NodeID: Int]>([:])
  func add(_ node: NodeID, _ generation: Int) { generations.withLock { $0[node] = generation } }
  func take(_ node: NodeID, _ generation: Int) -> Bool {
    generations.withLock { generations in
      guard generations[node] == generation else { return false }
      generations[node] = nil
      return true
    }
  }
}
