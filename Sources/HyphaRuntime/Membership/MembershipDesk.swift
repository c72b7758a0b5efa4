import HyphaCore
import HyphaTopology
import HyphaTransport
import Synchronization

/// What a node takes the others for.
final class MembershipDesk: Sendable {
  struct State {
    var detector: FailureDetector
    /// Whether the node judges: from its start until it stops.
    var isJudging = false
    /// The newest event that says what this node takes another one for.
    var judgements: [NodeID: EventID] = [:]
  }

  let state: Mutex<State>

  /// A desk that judges nobody yet; `now` is what the machine's clock shows, in microseconds.
  init(_ topology: Topology, node: NodeID, now: UInt64) {
    let others = topology.presentNodes.map(\.id).filter { $0 != node }
    state = Mutex(State(detector: FailureDetector(others, settings: topology.membership, start: now)))
  }
}

/// Membership as one node sees it: it hears the others, judges them, and states what it judges under its own name.
extension Node {
  /// Begins to judge: from now on silence counts.
  func beginMembership() { desks.membership.state.withLock { $0.isJudging = true } }

  /// Judges no more, and tells the others that this node stops, unless another one takes its place.
  func endMembership(saysGoodbye: Bool = true) {
    desks.membership.state.withLock { $0.isJudging = false }
    guard saysGoodbye else { return }
    for node in topology.presentNodes.map(\.id) where node != configuration.node {
      transport.request(ControlMessage.goodbye.encoded(), of: node)
    }
  }

  /// Looks at who is silent, again and again.
  func lookAfterMembership() { judge { $0.tick(at: $1) } }

  /// Takes note of a message of a node. One that was not met yet is met once it has answered a greeting: from then on it
  /// shows when it starts anew.
  func heard(_ node: NodeID, isHeartbeat: Bool = false, isAnswer: Bool = false) {
    judge { detector, now in
      if detector.peers[node]?.standing == .unknown {
        guard self.state.withLock({ $0.client.isGreeted(by: node) }) else { return [] }
      }
      return detector.heard(node, isHeartbeat: isHeartbeat, isAnswer: isAnswer, at: now).map { [$0] } ?? []
    }
  }

  /// Takes note that a node has started anew.
  func heardOfRestart(of node: NodeID) {
    judge { detector, now in detector.restarted(node, at: now).map { [$0] } ?? [] }
  }

  /// Takes note that a node stops in order.
  func heardGoodbye(of node: NodeID) {
    judge { detector, now in detector.left(node, at: now).map { [$0] } ?? [] }
  }

  /// What another node was last taken for; ``FailureDetector/Standing/unknown`` while it was not heard since this one began.
  func standing(of node: NodeID) -> FailureDetector.Standing {
    desks.membership.state.withLock { $0.detector.peers[node]?.standing ?? .unknown }
  }

  /// The nodes that do not look as if they would answer; of those that are there none while this node does not judge.
  var silentNodes: Set<NodeID> {
    desks.membership.state.withLock { $0.isJudging ? $0.detector.silentNodes : [] }
      .union(topology.leftNodes)
  }

  private func judge(_ body: (inout FailureDetector, UInt64) -> [FailureDetector.Change]) {
    desks.membership.state.withLock { state in
      guard state.isJudging else { return }
      // Stated under the lock, so that the events follow each other as the judgements do.
      for change in body(&state.detector, scheduler.microseconds()) {
        state.judgements[change.node] = self.state(
          own: change.event(by: configuration.node), because: nil)
      }
    }
  }

  /// What this node takes the others for.
  var peerStatus: [String: NodeStatus.PeerStatus] {
    let frameCounts = receivedFrameCounts.withLock { $0 }
    return desks.membership.state.withLock { state in
      let peers = state.detector.peers.map { node, peer in
        let status = NodeStatus.PeerStatus(
          standing: peer.standing.rawValue, silentMicroseconds: state.detector.silence(of: node),
          suspicionCount: peer.suspicionCount, downCount: peer.downCount,
          receivedFrameCount: frameCounts[node] ?? 0)
        return (node.text, status)
      }
      return Dictionary(uniqueKeysWithValues: peers)
    }
  }
}
