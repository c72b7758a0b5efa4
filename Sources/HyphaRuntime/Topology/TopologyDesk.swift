import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// What a node knows of the live topology, and what of that is on its way.
final class TopologyDesk: Sendable {
  struct State {
    var live: LiveTopology
    var routeSwitch: RouteSwitch
    /// What the log has taken of the topology and was not looked at yet, in the order of the log.
    var inbox: [(record: Record, position: Position)] = []
    var isLookingAtInbox = false
    /// The causes of the seat's answers that were given to the log.
    var given: Set<EventID> = []
    /// Since when a change of what is found is on its way into the log.
    var findingsGivenAt: Timestamp?
    /// The newest plan that the transport has, the version that its links go up to, and what each channel says of it.
    var plan: (number: UInt32, through: UInt32)
    var planned: Set<DirectLink>
    var channels: [Channel: (plan: UInt32, missing: Set<AgentID>)] = [:]
    var reportedAt = Timestamp.zero
    var saidAt = Timestamp.zero
    var said: RouteSwitch.Progress?
    /// What the newest snapshot covers, and when it was made.
    var savedThrough: UInt64 = 0
    var savedAt = Timestamp.zero
    var isSaving = false
    /// The position of the newest event of the topology that was looked at.
    var seenThrough: UInt64 = 0
    /// Whether this node's seat may state what it decides: a later term may have begun while it was away, which the other
    /// node of the seat knows.
    var maySpeak = true
    /// The newest term of the seat that another node sends by.
    var heardTerm: UInt32 = 0
    /// What has come of events that are stated in parts.
    var parts = EventParts()
    /// Which branches are to be attached elsewhere, where this node may decide about that.
    var branches: BranchWatch
  }

  let state: Mutex<State>
  /// The observer, where this node has its seat. It may take a while over a report, and nobody else waits for it; who has
  /// this lock may take that of ``state``, and not the other way round.
  let seat: Mutex<ObserverSeat?>
  let meter = FlowMeter()
  let decisions = DecisionMeter()
  /// What leaves this node, and what was reported of its load.
  let load = Mutex<(watch: LoadWatch, sent: [NodeID: AgeSum])>((LoadWatch(), [:]))
  /// Whether routes may change while the node runs.
  let isLive: Bool
  /// The node that takes the seat over from this one, or has it taken over by this one; nil where there is none.
  let otherSeat: NodeID?
  /// Whether this node decides, or may come to decide, about branches.
  let watchesBranches: Bool
  private let author: AgentID
  /// What was said about links under versions below this one is of an earlier revision.
  private let oldest: UInt32

  /// How long what was counted waits at the most for a report.
  static let reportInterval = Duration.seconds(1)
  /// How often what a restart would have to read again is saved where it has changed, and after how many entries of the
  /// log it is saved even where it has not.
  static let saveInterval = Duration.seconds(10)
  static let saveEntryCount: UInt64 = 65_536
  /// After how long a change of what is found is stated again that does not come into the log: to state it twice is to state
  /// it once.
  static let findingsPatience = Duration.seconds(60)
  /// How often a node says how far it is where nothing has changed.
  static let progressInterval = Duration.milliseconds(200)

  /// The topology that a file says.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for pins that cannot be.
  init(_ topology: Topology, node: NodeID, now: Timestamp) throws {
    let policy = topology.observer
    isLive = policy.node != nil || !policy.pins.isEmpty || topology.canAttach
    let pins = Set(policy.pins)
    var routeSwitch = RouteSwitch(of: node, version: topology.version, links: pins) {
      topology.agent($0)?.node
    }
    for other in topology.presentNodes where other.id != node {
      routeSwitch.heard(other.id, .tree, now: now)
    }
    seat = Mutex(isLive ? try Self.seat(topology, at: node) : nil)
    watchesBranches = policy.seats.contains(node) || topology.branchSeat == node
    otherSeat = policy.otherSeat(than: node)
    author = node.author
    oldest = topology.revision > 1 ? topology.version : 0
    state = Mutex(
      State(
        live: LiveTopology(topology),
        routeSwitch: routeSwitch, plan: (0, topology.version), planned: pins, maySpeak: otherSeat == nil,
        branches: BranchWatch(returnAfter: topology.membership.downAfter)))
  }

  /// The seat of a node that has, or may have, the observer's; where nobody observes, that of the node which decides about branches,
  /// for versions of the routes alone.
  private static func seat(_ topology: Topology, at node: NodeID) throws -> ObserverSeat? {
    var policy = topology.observer
    let isObserved = policy.node != nil
    if !isObserved { (policy.node, policy.mode) = (topology.branchSeat, .off) }
    guard policy.seats.contains(node) else { return nil }
    if isObserved { return try ObserverSeat(topology, at: node) }
    // A hierarchy that no observer could have is not refused because of this: its branches wait.
    return try? ObserverSeat(topology.replacing(observer: policy), at: node)
  }
}

