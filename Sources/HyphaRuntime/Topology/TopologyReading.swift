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
    case found(FindingsChanged)
    case superseded(SeatSuperseded)
    case questions(AmbientSeat.Answer.Content)
    case askedQuestions(QuestionRuleAsked)
  }

  /// Something that the observer finds, and since when.
  public struct FoundThing: Sendable {
    public var finding: Finding
    public var since: Timestamp
  }

  /// The topology at the end of what was read.
  public private(set) var live: LiveTopology
  /// What has changed, was suggested, asked for and refused, the oldest first.
  public private(set) var entries: [Entry] = []
  /// What the observer finds at the end of what was read.
  public private(set) var findings: [Finding.Topic: FoundThing] = [:]
  /// What is ambient at the end of what was read.
  public private(set) var questions = AmbientView()
  /// The observer, where the log is that of a node with its seat, or of its standby: it has seen all reports.
  public private(set) var seat: ObserverSeat?
  /// What nodes have told the observer: the events of pairs of agents, the newest report of each node's load, and when the
  /// newest report was made. In the log of the seat alone there is all of it.
  public private(set) var observedCount = 0
  public private(set) var loads: [NodeID: LoadReported] = [:]
  public private(set) var reportedAt = Timestamp.zero

  private let authors: Set<AgentID>
  private let topology: Topology
  private var findingsTerm: UInt32 = 1
  private var through = Position.start
  private var parts = EventParts()

  /// Reads a log of a deployment.
  ///
  /// - Parameters:
  ///   - end: reads up to this position or this time; nil reads all.
  ///   - withSeat: whether the observer is to see all reports once more, where the log has them.
  /// - Complexity: reads all entries; the seat's log takes the time of observing all events once more.
  /// - Throws: what reading throws; ``HyphaError/Code/invalidTopology``.
  public init(
    _ log: any LogReader, of topology: Topology, through end: End? = nil, withSeat: Bool = true
  ) throws {
    live = LiveTopology(topology)
    let isSeat = topology.observer.seats.contains(log.identity.node)
    seat = isSeat && withSeat ? try ObserverSeat(topology, at: log.identity.node) : nil
    authors = Set(topology.nodes.map(\.id.author))
    self.topology = topology
    let head = try log.head()
    guard head > .start else { return }
    // What was pruned stands in the node's snapshot: what came before is not known any more.
    if let pruned = try log.gaps().filter({ $0.kind == .pruned }).map(\.range.upperBound).max(),
      let known = try TopologySnapshot.read(in: log), known.isOf(topology)
    {
      if case .position(let last)? = end, last.rawValue < known.through { throw Self.pruned(pruned) }
      if case .time(let last)? = end, let next = try log.entry(at: Position(rawValue: known.through).next),
        next.record.time > last
      {
        throw Self.pruned(pruned)
      }
      live = known.live
      questions = known.ambient ?? questions
      findingsTerm = known.seat?.findingsTerm ?? 1
      for finding in known.seat?.statedFindings ?? [] {
        findings[finding.topic] = FoundThing(finding: finding, since: .zero)
      }
      if let seatKnown = known.seat { try seat?.resume(seatKnown) }
      (through, parts) = (Position(rawValue: known.through), known.parts ?? EventParts())
    }
    try readOn(log, through: end)
  }

  /// Reads what has come into the same log since.
  public mutating func readOn(_ log: any LogReader, through end: End? = nil) throws {
    let head = try log.head()
    guard through < head else { return }
    try log.visit(through.next...head, .forward) { view in
      if case .position(let last)? = end, view.position > last { return false }
      through = view.position
      guard view.record.channel == .persistent else { return true }
      let record = try Record(view.record)
      if case .time(let last)? = end, record.time > last, view.source == .stated { return false }
      // What does not decode was passed over by the nodes, too.
      if authors.contains(record.agent) { try? take(record, at: view.position) }
      return true
    }
  }

  /// What the observer knew where a log that was pruned begins, up to which position that is, and what it had of events in parts;
  /// nil where nothing was pruned, or the log has not kept it.
  public static func beginning(of log: any LogReader) throws -> (
    seat: ObserverSeat.Snapshot, through: Position, parts: EventParts
  )? {
    guard try log.gaps().contains(where: { $0.kind == .pruned }),
      let known = try TopologySnapshot.read(in: log), let seat = known.seat
    else { return nil }
    return (seat, Position(rawValue: known.through), known.parts ?? EventParts())
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
    // Links begin anew with a revision of the file.
    guard !topology.isOutdated(header.authority.policyVersion), let record = parts.take(record) else {
      return
    }
    func note(_ content: Content) {
      entries.append(
        Entry(
          position: position, time: header.time, event: header.id, cause: header.causation,
          authority: header.authority, content: content))
    }
    defer { try? seat?.takeQuestions(record) }
    switch header.type {
    case QuestionsChanged.eventType:
      let event = try QuestionsChanged.decode(record)
      // What is of a term of the seat that is over has changed nothing.
      if questions.apply(event) { note(.questions(.changed(event))) }
    case QuestionsSuggested.eventType:
      note(.questions(.suggested(try QuestionsSuggested.decode(record))))
    case QuestionRuleRefused.eventType:
      note(.questions(.refused(try QuestionRuleRefused.decode(record))))
    case QuestionRuleAsked.eventType: note(.askedQuestions(try QuestionRuleAsked.decode(record)))
    case FlowReported.eventType:
      let report = try FlowReported.decode(record)
      observedCount += report.pairs.reduce(0) { $0 + $1.count }
      reportedAt = max(reportedAt, header.time)
      seat?.take(report, header.id, correlation: header.correlation)
    case LoadReported.eventType:
      let report = try LoadReported.decode(record)
      loads[report.node] = report
      seat?.take(report)
    case DecisionsReported.eventType:
      let report = try DecisionsReported.decode(record)
      if report.node.author == header.agent { seat?.take(report, at: header.time) }
    case FindingsChanged.eventType:
      let event = try FindingsChanged.decode(record)
      seat?.confirm(event)
      let term = event.term ?? 1
      guard term >= findingsTerm else { return }
      if term > findingsTerm { (findingsTerm, findings) = (term, [:]) }
      for topic in event.ended { findings[topic] = nil }
      for finding in event.began {
        findings[finding.topic] = FoundThing(finding: finding, since: header.time)
      }
      note(.found(event))
    case RuleAsked.eventType:
      let event = try RuleAsked.decode(record)
      seat?.take(
        event, header.id, correlation: header.correlation, at: (header.agent, record.point))
      note(.asked(event))
    case LinksChanged.eventType:
      let event = try LinksChanged.decode(record)
      seat?.confirm(
        event, cause: header.causation, id: header.id, correlation: header.correlation, at: header.time)
      // What is of a term of the seat that is over has changed nothing.
      if live.apply(event, at: header.time) { note(.changed(event)) }
    case LinksSuggested.eventType:
      let event = try LinksSuggested.decode(record)
      seat?.confirm(event, cause: header.causation)
      note(.suggested(event))
    case RuleRefused.eventType:
      let event = try RuleRefused.decode(record)
      seat?.confirmUnchanged(cause: header.causation, term: event.term)
      note(.refused(event))
    case SeatSuperseded.eventType:
      let event = try SeatSuperseded.decode(record)
      seat?.confirm(event, cause: header.causation)
      note(.superseded(event))
    default: break
    }
  }
}
