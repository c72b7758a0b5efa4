public import HyphaCore

/// The seat's terms: a standby follows the seat of another node, and takes it over; who hears of a later term follows that.
///
/// A seat that *follows* learns from all reports and decides nothing; what the other one decides it takes from the log. It has
/// what operators ask for, and remembers what was answered.
extension ObserverSeat {
  /// The term that this log knows of.
  public var term: UInt32 { policy.standby == nil ? 1 : SeatTerm.of(version) }

  /// Whether this node decides, as far as it knows.
  public var isActive: Bool { holder == node && heardTerm <= term && handedTo == nil }

  /// Another node sends by a version of this term. Where that is a later one, this node decides nothing more: what the term began
  /// with will come.
  public mutating func heard(term other: UInt32) {
    guard policy.standby != nil, other > heardTerm else { return }
    heardTerm = other
    guard other > term, holder == node else { return }
    // What it has decided and not stated comes to nothing.
    pending.removeAll(where: Self.decides)
    adoptLive()
  }

  /// Takes the seat over, in a term of this node's own. What that begins with is the next answer, and what operators have
  /// asked for and nobody has answered follows, in order.
  ///
  /// - Parameters:
  ///   - cause: this node's judgement of the other one.
  ///   - standing: what it takes the other one for.
  /// - Returns: false where it decides already, where it has heard of a later term and does not know how that began, and where terms
  ///   are used up.
  @discardableResult
  public mutating func begin(
    because cause: EventID, correlation: EventID, standing: String, silentMicroseconds: UInt64,
    at time: Timestamp
  ) -> Bool {
    // Who has given it away and takes it back leaves the other node's term out.
    let isBack = holder == node && handedTo != nil
    guard let node, holder != node || isBack, heardTerm <= term, policy.seats.contains(node) else {
      return false
    }
    let next = isBack ? term + 2 : term + 1
    guard next <= SeatTerm.last else { return false }
    var begun = SeatBegun(
      term: next, node: node, after: live.version,
      links: live.links.map { .init(link: $0, state: $1) }.sorted { $0.link < $1.link },
      forbidden: live.forbidden.sorted(), isFrozen: live.isFrozen, answered: asks.answered,
      answeredAhead: asks.answeredAhead, standing: standing,
      silentMicroseconds: silentMicroseconds)
    if !live.attachments.isEmpty { begun.attached = live.attachments }
    var event = LinksChanged(version: SeatTerm.firstVersion(of: next), changes: [])
    event.begun = begun
    pending.removeAll(where: Self.decides)
    pending.append(Answer(cause: cause, correlation: correlation, content: .changed(event)))
    (holder, version) = (node, event.version)
    asks.begin(begun)
    adoptLive()
    answerOpen()
    return true
  }

  /// Follows a term that has begun, or goes on with one of this node's own that the log has.
  mutating func follow(
    _ event: LinksChanged, _ begun: SeatBegun, _ id: EventID, _ correlation: EventID, at time: Timestamp
  ) {
    let (wasHolder, term, known) = (holder == node, term, live.version)
    live.apply(event, at: time)
    (holder, version) = (begun.node, event.version)
    pending.removeAll(where: Self.decides)
    asks.begin(begun)
    if wasHolder, holder != node, let node {
      let over = SeatSuperseded(
        node: node, term: term, newerTerm: begun.term, holder: begun.node, keptThrough: begun.after,
        statedThrough: max(known, begun.after))
      pending.append(Answer(cause: id, correlation: correlation, content: .superseded(over)))
    }
    adoptLive()
    answerOpen()
  }

  /// Goes on from what the log has, where that is otherwise than this seat has decided.
  mutating func goOn() {
    pending.removeAll(where: Self.decides)
    version = live.version
    adoptLive()
    answerOpen()
  }

  /// Answers what operators have asked for and nobody has answered.
  private mutating func answerOpen() {
    guard isActive else { return }
    for ask in asks.open { answer(RuleAsked(rule: ask.rule), ask.id, ask.correlation) }
  }

  /// Has the observer go on from the links that the log has.
  mutating func adoptLive() {
    let pairs = live.links.compactMap { link, state in
      (try? pair(link)).map { ($0, state.isPinned) }
    }
    observer.adopt(
      Dictionary(pairs) { $1 }, forbidden: Set(live.forbidden.compactMap { try? pair($0) }),
      isFrozen: live.isFrozen)
    observer.isFollowing = !isActive
  }

  /// Whether an answer is one that only the seat may give.
  private static func decides(_ answer: Answer) -> Bool {
    if case .superseded = answer.content { false } else { true }
  }
}
