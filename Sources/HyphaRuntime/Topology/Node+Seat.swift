import HyphaCore
import HyphaTopology
import Synchronization

/// The observer's seat and its standby on one node: who hears of the other one's silence takes the seat over, and who hears of
/// a later term gives it up.
extension Node {
  /// What this node takes the other node of the seat for.
  private struct OtherSeat {
    var node: NodeID
    var standing: FailureDetector.Standing
    var silentMicroseconds: UInt64
    /// Whether all others are silent, too: then this node may be the one that is cut off.
    var isAlone: Bool
    var judgement: EventID

    var isGone: Bool { standing == .down || standing == .left }
  }

  /// Looks whether this node's seat may speak, and whether it has to take the other one's over.
  func lookAfterSeat(now: Timestamp) {
    guard let other = otherSeat else { return }
    lookAfterHandOver(other.standing == .up, now: now)
    guard other.isGone else { return }
    letSeatSpeak()
    let standbyAfter = topology.observer.standbyAfter.wholeMicroseconds
    guard !other.isAlone, other.silentMicroseconds >= standbyAfter, isOthers(other.node) else { return }
    let hasBegun = desks.topology.seat.withLock { seat in
      seat?.begin(
        because: other.judgement, correlation: other.judgement, standing: other.standing.rawValue,
        silentMicroseconds: other.silentMicroseconds, at: now) ?? false
    }
    if hasBegun { stateAnswers() }
  }

  /// Whether the other node has the newest term that was heard of, and this one knows how that began. Else the two would take
  /// the seat from each other again and again where they reach others and not each other.
  private func isOthers(_ other: NodeID) -> Bool {
    desks.topology.state.withLock { state in
      let term = SeatTerm.of(state.live.version)
      let isOthers = topology.observer.holder(of: term) == other || state.live.handedTo == other
      return state.heardTerm <= term && isOthers
    }
  }

  /// Begins this node's term where it was given the seat.
  private func lookAfterHandOver(_ isOtherThere: Bool, now: Timestamp) {
    let hasBegun = desks.topology.seat.withLock { seat in
      seat?.isOtherThere = isOtherThere
      return seat?.takeHandedOver(at: now) ?? false
    }
    if hasBegun { stateAnswers() }
  }

  private var otherSeat: OtherSeat? {
    guard let node = desks.topology.otherSeat else { return nil }
    return desks.membership.state.withLock { state in
      guard state.isJudging, let peer = state.detector.peers[node], let judgement = state.judgements[node]
      else {
        return nil
      }
      let others = state.detector.peers.filter { $0.key != node }.values
      return OtherSeat(
        node: node, standing: peer.standing, silentMicroseconds: state.detector.silence(of: node),
        isAlone: !others.isEmpty && !others.contains { $0.standing == .up }, judgement: judgement)
    }
  }

  /// Takes note of the versions that a node knows: they may be of a later term than this one knows.
  func heardSeat(_ node: NodeID, _ progress: RouteSwitch.Progress) {
    guard let other = desks.topology.otherSeat else { return }
    let term = SeatTerm.of(max(progress.ready, progress.sending))
    let isNew = desks.topology.state.withLock { state in
      guard term > state.heardTerm else { return false }
      state.heardTerm = term
      return true
    }
    // The seat may be at work for a while.
    if isNew {
      scheduler.schedule(after: .zero) { self.desks.topology.seat.withLock { $0?.heard(term: term) } }
    }
    guard node == other else { return }
    scheduler.schedule(after: .zero) { self.letSeatSpeak() }
  }

  private func letSeatSpeak() {
    let isFirst = desks.topology.state.withLock { state in
      defer { state.maySpeak = true }
      return !state.maySpeak
    }
    if isFirst { stateAnswers() }
  }
}
