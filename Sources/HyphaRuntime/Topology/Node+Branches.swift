import HyphaCore
import HyphaTopology
import Synchronization

/// The branch of a supervisor whose node is away attaches to its standby or to its own supervisor, by an event of the node that
/// decides about the routes.
extension Node {
  /// Looks whose branches have to be attached otherwise, on the nodes that decide about that or may come to.
  func lookAfterBranches() {
    guard desks.topology.watchesBranches, let view = branchView else { return }
    let decision = desks.topology.state.withLock { state -> BranchWatch.Decision? in
      let decision = state.branches.look(
        view.standings, judgements: view.judgements, at: view.now, isAlone: view.isAlone, in: topology,
        known: state.live.attachments.map(\.attachment))
      return state.maySpeak ? decision : nil
    }
    // Where it is this node that is there again, that follows from its judgement of any other.
    guard let decision,
      let cause = view.judgements[decision.because] ?? view.judgements.min(by: { $0.key < $1.key })?.value
    else { return }
    let isNews = desks.topology.seat.withLock { $0?.attach(decision.change, because: cause) ?? false }
    if isNews { stateAnswers() }
  }

  /// What this node takes the others for.
  private struct BranchView {
    var standings: [NodeID: BranchWatch.Standing]
    var judgements: [NodeID: EventID]
    var isAlone: Bool
    var now: UInt64
  }

  private var branchView: BranchView? {
    let downAfter = topology.membership.downAfter.wholeMicroseconds
    return desks.membership.state.withLock { state in
      guard state.isJudging else { return nil }
      let detector = state.detector
      let standings = detector.peers.map { node, peer -> (NodeID, BranchWatch.Standing) in
        switch peer.standing {
        case .up: (node, .up(answered: detector.clock.now - peer.answeredAt))
        case .down: (node, .gone)
        // One that stops in order may only begin anew.
        case .left: (node, detector.silence(of: node) > downAfter ? .gone : .unclear)
        case .suspected: (node, .unclear)
        case .unknown: (node, .unheard)
        }
      }
      return BranchView(
        standings: Dictionary(uniqueKeysWithValues: standings), judgements: state.judgements,
        isAlone: detector.peers.count > 1 && !detector.peers.values.contains { $0.standing == .up },
        now: detector.clock.now)
    }
  }
}
