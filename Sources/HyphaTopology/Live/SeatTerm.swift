public import HyphaCore

/// The terms of the observer's seat, where its topology file names a standby: who decides in which, and which versions of the
/// links are of which.
///
/// The file's node has the odd terms, from the first one on, and the standby the even ones. So a term is begun by one node alone, and no
/// two nodes ever give out the same version, however long they do not hear of each other. A later term's versions are greater
/// than all of an earlier one's: whoever knows of the later one takes none of those.
public enum SeatTerm {
  /// How many bits of a version count the changes of a term.
  public static let changeBitCount: UInt32 = 22
  /// The last term that there can be.
  public static let last = UInt32.max >> changeBitCount + 1

  /// The term of a version, from 1.
  public static func of(_ version: UInt32) -> UInt32 { version >> changeBitCount + 1 }

  /// The first version of a term; that of the first term is what the topology file says, and not this.
  public static func firstVersion(of term: UInt32) -> UInt32 { (term - 1) << changeBitCount }

  /// A version as people read it: `7` in the first term, `2.7` in the second.
  public static func text(_ version: UInt32) -> String {
    let term = of(version)
    return term == 1 ? "\(version)" : "\(term).\(version - firstVersion(of: term))"
  }
}

extension ObserverPolicy {
  /// The nodes that have, or may have, the observer's seat.
  public var seats: [NodeID] { [node, standby].compactMap(\.self) }

  /// The node whose a term is; nil where nobody observes.
  public func holder(of term: UInt32) -> NodeID? {
    standby.map { term.isMultiple(of: 2) ? $0 : node } ?? node
  }

  /// The node that would take the seat over from another one, or have it taken over by that.
  public func otherSeat(than seat: NodeID) -> NodeID? {
    standby == nil || !seats.contains(seat) ? nil : seats.first { $0 != seat }
  }
}

/// A term of the observer's seat has begun: the whole topology as its node knows it, from which the term's changes go on. Whatever
/// an earlier term has changed and this does not have counts no more.
public struct SeatBegun: Hashable, Sendable, Codable {
  /// A link that is there.
  public struct Link: Hashable, Sendable, Codable {
    public var link: DirectLink
    public var state: LiveTopology.Link
  }

  /// How far a node's rules were answered.
  public struct Answered: Hashable, Sendable, Codable {
    public var author: AgentID
    public var epoch, sequence: UInt64
    var point: LanePoint { LanePoint(epoch: epoch, sequence: sequence) }
  }

  public var term: UInt32
  /// The node that decides from now on.
  public var node: NodeID
  /// The newest version of earlier terms that it goes on from.
  public var after: UInt32
  public var links: [Link]
  public var forbidden: [DirectLink]
  public var isFrozen: Bool
  /// The operators' rules that earlier terms have answered; it answers all others.
  public var answered: [Answered]
  /// And those that had not come to it themselves when their answers had.
  public var answeredAhead: [EventID]
  /// What the node took the one that decided before for: `down` or `left`; and how long that was silent.
  public var standing: String
  public var silentMicroseconds: UInt64
  /// The branches that report to others than the file says; nil where none does.
  public var attached: [LiveTopology.Attached]?
}

/// A node has heard that a later term of the observer's seat has begun on another one, and decides nothing more.
///
/// Stated by the node that had the seat, caused by the change with which the later term began.
public struct SeatSuperseded: TopologyEvent, Hashable {
  public var node: NodeID
  /// The term that is over, the later one, and the node that has that.
  public var term, newerTerm: UInt32
  public var holder: NodeID
  /// The versions that this node had stated and the later term does not have: those after the first, up to the last one. Equal
  /// where there are none.
  public var keptThrough, statedThrough: UInt32
}

/// What operators have asked for, as far as somebody may still have to answer it: a fold of the log.
///
/// Rules of one node are answered in its order: who has answered one of them has answered all before it.
struct SeatAsks: Sendable, Hashable, Codable {
  struct Ask: Sendable, Hashable, Codable {
    var id, correlation: EventID
    var rule: LinkRule
    var author: AgentID
    var epoch, sequence: UInt64
    var point: LanePoint { LanePoint(epoch: epoch, sequence: sequence) }
  }

  /// An answer, which may come before what it answers: each node has its own lanes.
  struct Reply: Sendable, Hashable, Codable {
    var id: EventID
    var term: UInt32
  }

  /// The most that wait, and the most that were answered and are remembered: a later term may have to answer them again.
  static let (openCountMax, answeredCountMax) = (1024, 256)

  private(set) var asks: [Ask] = []
  private(set) var answered: [SeatBegun.Answered] = []
  private var replies: [Reply] = []

  /// Those that nobody has answered, in the order of the log.
  var open: [Ask] { asks.filter { !isAnswered($0) } }

  /// Those that were answered and have not come.
  var answeredAhead: [EventID] {
    replies.map(\.id).filter { id in !asks.contains { $0.id == id } }
  }

  private func isAnswered(_ ask: Ask) -> Bool {
    answered.contains { $0.author == ask.author && $0.point >= ask.point }
  }

  /// Takes note of a rule. Returns whether it is to be answered.
  mutating func take(_ ask: Ask) -> Bool {
    guard !isAnswered(ask) else { return false }
    asks.append(ask)
    if replies.contains(where: { $0.id == ask.id }) {
      settle(ask.id)
      return false
    }
    let open = open
    if open.count > Self.openCountMax { asks.removeAll { $0 == open[0] } }
    return true
  }

  /// Takes note of an answer that a term has given.
  mutating func answer(_ id: EventID, in term: UInt32) {
    replies.append(Reply(id: id, term: term))
    if replies.count > Self.answeredCountMax { replies.removeFirst() }
    settle(id)
  }

  /// Goes on from what a term has begun with: what that has not is to be answered again, but for what the term itself has
  /// answered.
  mutating func begin(_ begun: SeatBegun) {
    answered = begun.answered
    replies.removeAll { $0.term < begun.term }
    replies = begun.answeredAhead.map { Reply(id: $0, term: begun.term) } + replies
    for reply in replies { settle(reply.id) }
  }

  private mutating func settle(_ id: EventID) {
    guard let ask = asks.last(where: { $0.id == id }), !isAnswered(ask) else { return }
    answered.removeAll { $0.author == ask.author }
    answered.append(.init(author: ask.author, epoch: ask.epoch, sequence: ask.sequence))
    answered.sort { $0.author < $1.author }
    let old = asks.filter(isAnswered).dropLast(Self.answeredCountMax)
    if !old.isEmpty { asks.removeAll(where: old.contains) }
  }
}
