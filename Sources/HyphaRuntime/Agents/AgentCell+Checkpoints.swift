import HyphaCore
import HyphaLog
import HyphaTopology

/// The states that the log is given as events.
extension AgentCell {
  /// Takes note of where the newest one stands, when the agent begins.
  func restoreCheckpoints(_ snapshot: AgentSnapshot?, of agent: isolated Kind, _ batch: inout Batch<Kind>)
    throws
  {
    guard Kind.State.self != Stateless.self, snapshot != nil else { return }
    let pruned = try services.log.prunedThrough()
    let lane = Lane(agent: spec.id, channel: .persistent, target: .type(.stateCheckpointed))
    let newest = pruned > .start ? try services.log.laneHead(lane)?.position : nil
    batch.checkpoints.restore(
      handledCount: batch.cursors[.persistent]?.handledCount ?? 0, newest: newest ?? .start,
      prunedThrough: pruned)
    // Here it has nothing beside its state yet.
    if pruned > .start, let snapshot, snapshot.state.count <= CheckpointPolicy.startByteCountMax,
      !KeptBeside.names(of: agent).isEmpty
    {
      batch.checkpoints.want()
    }
  }

  /// Gives the log the agent's state as an event, if that is due. Only between two calls, when all that they have left is
  /// committed.
  ///
  /// - Returns: whether the agent can go on.
  func checkpoint(_ batch: inout Batch<Kind>, on agent: isolated Kind) async -> Bool {
    guard Kind.State.self != Stateless.self else { return true }
    var (logBatch, stated) = (LogBatch(), [Stated]())
    do {
      if batch.checkpoints.looks(at: services.now()) {
        batch.checkpoints.pruned(through: try services.log.prunedThrough())
      }
      guard batch.checkpoints.isDue(byteCount: batch.savedByteCount) else { return true }
      guard await settle(&batch) else { return false }
      batch.checkpoints.made(behind: try services.log.head())
      guard let bytes = try savedBytes(batch, on: agent) else { return true }
      stated = try number([draft(of: bytes, batch)])
      // Of an agent's own events this is one that no prune need leave for its state.
      if Kind.evolves.isUsed { logBatch.snapshots[spec.id] = try savedBytes(batch, on: agent) }
    } catch {
      // Without it the past is known from a later one on.
      services.note("agent '\(spec.id)' cannot make a checkpoint of its state: \(error)")
      return true
    }
    logBatch.appends = stated.map { .init($0.record) }
    do {
      try await services.commit(logBatch, stated, of: spec.id, level: 0)
    } catch {
      giveUp("cannot commit what it did: \(error)")
      return false
    }
    return true
  }

  /// What the log keeps of the agent; of an event-sourced one, what it would keep now. Nil where nothing was ever committed.
  private func savedBytes(_ batch: borrowing Batch<Kind>, on agent: isolated Kind) throws -> [UInt8]? {
    guard Kind.evolves.isUsed else { return try services.log.snapshot(of: spec.id) }
    return try snapshot(Array(try JSON.encode(agent.state)), batch.agenda).bytes
  }

  private func draft(of bytes: [UInt8], _ batch: borrowing Batch<Kind>) throws -> Draft {
    var handled = batch.cursors[.persistent] ?? .start
    // A prune takes nothing that is before an agent: what it took is handled, or was not for this one.
    handled.position = max(handled.position, try services.log.prunedThrough())
    let event = StateCheckpointed(
      of: spec.id, Kind.kind, stateVersion: try AgentSnapshot(decoding: bytes).stateVersion, handled: handled,
      hasBegun: batch.hasBegun && !batch.calls.contains { $0.call.kind == .start }, snapshot: bytes)
    return try Draft(bus: event, to: nil, services.newEvent(), because: nil)
  }
}

extension LogReader {
  /// Up to where the log was pruned; islands that a prune has left are not looked for.
  func prunedThrough() throws -> Position {
    try gaps().lazy.filter { $0.kind == .pruned }.map(\.range.upperBound).max() ?? .start
  }
}
