public import HyphaCore
public import HyphaLog
public import HyphaTopology
public import HyphaTransport
import Synchronization

/// A whole deployment in one process, on one thread, under one seed: the same nodes as in real processes, over
/// the in-memory log and network and a clock that a ``SimulationLoop`` moves.
///
/// The same seed gives the same run, event by event.
public final class SimulatedDeployment {
  /// The loop that everything runs on.
  public let loop: SimulationLoop
  /// The network, whose faults can be changed while it runs.
  public let network: MemoryNetwork
  /// What each node's log holds; it survives ``kill(_:)``.
  public private(set) var stores: [NodeID: MemoryLogStore]

  private let topology: Topology
  /// Its nodes, in order: the topology's, and those that were added.
  private var names: [NodeID]
  /// The files that added nodes are started with.
  private var addedFiles: [NodeID: TopologyText] = [:]
  private let kinds: KindRegistry
  private let seed: UInt64
  private let commitDelay: ClosedRange<Duration>
  private let notary: (@Sendable (NodeID) -> any Notary)?
  private let random: Mutex<SeededGenerator>
  /// A node that runs, its log, and its use of that.
  private struct Running {
    let node: Node
    let log: MemoryLog
    let tenure: LogTenure
  }

  private var running: [NodeID: Running] = [:]
  /// What the newest process of each node notes of its agents' calls, and what the one before had noted at its end.
  private var journals: [NodeID: CallJournal] = [:]
  private var endedJournals: [NodeID: [UInt8]] = [:]
  private var activations: UInt64 = 0
  /// The protocol versions that the next process of a node speaks, where they are others than this program's.
  package var versions: [NodeID: ClosedRange<UInt8>] = [:]
  /// The size from which on what nodes state of the topology goes in parts; nil where that follows from the limits.
  package var ownByteCountMax: Int?
  /// The file that the topology is from; with it another one can be applied.
  package var file: TopologyText?
  /// Who has said that nodes are to begin without waiting for their replicas; nil where they wait.
  var beginsWithoutReplicas: AgentID?
  /// How far the clocks of nodes are ahead of the loop's; of a node's next start.
  var skews: [NodeID: Duration] = [:]
  /// The nodes that have left, and do not run any more.
  private(set) var left: Set<NodeID> = []

  /// A deployment that has not started.
  ///
  /// - Parameters:
  ///   - commitDelay: how long a commit takes.
  ///   - notary: signs for each node; nil for nodes without keys.
  public init(
    _ topology: Topology, kinds: KindRegistry, seed: UInt64, faults: MemoryNetwork.Faults = .none,
    commitDelay: ClosedRange<Duration> = .microseconds(200)...(.microseconds(400)),
    notary: (@Sendable (NodeID) -> any Notary)? = nil
  ) {
    self.topology = topology
    self.kinds = kinds
    self.seed = seed
    self.commitDelay = commitDelay
    self.notary = notary
    loop = SimulationLoop()
    network = MemoryNetwork(scheduler: loop, seed: seed, faults: faults)
    var random = SeededGenerator(seed: seed, name: "deployment")
    var stores: [NodeID: MemoryLogStore] = [:]
    names = topology.nodes.map(\.id)
    for node in topology.nodes {
      let id = EventID(time: Timestamp(microseconds: loop.microseconds()), random: random.next())
      stores[node.id] = MemoryLogStore(identity: LogIdentity(id: id, node: node.id))
    }
    self.stores = stores
    self.random = Mutex(random)
  }

  /// Gives the deployment a node that a later topology file has; it is started with that file.
  package func add(_ id: NodeID, _ file: TopologyText) {
    guard stores[id] == nil else { return }
    let made = random.withLock {
      EventID(time: Timestamp(microseconds: loop.microseconds()), random: $0.next())
    }
    stores[id] = MemoryLogStore(identity: LogIdentity(id: made, node: id))
    names.append(id)
    addedFiles[id] = file
  }

