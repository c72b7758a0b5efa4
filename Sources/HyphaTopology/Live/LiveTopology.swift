public import HyphaCore

/// The topology as it is now, or was at any moment: what the file says, and what has changed since. A fold of
/// ``LinksChanged``, the same on every node and for whoever reads a log.
public struct LiveTopology: Sendable, Hashable, Codable {
  /// A link that is there.
  public struct Link: Sendable, Hashable, Codable {
    /// The version and the time since which it is there.
    public var version: UInt32
    public var since: Timestamp
    /// What it had saved, or would have, when it was made: in 1/65,536 hop.
    public var score: Int64
    public var isPinned: Bool
  }

  /// The version that frames carry.
  public private(set) var version: UInt32
  public private(set) var links: [DirectLink: Link] = [:]
  public private(set) var forbidden: Set<DirectLink>
  /// Whether operators have stopped all changes but their own.
  public private(set) var isFrozen = false
  /// The node that decides, once a standby has taken the observer's seat over; nil before.
  public private(set) var holder: NodeID?

  /// What a topology file says.
  public init(_ topology: Topology) {
    version = topology.version
    forbidden = Set(topology.observer.forbids)
    for pin in topology.observer.pins {
      links[pin] = Link(version: version, since: .zero, score: 0, isPinned: true)
    }
  }

  /// Applies a change, unless it was applied before, or is of a term of the seat that is over.
  ///
  /// - Returns: whether it was new.
  @discardableResult
  public mutating func apply(_ event: LinksChanged, at time: Timestamp) -> Bool {
    guard event.version > version else { return false }
    if let begun = event.begun {
      links = Dictionary(begun.links.map { ($0.link, $0.state) }) { $1 }
      (forbidden, isFrozen, holder) = (Set(begun.forbidden), begun.isFrozen, begun.node)
    }
    version = event.version
    for change in event.changes {
      for end in change.retired { links[end.link] = nil }
      if let end = change.promoted {
        links[end.link] = Link(version: version, since: time, score: end.score, isPinned: false)
      }
      if let rule = change.rule { apply(rule) }
    }
    return true
  }

  private mutating func apply(_ rule: LinkRule) {
    switch rule {
    case .pin(let link): links[link]?.isPinned = true
    case .unpin(let link): links[link]?.isPinned = false
    case .forbid(let link): forbidden.insert(link)
    case .allow(let link): forbidden.remove(link)
    case .freeze: isFrozen = true
    case .thaw: isFrozen = false
    case .retire, .approve, .reject, .revert: break
    }
  }
}
