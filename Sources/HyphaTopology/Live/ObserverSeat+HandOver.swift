public import HyphaCore

/// The seat is given to the other node that may have it, by an operator's wish: the one that has it says so by its last change, and the
/// other one begins its next term at once, without a silence.
extension ObserverSeat {
  /// The event by which the seat was given away.
  struct HandOver: Sendable, Codable {
    var event, correlation: EventID
  }

  /// The node that was given the seat and has not begun its term, as far as this one knows, its own pending answers included.
  public var handedTo: NodeID? {
    guard policy.standby != nil, SeatTerm.of(version) == SeatTerm.of(live.version) else { return nil }
    if let node = live.handedTo { return node }
    for answer in pending {
      if case .changed(let event) = answer.content, let node = event.handedTo { return node }
    }
    return nil
  }

  /// Whether this node was given the seat, and has to begin its term.
  public var isHandedOver: Bool { handedTo == node && holder != node }

  /// Begins the term of a node that was given the seat.
  ///
  /// - Returns: false where it was not.
  @discardableResult
  public mutating func takeHandedOver(at time: Timestamp) -> Bool {
    guard isHandedOver, let gift = handOver else { return false }
    return begin(
      because: gift.event, correlation: gift.correlation, standing: SeatBegun.handedOver,
      silentMicroseconds: 0, at: time)
  }

  /// Why the seat cannot be given away; nil where it can.
  var handOverProblem: String? {
    guard let node, let other = policy.otherSeat(than: node) else {
      return "the observer's seat has no standby"
    }
    if !isOtherThere { return "node '\(other)', which would have the seat, is not there" }
    return hasRoom ? nil : "all versions of term \(term) are used up; stop node '\(node)' instead"
  }

  mutating func giveAway(_ cause: EventID, _ correlation: EventID) {
    version += 1
    var event = LinksChanged(version: version, changes: [ruled(.handOver)])
    event.handedTo = node.flatMap { policy.otherSeat(than: $0) }
    pending.append(Answer(cause: cause, correlation: correlation, content: .changed(event)))
    observer.isFollowing = !isActive
  }
}

extension SeatBegun {
  /// What a node says of the one that has given it the seat.
  public static let handedOver = "handed over"
}
