public import HyphaCore

/// Where branches are attached, as the seat states it: a version of the routes like all others, from the same sequence.
extension ObserverSeat {
  /// Takes up that branches are to be attached otherwise; the next answer says so.
  ///
  /// - Parameter cause: the judgement of the node that has come or gone.
  /// - Returns: false where this node does not decide, where what it has decided of this before is not in the log yet, and where the
  ///   term's versions are used up.
  @discardableResult
  public mutating func attach(_ change: AttachmentsChange, because cause: EventID) -> Bool {
    guard isActive, hasRoom, !pending.contains(where: Self.attaches) else { return false }
    version += 1
    var event = LinksChanged(version: version, changes: [])
    event.attachments = change
    pending.append(Answer(cause: cause, correlation: cause, content: .changed(event)))
    return true
  }

  /// Takes note of attachments that the log has and this seat has not pending, as when it reads its log again: no report has caused
  /// them, so what it has decided by reports since takes the versions after theirs, as it did the first time.
  ///
  /// - Returns: false where they are no next version of this seat's term.
  mutating func takeUp(_ event: LinksChanged, at time: Timestamp) -> Bool {
    let isNext = event.version > live.version && SeatTerm.of(event.version) == SeatTerm.of(version)
    guard isNext, event.begun == nil, event.changes.isEmpty else { return false }
    live.apply(event, at: time)
    version = max(version, event.version)
    for place in pending.indices {
      guard case .changed(var own) = pending[place].content, own.version >= event.version else { continue }
      own.version += 1
      pending[place].content = .changed(own)
      version = max(version, own.version)
    }
    return true
  }

  private static func attaches(_ answer: Answer) -> Bool {
    if case .changed(let event) = answer.content { event.attachments != nil } else { false }
  }
}
