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
  let node: NodeID
  let data: String
  let seed: UInt64
  /// The file of the node's private key, where it is not found otherwise.
  var key: String?

  /// How often the status is reported.
  static let reportInterval = Duration.milliseconds(200)

  /// Runs the node until `stop` is raised or `isDone` says so.
  ///
  /// - Parameter report: is called with the status, again and again and once more at the end; what it throws
  ///   stops the node.
  func run(
    until stop: StopSignal, report: @Sendable (NodeStatus) throws -> Void,
    isDone: @Sendable (NodeStatus) -> Bool = { _ in false }
  ) async throws {
    let scheduler = SystemScheduler()
    let directory = DataPlaces.directory(of: node, in: data)
    let security = try NodeSecurity(topology: topology, node: node, option: key).load(program.keys)
    let notes = NodeNotes()
    let log = try program.openLog(directory, node, topology.log, scheduler) { notes.take($0) }
    defer { log.close() }
    let transport = try program.makeTransport(
      Node.linkPlan(of: node, in: topology, security: security), DataPlaces.runtimeDirectory(for: data),
      .standard)
    let configuration = Node.Configuration(
      topology: topology, node: node, kinds: program.kinds, seed: seed,
      notary: security.map(program.makeNotary))
    try DeploymentOutline(topology).save(in: log)
    let running = try Node(configuration, log: log, transport: transport, scheduler: scheduler)
    notes.pass { [weak running] in running?.note($0) }
    let server = openSocket(running, log, directory, scheduler)
    defer { server?.stop() }
    // Also while it waits for its neighbours at the start.
    stop.whenRaised { Task { await running.stop() } }
    do {
      try await running.start()
      while !stop.isRaised {
        let status = running.status()
        try report(status)
        if isDone(status) { break }
        try await Task.sleep(for: Self.reportInterval, clock: .suspending)
      }
    } catch {
      await running.stop()
      // A start that was stopped in its middle has not failed.
      if stop.isRaised, (error as? HyphaError)?.code == .transportFailed { return }
      throw error
    }
    await running.stop()
    try report(running.status())
  }

  /// Lets operators ask the node. Where no socket can be, it runs without.
  private func openSocket(
    _ running: Node, _ log: any EventLog, _ directory: String, _ scheduler: SystemScheduler
  ) -> OperatorServer? {
    let operations = NodeOperations(
      node: running, log: log, directory: directory, retention: program.retention, time: scheduler)
    do {
      return try OperatorServer(in: directory, operations: operations.all)
    } catch {
      running.note("operators cannot ask this node: \(error)")
      return nil
    }
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