  /// Starts every node that does not run, all at the same time.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` where an agent is of a kind that cannot be simulated; what the nodes' starts do.
  public func start() throws {
    for agent in topology.agents where try kinds.kind(agent.kind).reachesOutside {
      throw HyphaError(
        .invalidTopology,
        "agent '\(agent.id)' of kind '\(agent.kind)' waits for something outside of its node, which cannot be simulated",
        remedy: "run it on real nodes, without --simulate")
    }
    let starts = try names.filter { running[$0] == nil }.map { try begin($0) }
    try loop.run { for start in starts { try await start.value } }
  }

  /// Starts one node on what its store holds, and returns once its agents work.
  public func start(_ id: NodeID) throws {
    let start = try begin(id)
    try loop.run { try await start.value }
  }

  /// Begins to start one node; the loop brings the start to its end, unless ``kill(_:)`` comes before.
  func begin(_ id: NodeID) throws -> Task<Void, any Error> {
    guard let store = stores[id] else {
      throw HyphaError(.invalidTopology, "the simulation has no node '\(id)'")
    }
    let number = activations + 1
    let log = try MemoryLog(store: store, time: loop) { [loop, commitDelay, seed] commit in
      var random = SeededGenerator(seed: seed ^ loop.microseconds() ^ number << 48)
      loop.schedule(after: random.duration(in: commitDelay), commit)
    }
    return try begin(id, on: log)
  }

  /// Begins to start one node on a log that is open.
  private func begin(_ id: NodeID, on log: MemoryLog) throws -> Task<Void, any Error> {
    activations += 1
    let added = addedFiles[id]
    let current = try Node.current(
      added.map { try $0.read($0.text) } ?? topology, added ?? file, by: log)
    guard try !Node.hasLeft(current.topology, by: log) else {
      (running[id], _) = (nil, left.insert(id))
      log.close()
      // On the loop: any other thread may be late, and then nothing keeps the clock from running on.
      return Task(executorPreference: loop) {}
    }
    let placed = try Node.placed(current.topology, by: log)
    let journal = CallJournal(
      of: placed.agents(on: id).map(\.id),
      after: endedJournals.removeValue(forKey: id) ?? journals[id]?.bytes ?? [])
    journals[id] = journal
    var configuration = Node.Configuration(
      topology: current.topology, node: id, kinds: kinds, seed: seed, notary: notary?(id), calls: journal)
    (configuration.file, configuration.ownByteCountMax) = (current.file, ownByteCountMax)
    if let versions = versions[id] { configuration.versions = versions }
    configuration.beginsWithoutReplicas = beginsWithoutReplicas
    let plan = Node.linkPlan(of: id, in: placed)
    let tenure = LogTenure(log)
    let node = try Node(
      configuration, log: tenure, transport: network.transport(for: plan),
      scheduler: SkewedScheduler(loop, ahead: skews[id] ?? .zero), executor: loop)
    running[id] = Running(node: node, log: log, tenure: tenure)
    let handle = Handle(self)
    node.whenReplaced { [weak node] in if let node { handle.deployment?.replace(node, id) } }
    return Task(executorPreference: loop) { try await node.start() }
  }

  /// Lets another node take the place of one that has said that it must start anew.
  private func replace(_ node: Node, _ id: NodeID) {
    let handle = Handle(self)
    guard let tenure = running[id]?.tenure, running[id]?.node === node else { return }
    Task(executorPreference: loop) {
      await node.stop(isReplaced: true)
      await tenure.end()
      node.halt()
      // It may have been killed meanwhile.
      guard let deployment = handle.deployment, let current = deployment.running[id], current.node === node
      else { return }
      deployment.beginAgain(id, on: current.log)
    }
  }

