import Foundation
import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology
import Synchronization

/// Runs one node of a deployment in this process.
struct NodeRunner {
  let program: Program
  let topology: Topology
  /// The file that the topology is from.
  var text: TopologyText?
  let node: NodeID
  let data: String
  let seed: UInt64
  /// The file of the node's private key, where it is not found otherwise.
  var key: String?
  /// Whether it runs under what its log has where the file is another one.
  var followsLog = false
  /// Who has said that it is to begin without waiting for its replicas; nil where it waits.
  var beginsWithoutReplicas: AgentID?

  /// How often the status is reported.
  static let reportInterval = Duration.milliseconds(200)
  /// How long handlers may take to come to their end where the node begins anew, before it does without them.
  static let replacePatience = Duration.seconds(10)
  /// How long a node that has no room to begin anew waits before it tries again.
  static let fullPause = Duration.seconds(1)

  /// Runs the node until `stop` is raised or `isDone` says so, or it has left its deployment. Where agents are moved the node
  /// begins anew, on the same log, in this process.
  ///
  /// - Throws: ``HyphaError/Code/superseded`` where another process runs the node that began later.
  ///
  /// - Parameter report: is called with the status, again and again and once more at the end; what it throws
  ///   stops the node.
  func run(
    until stop: StopSignal, report: @Sendable (NodeStatus) throws -> Void,
    isDone: @Sendable (NodeStatus) -> Bool = { _ in false }
  ) async throws {
    let scheduler = SystemScheduler()
    let directory = DataPlaces.directory(of: node, in: data)
    let notes = NodeNotes()
    let log = try program.openLog(directory, node, topology.log, scheduler) { notes.take($0) }
    defer { log.close() }
    func begin(_ number: UInt64) throws -> Turn? {
      let current = try Node.current(topology, text, by: log, followsLog: followsLog)
      guard try !Node.hasLeft(current.topology, by: log) else { return nil }
      if let note = current.note { notes.take(note) }
      let placed = try Node.placed(current.topology, by: log)
      // A revision may have brought nodes with keys of their own.
      let security = try NodeSecurity(topology: current.topology, node: node, option: key).load(program.keys)
      let transport = try program.makeTransport(
        Node.linkPlan(of: node, in: placed, security: security), DataPlaces.runtimeDirectory(for: data),
        .standard)
      var configuration = Node.Configuration(
        topology: current.topology, node: node, kinds: program.kinds, seed: seed &+ number << 32,
        notary: security.map(program.makeNotary),
        calls: openJournal(in: directory, of: placed, notes))
      configuration.beginsWithoutReplicas = beginsWithoutReplicas
      configuration.file = current.file
      let tenure = LogTenure(log)
      let turn = Turn(
        number: number,
        node: try Node(configuration, log: tenure, transport: transport, scheduler: scheduler),
        tenure: tenure)
      turn.node.whenReplaced { [isReplaced = turn.isReplaced] in isReplaced.raise() }
      return turn
    }
    guard var turn = try begin(0) else { return try report(leftStatus(after: NodeStatus(node: node))) }
    let current = CurrentNode(turn.node)
    notes.pass { current.node.note($0) }
    let pruning = NodePruning(
      current: current, log: log, directory: directory, retention: program.retention, time: scheduler)
    let server = openSocket(current, log, pruning)
    defer { server?.stop() }
    let retention = StandingRetention(topology.retention(of: node), node: node, pruning: pruning)
    let keeping = retention.map { retention in Task { await retention.run() } }
    defer { keeping?.cancel() }
    // Also while it waits for its neighbours at the start.
    stop.whenRaised { Task { await current.node.stop() } }
    work: while true {
      switch try await work(turn, until: stop, report: report, isDone: isDone) {
      case .stopped: break work
      case .superseded(let error):
        await end(turn)
        try report(turn.status())
        throw error
      case .replaced: await end(turn)
      case .full(let error):
        // One that works waits for room; so does one that begins anew.
        notes.take("\(error)")
        await end(turn)
        try? await Task.sleep(for: Self.fullPause, clock: .suspending)
        if stop.isRaised { break work }
      }
      let earlier = turn.status()
      guard let next = try begin(turn.number + 1) else { return try report(leftStatus(after: earlier)) }
      turn = next
      turn.earlier = earlier
      current.node = turn.node
    }
    await turn.node.stop()
    try report(turn.status())
  }

  /// What a node says at last that has left: what it has stated the others count.
  private func leftStatus(after earlier: NodeStatus) -> NodeStatus {
    var status = earlier
    (status.hasLeft, status.backlog, status.reportNumber) = (true, 0, earlier.reportNumber + 1)
    for channel in status.channels.keys {
      status.channels[channel]?.statedCount = 0
      status.channels[channel]?.statedPairCount = 0
      status.channels[channel]?.handledPairCount = 0
    }
    status.notes.append(
      "this node has left the deployment '\(topology.name)': the others have what they want of its log, which stays as it is"
    )
    return status
  }

  /// A node from one change of places to the next, and its use of the log.
  private struct Turn {
    let number: UInt64
    let node: Node
    let tenure: LogTenure
    let isReplaced = StopSignal([])
    /// What the nodes before it in this process have counted.
    var earlier: NodeStatus?

