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
  /// The node that was given the seat and has not begun its term; nil where there is none.
  public private(set) var handedTo: NodeID?
  /// The branches that report to others than the file says; nil for none, as in what versions have kept that had no attachments.
  private var attached: [AgentID: Attached]?
  /// The supervisors whose branches report to them again since the newest version.
  private var returned: [AgentID]?

  /// A branch that reports to another than the file says.
  public struct Attached: Sendable, Hashable, Codable {
    public var attachment: BranchAttachment
    /// The version and the time since which it does.
    public var version: UInt32
    public var since: Timestamp
  }

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
      attached = begun.attached.map { Dictionary($0.map { ($0.attachment.supervisor, $0) }) { $1 } }
    }
    version = event.version
    // A term that has begun ends this.
    handedTo = event.begun == nil ? event.handedTo ?? handedTo : nil
    apply(event.attachments, at: time)
    for change in event.changes {
      for end in change.retired { links[end.link] = nil }
      if let end = change.promoted {
        links[end.link] = Link(version: version, since: time, score: end.score, isPinned: false)
      }
      if let rule = change.rule { apply(rule) }
    }
    return true
  }

  private mutating func apply(_ change: AttachmentsChange?, at time: Timestamp) {
    returned = change.flatMap { $0.returned.isEmpty ? nil : $0.returned }
    guard let change else { return }
    var attached = attached ?? [:]
    for supervisor in change.returned { attached[supervisor] = nil }
    for attachment in change.attached {
      attached[attachment.supervisor] = Attached(attachment: attachment, version: version, since: time)
    }
    self.attached = attached.isEmpty ? nil : attached
  }

  private mutating func apply(_ rule: LinkRule) {
    switch rule {
    case .pin(let link): links[link]?.isPinned = true
    case .unpin(let link): links[link]?.isPinned = false
    case .forbid(let link): forbidden.insert(link)
    case .allow(let link): forbidden.remove(link)
    case .freeze: isFrozen = true
    case .thaw: isFrozen = false
    case .retire, .approve, .reject, .revert, .handOver: break
    }
  }
}

extension LiveTopology {
  /// The branches that report to others than the file says, in the order of the supervisors' names.
  public var attachments: [Attached] {
    (attached ?? [:]).sorted { $0.key < $1.key }.map(\.value)
  }

  /// The nodes of their supervisors.
  public var away: Set<NodeID> { Set((attached ?? [:]).values.map(\.attachment.node)) }

  /// The branch of a supervisor, where it reports to another; nil where it does not.
  public func attachment(of supervisor: AgentID) -> Attached? { attached?[supervisor] }

  /// Whom each agent reports to, as far as the way of events goes; nobody, for the one at the top.
  public func supervisors(_ topology: Topology) -> [AgentID: AgentID] {
    if let tree = AttachedTree(topology, attachments.map(\.attachment)) { return tree.supervisors }
    return topology.agents.reduce(into: [:]) { $0[$1.id] = $1.reportsTo }
  }

  /// The routes by this version.
  public func routes(_ topology: Topology) -> Routes {
    Routes(topology, links: links.keys, attachments: attachments.map(\.attachment))
  }

  /// What must be open before anybody sends by this version: its direct links, the edges that the file does not have, and those of
  /// supervisors that have just come back.
  public func openings(_ topology: Topology) -> Set<DirectLink> {
    var openings = Set(links.keys)
    if let tree = AttachedTree(topology, attachments.map(\.attachment)) { openings.formUnion(tree.edges) }
    for supervisor in returned ?? [] {
      for child in topology.children(of: supervisor) { openings.insert(DirectLink(supervisor, child)) }
      if let up = topology.agent(supervisor)?.reportsTo { openings.insert(DirectLink(supervisor, up)) }
    }
    return openings
  }
}
