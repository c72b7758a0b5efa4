public import HyphaCore
public import HyphaLog
public import HyphaTopology

/// The live topology and how it came to be, read from a node's log alone, while the node runs or not.
public struct TopologyReading: Sendable {
  /// One event of the topology in the log.
  public struct Entry: Sendable {
    public var position: Position
    public var time: Timestamp
    public var event: EventID
    /// What called for it, and on whose authority it was stated.
    public var cause: EventID
    public var authority: Authority
    public var content: Content
  }

  /// What an entry says.
  public enum Content: Sendable {
    case changed(LinksChanged)
    case suggested(LinksSuggested)
    case asked(RuleAsked)
    case refused(RuleRefused)
  }

  /// The topology at the end of what was read.
  public private(set) var live: LiveTopology
  /// What has changed, was suggested, asked for and refused, the oldest first.
  public private(set) var entries: [Entry] = []
  /// The observer, where the log is that of the node with its seat: it has seen all reports.
  public private(set) var seat: ObserverSeat?

  /// Reads a log of a deployment.
  ///
  /// - Parameters:
  ///   - end: reads up to this position or this time; nil reads all.
  /// - Complexity: reads all entries; the seat's log takes the time of observing all events once more.
  /// - Throws: what reading throws; ``HyphaError/Code/invalidTopology``.
  public init(_ log: any LogReader, of topology: Topology, through end: End? = nil) throws {
    live = LiveTopology(topology)
    let isSeat = topology.observer.node == log.identity.node
    seat = isSeat ? try ObserverSeat(topology) : nil
    let authors = Set(topology.nodes.map(\.id.author))
    let head = try log.head()
    guard head > .start else { return }
    var first = Position.start.next
    // What was pruned stands in the node's snapshot: what came before is not known any more.
    if let pruned = try log.gaps().filter({ $0.kind == .pruned }).map(\.range.upperBound).max(),
      let known = try TopologySnapshot.read(in: log)
    {
      if case .position(let last)? = end, last.rawValue < known.through { throw Self.pruned(pruned) }
      if case .time(let last)? = end, let next = try log.entry(at: Position(rawValue: known.through).next),
        next.record.time > last
      {
        throw Self.pruned(pruned)
      }
      live = known.live
      if let seatKnown = known.seat { try seat?.resume(seatKnown) }
      first = Position(rawValue: known.through).next
    }
    guard first <= head else { return }
    try log.visit(first...head, .forward) { view in
      if case .position(let last)? = end, view.position > last { return false }
      guard view.record.channel == .persistent else { return true }
      let record = try Record(view.record)
      if case .time(let last)? = end, record.time > last, view.source == .stated { return false }
      // What does not decode was passed over by the nodes, too.
      if authors.contains(record.agent) { try? take(record, at: view.position) }
      return true
    }
  }

  private static func pruned(_ through: Position) -> HyphaError {
    HyphaError(
      .usage, "the log was pruned through position \(through): what the topology was before is not known",
      remedy: "ask for a later place")
  }

  /// Where to stop.
  public enum End: Sendable {
    case position(Position)
    case time(Timestamp)
  }

  private mutating func take(_ record: Record, at position: Position) throws {
    let header = record.header
    func note(_ content: Content) {
      entries.append(
        Entry(
          position: position, time: header.time, event: header.id, cause: header.causation,
          authority: header.authority, content: content))
    }
    switch header.type {
    case FlowReported.eventType:
      try seat?.take(FlowReported.decode(record), header.id, correlation: header.correlation)
    case RuleAsked.eventType:
      let event = try RuleAsked.decode(record)
      seat?.take(event, header.id, correlation: header.correlation)
      note(.asked(event))
    case LinksChanged.eventType:
      let event = try LinksChanged.decode(record)
      live.apply(event, at: header.time)
      seat?.confirm(event, cause: header.causation)
      note(.changed(event))
    case LinksSuggested.eventType:
      seat?.confirmUnchanged(cause: header.causation)
      note(.suggested(try LinksSuggested.decode(record)))
    case RuleRefused.eventType:
      seat?.confirmUnchanged(cause: header.causation)
      note(.refused(try RuleRefused.decode(record)))
    default: break
    }
  }
}
