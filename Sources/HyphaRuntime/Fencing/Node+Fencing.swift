public import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// What a node knows of the incarnations of nodes.
final class FencingDesk: Sendable {
  struct State {
    var incarnations: Incarnations
    /// Why this node must stop; nil as long as it need not.
    var error: HyphaError?
  }

  let state: Mutex<State>

  /// What a log has kept.
  ///
  /// - Throws: what reading the log throws.
  init(_ log: any LogReader) throws {
    state = Mutex(State(incarnations: Incarnations(decoding: try log.snapshot(of: Incarnations.owner))))
  }
}

/// One node that was started twice: of two processes on logs of their own the one that began last goes on.
extension Node {
  /// Why this node must stop: another process runs it that began later. Nil as long as nobody has said so. From then on it sends
  /// nothing; whoever runs the node lets it stop (``stop(isReplaced:)``), and does not start it again by itself.
  public var superseded: HyphaError? { desks.fencing.state.withLock { $0.error } }

  /// Begins an incarnation, and returns what the log is to keep with the activations of the node's agents.
  ///
  /// - Parameter epochs: the newest ones that the log has, of the node's agents and of its own.
  func beginIncarnation(after epochs: [UInt64]) throws -> [AgentID: [UInt8]] {
    let earlier = desks.fencing.state.withLock { $0.incarnations.newest[configuration.node]?.epoch ?? 0 }
    let epoch = epoch(after: max(earlier, epochs.max() ?? 0))
    drawAnew(epoch)
    let own = Incarnation(
      node: configuration.node, epoch: epoch, id: newEvent().0,
      sign: configuration.notary.map { notary in { notary.sign($0) } })
    return try desks.fencing.state.withLock { state in
      state.incarnations.begin(own)
      return [Incarnations.owner: try state.incarnations.snapshot]
    }
  }

  /// Has chance follow from the incarnation as well: where the machine's clock lies behind the log, ids of one start after another are
  /// of the same moment, and nothing else tells them apart.
  private func drawAnew(_ epoch: UInt64) {
    let random = SeededGenerator(seed: configuration.seed, name: "\(configuration.node) \(epoch)")
    state.withLock { $0.random = random }
  }

  /// Says which incarnation this one is, again and again: one that began later may have been heard of elsewhere.
  func lookAfterIncarnation() {
    let (now, others) = (now(), topology.presentNodes.map(\.id).filter { $0 != configuration.node })
    let due = desks.fencing.state.withLock { $0.incarnations.due(now: now, for: others) }
    for (node, incarnation) in due {
      transport.request(ControlMessage.incarnation(incarnation).encoded(), of: node)
    }
  }

  /// Takes what a node says of itself, or has heard of this one, and returns the answer; nil where there is nothing to say.
  func heard(_ incarnation: Incarnation, from node: NodeID) -> ControlMessage? {
    if incarnation.node == configuration.node {
      told(incarnation, by: node)
      return nil
    }
    let (heard, kept) = desks.fencing.state.withLock { state in
      let heard = state.incarnations.heard(incarnation, from: node, isSigned: isSigned)
      return (heard, heard == .new ? try? state.incarnations.snapshot : nil)
    }
    // A node that starts anew knows, too, who was there last: the newest may be gone, and an older one go on.
    if let kept { log.submit(LogBatch(snapshots: [Incarnations.owner: kept])) { _ in } }
    switch heard {
    case .known, .new: return nil
    case .older(let newest): return .incarnation(newest)
    case .refused:
      note(
        refusal: "node '\(node)' sent an incarnation of node '\(incarnation.node)' that is not its own word")
      return nil
    }
  }

  /// Takes what another node has heard of this one.
  func told(_ incarnation: Incarnation, by node: NodeID) {
    let told = desks.fencing.state.withLock { state -> (own: Incarnation, error: HyphaError)? in
      guard let own = state.incarnations.own, state.incarnations.told(incarnation, isSigned: isSigned) else {
        return nil
      }
      let error = HyphaError(
        .superseded,
        "node '\(own.node)' was started again in epoch \(incarnation.epoch), as node '\(node)' has heard; this one, of epoch "
          + "\(own.epoch), stops",
        remedy: "run one of the two: who is started last goes on, with its own log")
      state.error = error
      return (own, error)
    }
    guard let told, !isStopped else { return }
    // What handlers still do stays here: nothing of it reaches others.
    transport.stop()
    note(told.error)
    state(
      own: NodeSuperseded(
        node: told.own.node, by: told.own.node, heardFrom: node, epoch: told.own.epoch,
        newerEpoch: incarnation.epoch), because: nil)
    // Its agents need not begin any more.
    state.withLock { $0.whenOpen.take() }?.resume()
  }

  private func isSigned(_ incarnation: Incarnation) -> Bool {
    guard let notary = configuration.notary else { return true }
    return notary.hasSigned(incarnation.node, incarnation.statement, incarnation.signature)
  }
}