  /// Starts the next node in the place of another, and again until it has started.
  private func beginAgain(_ id: NodeID, on log: MemoryLog) {
    let handle = Handle(self)
    let start = try? begin(id, on: log)
    let next = running[id]?.node
    Task(executorPreference: loop) {
      do {
        try await start?.value
      } catch {
        // Its log has no room: as a process that ends so is started again.
        handle.deployment?.loop.schedule(after: .milliseconds(100)) {
          guard let deployment = handle.deployment, let next, deployment.running[id]?.node === next else {
            return
          }
          next.halt()
          deployment.beginAgain(id, on: log)
        }
      }
    }
  }

  /// What a node that runs on the loop knows of its deployment.
  ///
  /// Unchecked: a deployment, its loop and all that runs on it are of one thread.
  private final class Handle: @unchecked Sendable {
    weak var deployment: SimulatedDeployment?
    init(_ deployment: SimulatedDeployment) { self.deployment = deployment }
  }

  deinit {
    for running in running.values {
      running.log.crash()
      running.node.halt()
    }
    // What has ended comes to rest; its timers would hold on to it.
    _ = loop.run(until: { false }, limit: .zero)
    loop.clear()
  }

  /// Ends a node as `kill -9` does: what it had not committed is gone, and nobody is told.
  public func kill(_ id: NodeID) {
    guard let killed = running.removeValue(forKey: id) else { return }
    endedJournals[id] = journals[id]?.bytes
    killed.log.crash()
    killed.node.halt()
  }

  /// Takes the disk of a node that does not run: its next start finds an empty log of another id.
  ///
  /// - Parameter file: what it is started with from then on; nil for the same as before.
  func loseDisk(of id: NodeID, startingWith file: TopologyText? = nil) {
    if let file { addedFiles[id] = file }
    let made = random.withLock {
      EventID(time: Timestamp(microseconds: loop.microseconds()), random: $0.next())
    }
    stores[id] = MemoryLogStore(identity: LogIdentity(id: made, node: id))
    endedJournals[id] = nil
    journals[id] = nil
  }

  /// Ends a node as a trap does in the call of an agent that runs, which calls this.
  func trap(_ id: NodeID) {
    journals[id]?.noteTrap(4)
    kill(id)
  }

  /// Runs until everything is done and delivered.
  ///
  /// - Returns: whether that came to pass within `limit` of simulated time.
  public func runToEnd(limit: Duration = .seconds(100_000)) -> Bool {
    // A summary costs more than most steps of the loop, so it is not asked for at each.
    let began = loop.microseconds()
    var nextLook: UInt64 = 0
    return loop.run(
      until: {
        guard self.loop.microseconds() >= nextLook else { return false }
        nextLook = self.loop.microseconds() + max(1000, (self.loop.microseconds() - began) / 100)
        return self.running.count + self.left.count == self.names.count && self.summary().isComplete
      }, limit: limit)
  }

  /// Runs for a span of simulated time.
  public func run(for span: Duration) { _ = loop.run(until: { false }, limit: span) }

  /// What the running nodes report.
  public func summary() -> DeploymentSummary {
    DeploymentSummary(names.compactMap { running[$0]?.node.status() })
  }

  /// The nodes that run, in the order of the topology.
  var nodes: [Node] { names.compactMap { running[$0]?.node } }

  /// A node, while it runs.
  func node(_ id: NodeID) -> Node? { running[id]?.node }

  /// A log for reading, whether its node runs or not.
  public func reader(of id: NodeID) throws -> any LogReader {
    if let log = running[id]?.log { return log }
    guard let store = stores[id] else {
      throw HyphaError(.invalidTopology, "the simulation has no node '\(id)'")
    }
    let log = try MemoryLog(store: store, time: loop)
    log.close()
    return log
  }

  /// Lets every node stop in order.
  public func stop() throws {
    for node in names { try stop(node) }
  }

  /// Lets one node stop in order.
  public func stop(_ id: NodeID) throws {
    guard let stopped = running.removeValue(forKey: id) else { return }
    let node = stopped.node
    try loop.run { await node.stop() }
    stopped.log.close()
    node.halt()
  }
}