/// The live topology as a node's log keeps it, beside the snapshots of agents.
struct TopologySnapshot: Codable {
  /// The position up to which it knows all.
  var through: UInt64
  var live: LiveTopology
  /// The observer, where the node has its seat.
  var seat: ObserverSeat.Snapshot?
  /// What is ambient; nil in snapshots of versions that promoted no questions.
  var ambient: AmbientView?
  /// The revision of the topology file that all this is of; nil in snapshots of versions that knew only one.
  var revision: UInt32?
  /// What has come of events in parts; nil in snapshots of versions that had none.
  var parts: EventParts?

  /// Whether it is of the revision that a topology is.
  func isOf(_ topology: Topology) -> Bool { revision ?? 1 == topology.revision }

  /// The name under which the log keeps it.
  static let owner: AgentID = "hypha.topology"

  /// The newest one in a log; nil where there is none that this version reads.
  static func read(in log: any LogReader) throws -> TopologySnapshot? {
    try log.snapshot(of: owner).flatMap { try? JSON.decode(TopologySnapshot.self, from: $0) }
  }
}

extension TopologyDesk {
  /// Whether this node and all that it hears are ready for one version of the routes at least; true where none changes.
  var isReady: Bool { !isLive || state.withLock { $0.routeSwitch.sending != RouteSwitch.tree } }

  /// Takes up what was known at a snapshot.
  func resume(_ snapshot: TopologySnapshot) throws {
    try seat.withLock { if let known = snapshot.seat { try $0?.resume(known) } }
    state.withLock { ($0.live, $0.parts) = (snapshot.live, snapshot.parts ?? EventParts()) }
  }

  /// Whether an event of the topology is of the revision that is followed, and not of an earlier one that came late.
  private func isCurrent(_ record: Record) -> Bool { record.header.authority.policyVersion >= oldest }

  /// The event of the topology that a record is, or is the last part of; nil where there is more to come, and for what is of an
  /// earlier revision, or of the file. In the order of the log, and each once.
  func whole(_ record: Record) -> Record? {
    // Parts of what is said of files are kept by who reads that.
    guard isCurrent(record), TopologyEvents.all.contains(record.type) else { return nil }
    return state.withLock { $0.parts.take(record) }
  }

  /// Takes note of a ``whole(_:)`` event that the log has of the topology; in the order of the log, and one call at a time.
  ///
  /// - Returns: the topology that is new with it.
  func take(_ record: Record) throws -> LiveTopology? {
    try seat.withLock { seat in
      try seat?.take(record)
      try seat?.takeQuestions(record)
    }
    return try state.withLock { try $0.take(record, isOwn: record.agent == author) }
  }

  /// The seat's answers that the log was not given yet.
  func takeAnswers() -> [ObserverSeat.Answer] {
    seat.withLock { seat in
      let pending = seat?.pending ?? []
      return state.withLock { state in
        guard state.maySpeak else { return [] }
        let new = pending.filter { !state.given.contains($0.cause) }
        for answer in new { state.given.insert(answer.cause) }
        return new
      }
    }
  }
}

extension TopologyDesk {
  /// What the seat finds and the log has not; it counts as given to the log then, and nothing more is due until it is there,
  /// or ``findingsPatience`` is over.
  func takeFindings(now: Timestamp) -> FindingsChanged? {
    seat.withLock { seat in
      state.withLock { state in
        let isOnItsWay = state.findingsGivenAt.map { now.since($0) < Self.findingsPatience } ?? false
        guard !isOnItsWay, state.maySpeak, let change = seat?.findingsDue else { return nil }
        state.findingsGivenAt = now
        return change
      }
    }
  }
}

extension TopologyDesk.State {
  fileprivate mutating func take(_ record: Record, isOwn: Bool) throws -> LiveTopology? {
    let header = record.header
    guard TopologyEvents.forAll.contains(header.type) else { return nil }
    // The other node of the seat may have answered the same.
    if isOwn { given.remove(header.causation) }
    if isOwn, header.type == FindingsChanged.eventType { findingsGivenAt = nil }
    guard header.type == LinksChanged.eventType, live.apply(try LinksChanged.decode(record), at: header.time)
    else { return nil }
    return live
  }
}

extension ObserverSeat {
  /// Takes note of what a log has of the topology; in the order of the log.
  mutating func take(_ record: Record) throws {
    let header = record.header
    switch header.type {
    case FlowReported.eventType:
      take(try FlowReported.decode(record), header.id, correlation: header.correlation)
    case RuleAsked.eventType:
      take(
        try RuleAsked.decode(record), header.id, correlation: header.correlation,
        at: (header.agent, record.point))
    case LoadReported.eventType: take(try LoadReported.decode(record))
    case DecisionsReported.eventType:
      let report = try DecisionsReported.decode(record)
      if report.node.author == header.agent { take(report, at: header.time) }
    case FindingsChanged.eventType: confirm(try FindingsChanged.decode(record))
    case LinksChanged.eventType:
      confirm(
        try LinksChanged.decode(record), cause: header.causation, id: header.id,
        correlation: header.correlation, at: header.time)
    case LinksSuggested.eventType:
      confirm(try LinksSuggested.decode(record), cause: header.causation)
    case RuleRefused.eventType:
      confirmUnchanged(cause: header.causation, term: try RuleRefused.decode(record).term)
    case SeatSuperseded.eventType:
      confirm(try SeatSuperseded.decode(record), cause: header.causation)
    default: break
    }
  }
}
