import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// What a node with replicas holds back, and what is to be done when it may leave.
final class ReplicationDesk: Sendable {
  struct State {
    var ledger: ReplicationLedger
    /// What to do with each group that is held, by its number: whether it leaves.
    var actions: [UInt64: @Sendable (Bool) -> Void] = [:]
    var inDoubtCount: UInt64 = 0
    /// Whether the node has stopped: what is held stays in its log and leaves after its next start.
    var isClosed = false
  }

  let settings: ReplicationSettings
  let state: Mutex<State>
  /// One thread at a time lets groups leave, so that they leave in their order.
  let leaving = Mutex(())

  init(_ settings: ReplicationSettings) {
    self.settings = settings
    state = Mutex(State(ledger: ReplicationLedger(replicas: settings.nodes)))
  }
}

/// Replication as the node that states the events sees it.
extension Node {
  /// Has replicas get what was committed, and calls `leave` once it may leave, on any thread, or with false once the node
  /// has stopped.
  func replicate(
    _ records: [Record], _ receipt: CommitReceipt, level: Int?, leave: @escaping @Sendable (Bool) -> Void
  ) {
    guard let replication, !records.isEmpty else { return leave(true) }
    sendToReplicas(records)
    var ends: [Lane: LanePoint] = [:]
    for record in records { ends[record.lane] = record.point }
    hold(ends, level ?? replication.settings.level, receipt.first.rawValue...receipt.last.rawValue, leave)
  }

  private func hold(
    _ ends: [Lane: LanePoint], _ level: Int, _ positions: ClosedRange<UInt64>,
    _ leave: @escaping @Sendable (Bool) -> Void
  ) {
    guard let replication else { return leave(true) }
    let dueAt = now().advanced(by: replication.settings.within)
    let isHeld = replication.state.withLock { state in
      guard !state.isClosed else { return false }
      let group = ReplicationLedger.Group(ends: ends, level: level, dueAt: dueAt, positions: positions)
      state.actions[state.ledger.hold(group)] = leave
      return true
    }
    guard isHeld else { return leave(false) }
    letLeave()
  }

  /// Holds back what the log has at the start: nobody knows any more who has it. Calls `leave` once that may leave.
  func holdRestart(leave: @escaping @Sendable () -> Void) throws {
    guard let replication, replication.settings.level > 0 else { return leave() }
    let heads = server.withhold(besides: desks.moves.handedOver)
    guard !heads.isEmpty else { return leave() }
    hold(heads.mapValues(\.point), replication.settings.level, 1...(try log.head().rawValue)) { leaves in
      guard leaves else { return }
      self.server.letGo(heads)
      leave()
    }
  }

  /// Lets leave what may.
  func letLeave() {
    guard let replication else { return }
    replication.leaving.withLock { _ in
      let released = replication.state.withLock { state in
        state.ledger.due(now: now()).map { release in
          if release.isInDoubt { state.inDoubtCount += 1 }
          return (release, state.actions.removeValue(forKey: release.number))
        }
      }
      for (release, leave) in released {
        if release.isInDoubt {
          state(
            own: LeftInDoubt(
              node: configuration.node, first: release.positions.lowerBound,
              last: release.positions.upperBound, level: release.level, reached: release.reached),
            because: nil)
        }
        leave?(true)
      }
    }
  }

  /// Lets nothing leave any more: what is held is in the log.
  func endReplication() {
    let actions = replication?.state.withLock { state in
      state.isClosed = true
      defer { state.actions = [:] }
      return state.actions.sorted { $0.key < $1.key }.map(\.value)
    }
    for action in actions ?? [] { action(false) }
  }

  /// An agent that has left works elsewhere: its replicas are others'.
  func forgetCopies(of agent: AgentID) {
    guard let replication else { return }
    replication.state.withLock { $0.ledger.forget(agent) }
    // Not on the log's thread.
    scheduler.schedule(after: .zero) { self.letLeave() }
  }

  /// A replica says how far it has got.
  func acknowledged(_ heads: [ControlMessage.LaneEnd], by node: NodeID) {
    guard let replication else { return }
    replication.state.withLock { state in
      state.ledger.acknowledged(heads.map { ($0.lane, $0.point) }, by: node)
    }
    letLeave()
  }

  /// Sends records to the replicas, each by the replica's own name. What does not arrive they fetch.
  func sendToReplicas(_ records: [Record]) {
    guard let replication else { return }
    var frames: [OutboundFrame] = []
    for run in records.laneRuns where topology.agent(records[run.lowerBound].agent) != nil {
      for part in parts(of: run, in: records) {
        for node in replication.settings.nodes {
          let frame = Frame(
            via: node.author, topologyVersion: RouteSwitch.tree, hops: 1, records: Array(records[part]))
          frames.append(
            OutboundFrame(node: node, channel: records[part.lowerBound].channel, bytes: frame.encoded()))
        }
      }
    }
    if !frames.isEmpty { transmit(frames) }
  }

  /// How far each replica is, for the status.
  var replicationStatus: NodeStatus.ReplicationStatus? {
    guard let replication else { return nil }
    let lanes = (try? log.laneHeads()) ?? [:]
    let heads = lanes.filter { topology.agent($0.key.agent)?.node == configuration.node }.mapValues(\.point)
    let awaited = rejoin.flatMap { desk in
      desk.isOpen ? desk.state.withLock { $0.machine.waiting.nodes.map(\.text) } : nil
    }
    return replication.state.withLock { state in
      NodeStatus.ReplicationStatus(
        level: replication.settings.level,
        behindLaneCounts: Dictionary(
          uniqueKeysWithValues: state.ledger.lag(behind: heads).map { ($0.key.text, $0.value) }),
        heldCount: state.ledger.heldCount, inDoubtCount: state.inDoubtCount, awaited: awaited)
    }
  }
}

/// Replication as a replica sees it.
extension Node {
  /// Tells the nodes whose streams this one holds what its log has got of them.
  func acknowledge(_ taken: [Courier.Taken]) {
    var ends: [NodeID: [ControlMessage.LaneEnd]] = [:]
    for taken in taken where routes.plan(of: taken.lane).isReplica {
      guard let last = taken.records.last else { continue }
      for origin in Set([routes.copied(taken.lane), routes.node(of: taken.lane.agent)].compactMap(\.self)) {
        ends[origin, default: []].append(.init(lane: taken.lane, point: last.point))
      }
    }
    for (origin, heads) in ends.sorted(by: { $0.key < $1.key }) {
      for start in stride(from: 0, to: heads.count, by: ControlMessage.headCountMax) {
        let part = heads[start..<min(start + ControlMessage.headCountMax, heads.count)]
        // Position 0 moves nothing forward at the origin: what it has not heard of it asks for.
        transport.request(
          ControlMessage.copied(of: origin, log: log.identity.id, through: 0, heads: Array(part)).encoded(),
          of: origin)
      }
    }
  }
}