    /// What the process has to report.
    func status() -> NodeStatus {
      var status = node.status()
      guard let earlier else { return status }
      status.add(earlier: earlier)
      status.add(earlierNotes: earlier.notes)
      status.reportNumber += earlier.reportNumber + 1
      return status
    }
  }

  /// Why a node has come to its end.
  private enum Ending {
    case stopped
    /// It is to begin anew.
    case replaced
    /// It must not run any more.
    case superseded(HyphaError)
    /// There was no room to begin anew.
    case full(HyphaError)
  }

  /// Runs a node until it is to stop, or to begin anew.
  private func work(
    _ turn: Turn, until stop: StopSignal, report: @Sendable (NodeStatus) throws -> Void,
    isDone: @Sendable (NodeStatus) -> Bool
  ) async throws -> Ending {
    let running = turn.node
    do {
      try await start(turn, until: stop, report: report)
      while !stop.isRaised {
        let status = turn.status()
        try report(status)
        if isDone(status) { return .stopped }
        let next = ContinuousClock.now + Self.reportInterval
        while !stop.isRaised, ContinuousClock.now < next {
          // First this: a node that begins anew is the newest.
          if let error = running.superseded { return .superseded(error) }
          if turn.isReplaced.isRaised { return .replaced }
          try await Task.sleep(for: .milliseconds(20), clock: .suspending)
        }
      }
      return .stopped
    } catch {
      await running.stop()
      // A start that was stopped in its middle has not failed.
      if stop.isRaised, (error as? HyphaError)?.code == .transportFailed { return .stopped }
      // Who starts the process can free space first; who follows a move or a file was at work.
      if turn.number > 0, let error = error as? HyphaError, error.code == .logFull { return .full(error) }
      throw error
    }
  }

  /// Starts a node. While it asks its replicas, which may take as long as these are away, it is reported like one that works.
  private func start(_ turn: Turn, until stop: StopSignal, report: @Sendable (NodeStatus) throws -> Void)
    async throws
  {
    guard turn.node.isRejoining else { return try await turn.node.start() }
    let isOver = StopSignal([])
    let node = turn.node
    let starting = Task {
      defer { isOver.raise() }
      try await node.start()
    }
    var next = ContinuousClock.now + Self.reportInterval
    while !isOver.isRaised {
      try? await Task.sleep(for: .milliseconds(5), clock: .suspending)
      guard ContinuousClock.now >= next, turn.node.isRejoining, !stop.isRaised else { continue }
      try report(turn.status())
      next = ContinuousClock.now + Self.reportInterval
    }
    try await starting.value
  }

  /// Ends a node whose place another takes.
  private func end(_ turn: Turn) async {
    let isOver = StopSignal([])
    Task {
      await turn.node.stop(isReplaced: true)
      isOver.raise()
    }
    let patience = ContinuousClock.now + Self.replacePatience
    while !isOver.isRaised, ContinuousClock.now < patience {
      try? await Task.sleep(for: .milliseconds(5), clock: .suspending)
    }
    if !isOver.isRaised { turn.node.abandon() }
    await turn.tenure.end()
  }

  /// Begins to note the agents' calls, and tells how the process before this one ended. Where it cannot, the node runs without.
  private func openJournal(in directory: String, of topology: Topology, _ notes: NodeNotes) -> CallJournal? {
    do {
      let agents = topology.agents(on: node).map(\.id)
      let journal = try CallJournalFile.open(in: directory, agents: agents)
      TrapSignals.watch(journal)
      if let signal = journal.report.signal {
        let count = journal.report.brokenCount
        notes.take(
          "the process before this one ended with signal \(signal); "
            + (count == 0
              ? "no agent's call is known to have caused it"
              : "\(count == 1 ? "the call of an agent counts" : "\(count) calls of agents count") as failed"))
      }
      return journal
    } catch {
      notes.take(
        "agents' calls are not noted, so one that ends the process is tried again without end: \(error)")
      return nil
    }
  }

  /// Lets operators ask the node. Where no socket can be, it runs without.
  private func openSocket(_ current: CurrentNode, _ log: any EventLog, _ pruning: NodePruning)
    -> OperatorServer?
  {
    let operations = NodeOperations(current: current, log: log, pruning: pruning)
    do {
      return try OperatorServer(in: pruning.directory, operations: operations.all)
    } catch {
      current.node.note("operators cannot ask this node: \(error)")
      return nil
    }
  }
}

/// The node that runs in this process now. Any thread.
final class CurrentNode: Sendable {
  private let state: Mutex<Node>

  init(_ node: Node) { state = Mutex(node) }

  var node: Node {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}

/// What a node's log has to say, which is open before there is a node: kept until somebody takes it, at most
/// ``countMax`` of it, the oldest.
final class NodeNotes: Sendable {
  private struct State {
    var kept: [String] = []
    var pass: (@Sendable (String) -> Void)?
  }

  static let countMax = 100
  private let state = Mutex(State())

  /// Takes a note. Any thread.
  func take(_ note: String) {
    let pass = state.withLock { state in
      if state.pass == nil, state.kept.count < Self.countMax { state.kept.append(note) }
      return state.pass
    }
    pass?(note)
  }

  /// Passes on what was kept, and what comes.
  func pass(_ pass: @escaping @Sendable (String) -> Void) {
    let kept = state.withLock { state in
      defer { state.kept = [] }
      state.pass = pass
      return state.kept
    }
    for note in kept { pass(note) }
  }
}
