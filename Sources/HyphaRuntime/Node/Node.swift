public import HyphaCore
public import HyphaLog
public import HyphaTopology
public import HyphaTransport
import Synchronization

/// One process's part of a deployment: a log, a transport, and the agents that the topology places on it.
///
/// A node decides in pure machines (``Courier``, ``CatchUpClient``, the lanes' receivers) and acts here. It
/// runs on real threads over LMDB and ZeroMQ as it does in a simulation over the in-memory twins.
public final class Node: Sendable {
  /// What a node needs to know.
  public struct Configuration: Sendable {
    /// Who is in the deployment.
    public var topology: Topology
    /// This node's name in it.
    public var node: NodeID
    /// The kinds of agents that this program can run.
    public var kinds: KindRegistry
    /// Sizes that nothing may exceed.
    public var limits: WireLimits
    /// The size from which on what nodes state of the topology goes in parts; nil where that follows from the limits.
    package var ownByteCountMax: Int?
    /// From which all of the node's chance follows.
    public var seed: UInt64
    /// How long agents wait for the links at the start before they begin without.
    public var linkPatience: Duration
    /// Signs what the node states and checks what others have signed; nil where nodes have no keys, and nothing that
    /// relays bring is checked.
    public var notary: (any Notary)?
    /// Where the agents' calls are noted, so that the node's next start knows in which ones a trap has ended this one; nil for
    /// nowhere.
    public var calls: CallJournal?
    /// The protocol versions that it speaks; other than this program's where nodes of other versions are played.
    public var versions = Greeting.spokenVersions
    /// The file that the topology is from, for the log to keep and for others to replace; nil where there is none.
    public var file: TopologyText?
    /// Who has said that the node is to begin without waiting for its replicas where its log is empty; nil where it waits.
    public var beginsWithoutReplicas: AgentID?

    /// A configuration with the usual limits.
    public init(
      topology: Topology, node: NodeID, kinds: KindRegistry, limits: WireLimits = .standard,
      seed: UInt64 = 1, linkPatience: Duration = .seconds(5), notary: (any Notary)? = nil,
      calls: CallJournal? = nil
    ) {
      self.calls = calls
      self.topology = topology
      self.node = node
      self.kinds = kinds
      self.limits = limits
      self.seed = seed
      self.linkPatience = linkPatience
      self.notary = notary
    }
  }

  struct State {
    var clock = HybridClock()
    var random: SeededGenerator
    var client: CatchUpClient
    var runners: [AgentID: any AgentRunner] = [:]
    /// The same in the order of the topology.
    var runnerOrder: [any AgentRunner] = []
    var handlersLookedAt = Timestamp.zero
    var tasks: [Task<Void, Never>] = []
    var publishedCounts: [Channel: UInt64] = [:]
    var publishedPairCounts: [Channel: UInt64] = [:]
    var relayCounts: [AgentID: RelayCount] = [:]
    /// What earlier runs of the log have counted of losses.
    var earlierLosses: NodeLosses?
    var lossesSavedAt = Timestamp.zero
    var lossesSaidAt = Timestamp.zero
    var lossesSaved: UInt64 = 0
    /// Who waits for which commit: a simulated death answers them.
    var commits: [UInt64: CheckedContinuation<Void, any Error>] = [:]
    var commitCount: UInt64 = 0
    /// Received events that the log has been given and has not answered for.
    var untakenCount = 0
    /// Whether the deployment may have gone on to another file before this node's log began: until the node has answered that orders
    /// files by its own.
    var mayBeAdded = false
    /// How many times the status was asked for.
    var reportCount: UInt64 = 0
    /// Whether agents of this node have worked before.
    var hasRestarted = false
    var notes: [String] = []
    /// Frames of nodes whose greeting did not fit.
    var unfitFrameCount: UInt64 = 0
    /// What others do that is refused: they choose the texts, and there is no end of them.
    var refusals = RefusalLog()
    /// Reads what several agents' states have still to evolve by.
    var statePass: StatePass?
    var openChannels: Set<Channel> = []
    var whenOpen: CheckedContinuation<Void, Never>?
    var isStopped = false

    mutating func relayCount(of agent: AgentID) -> RelayCount {
      if let known = relayCounts[agent] { return known }
      let count = RelayCount()
      relayCounts[agent] = count
      return count
    }
  }

  let configuration: Configuration
  /// That of its topology, which every agent states when it starts.
  let fingerprint: String
  /// When this node was made, in microseconds since 1970.
  let began: UInt64
  let log: any EventLog
  let scheduler: any Scheduler
  let routes: RouteTable
  let transport: any Transport
  let server: CatchUpServer
  let couriers: [Channel: CourierBox]
  /// What waits for this node's replicas; nil where it has none.
  let replication: ReplicationDesk?
  /// What its replicas are asked before it begins; nil where its log has a history.
  let rejoin: RejoinDesk?
  /// What its agents are not given again since the node's disk was lost.
  let handledBefore: HandledBefore
  /// How fast persistent lanes are repaired.
  let repair = Mutex(RepairPace())
  /// Frames that came since the node started, by neighbour.
  let receivedFrameCounts = Mutex<[NodeID: UInt64]>([:])
  let alerts = AlertAppends()
  /// Has what came by way of others confirmed by its origin; nil where nodes have no keys.
  let auditor: RelayAuditor?
  let desk: AlertDesk
  let desks:
    (
      topology: TopologyDesk, membership: MembershipDesk, oversight: OversightDesk, own: NodeStream,
      moves: MoveDesk, fencing: FencingDesk, shared: SharedDesk, ambient: AmbientDesk
    )
  /// What agents that were moved here, or whose places were made anew, had handled before.
  let elsewhere: [AgentID: HandledElsewhere]
  /// What becomes of the agents' places with a newer topology file.
  let revision: RevisionStart
  let ledger = LossLedger()
  /// When this node signs its log's head.
  let heads = Mutex(HeadPace())
  let state: Mutex<State>
  /// Realtime events that agents of this node have published, and the same once for each agent that one is for.
  let realtimeCount = Atomic<UInt64>(0)
  let realtimePairCount = Atomic<UInt64>(0)
  let executor: any TaskExecutor

  /// How often fetches and questions are looked at.
  static var tickInterval: Duration { .milliseconds(25) }

  /// A node that has not started.
  ///
  /// - Parameter executor: where agents run; nil means the threads that all nodes of the process share.
  /// - Throws: what reading the log throws; ``HyphaError/Code/invalidTopology`` where the topology has no
  ///   such node.
  public init(
    _ configuration: Configuration, log: any EventLog, transport: any Transport, scheduler: some Scheduler,
    executor: (any TaskExecutor)? = nil
  ) throws {
    guard configuration.topology.node(configuration.node) != nil else {
      throw HyphaError(
        .invalidTopology,
        "the topology '\(configuration.topology.name)' has no node '\(configuration.node)'",
        remedy: "use one of \(configuration.topology.nodes.map(\.id.text).joined(separator: ", "))")
    }
    let moves = try MoveDesk(configuration.topology, node: configuration.node, log: log)
    let topology = moves.topology
    var configuration = configuration
    configuration.topology = topology
    self.configuration = configuration
    fingerprint = topology.fingerprint
    began = scheduler.microseconds()
    self.log = log
    self.transport = transport
    self.scheduler = scheduler
    self.executor = executor ?? AgentExecutor.shared
    let routes = RouteTable(
      node: configuration.node, topology: topology, moving: moves.moving, versions: configuration.versions)
    self.routes = routes
    let replicas = topology.node(configuration.node)?.replicas ?? ReplicationSettings()
    replication = replicas.nodes.isEmpty ? nil : ReplicationDesk(replicas)
    rejoin = try RejoinDesk(configuration, log: log, now: Timestamp(microseconds: scheduler.microseconds()))
    handledBefore = try HandledBefore(in: log, arrived: moves.handovers)
    let moveCount = moves.state.withLock { $0.reading.moves.moves.count + $0.reading.arrivals.count }
    server = try CatchUpServer(
      log: log, routes: routes, notary: configuration.notary,
      moveCount: moveCount + moves.adopted.count + Int(topology.revision - 1) << 24)
    let head = try log.head().next
    let revision = try RevisionStart(configuration, moves, routes, log: log)
    self.revision = revision
    elsewhere = revision.elsewhere
      .merging(moves.adopted.mapValues { HandledElsewhere(head, $0.handover.allHandled) }) { $1 }
    auditor = try configuration.notary.map { try RelayAuditor(log: log, routes: routes, notary: $0) }
    let own = topology.agents(on: configuration.node).map(\.id).filter { !routes.isArriving($0) }
    let audience = AlertAudience(topology, of: configuration.kinds.alertTypes(in: topology), agents: own)
    desk = AlertDesk(
      AlertTracker(audience, settings: topology.alerts) { topology.agent($0)?.reportsTo })
    desks = (
      try TopologyDesk(
        topology, node: configuration.node, now: Timestamp(microseconds: scheduler.microseconds())),
      MembershipDesk(topology, node: configuration.node, now: scheduler.microseconds()),
      OversightDesk(
        topology, node: configuration.node, departed: Set(moves.moving.departed.keys),
        now: Timestamp(microseconds: scheduler.microseconds())),
      NodeStream(), moves, try FencingDesk(log),
      SharedDesk(topology.agents(on: configuration.node), configuration.kinds), AmbientDesk(topology)
    )
    let (taken, newestTime) = try Self.ends(of: log, takenBy: routes)
    let rights = try PublishRights(topology, configuration.kinds)
    couriers = Dictionary(
      uniqueKeysWithValues: Channel.allCases.map { channel in
        let heads = taken.filter { $0.key.channel == channel }
        let measuresAges = channel == .persistent && topology.observer.node != nil
        let courier = Courier(
          channel: channel, routes: routes, heads: heads, measuresAges: measuresAges,
          limits: channel == .realtime ? RateLimits(topology) : nil, rights: rights)
        return (channel, CourierBox(courier))
      })
    let peers = topology.presentNodes.map(\.id).filter { $0 != configuration.node }
    state = Mutex(
      State(
        clock: HybridClock(last: newestTime),
        random: SeededGenerator(seed: configuration.seed, name: configuration.node.text),
        client: CatchUpClient(
          peers: peers, greeting: .hello(routes.greeting), interval: topology.membership.heartbeat,
          own: (configuration.node, replicas.nodes), left: topology.leftNodes),
        earlierLosses: try LossReading.saved(in: log),
        mayBeAdded: topology.revision == 1
          && (head == Position.start.next || moves.state.withLock { $0.ordering == .recalls })))
  }

  /// Where the lanes of other nodes go on, and the newest time of any event in the log: the clock must not fall back
  /// behind it, whatever the machine's clock did meanwhile.
  private static func ends(of log: any EventLog, takenBy routes: RouteTable) throws
    -> (taken: [Lane: LaneReceiver], newestTime: Timestamp)
  {
    var taken: [Lane: LaneReceiver] = [:]
    // Times grow along each lane.
    var newestTime = Timestamp.zero
    for (lane, head) in try log.laneHeads() {
      let record = try log.entry(at: head.position)?.record
      newestTime = max(newestTime, record?.time ?? .zero)
      guard !routes.isOwn(lane.agent) else { continue }
      taken[lane] = LaneReceiver(head: head.point, id: record?.id ?? .none)
    }
    return (taken, newestTime)
  }

  /// The links that a node needs under a topology.
  ///
  /// - Parameter security: its key pair and the keys of the others; nil for links without keys.
  public static func linkPlan(of node: NodeID, in topology: Topology, security: LinkSecurity? = nil)
    -> LinkPlan
  {
    linkPlan(of: node, in: topology, links: Set(topology.observer.pins), security: security)
  }

  /// The links that a node needs for the tree and some direct links.
  static func linkPlan(
    of node: NodeID, in topology: Topology, links: Set<DirectLink>, security: LinkSecurity? = nil
  ) -> LinkPlan {
    let routes = Routes(topology, links: links)
    var outgoing: [NodeID: [AgentID]] = [:]
    for peer in topology.presentNodes where peer.id != node {
      if let agents = routes.links(into: peer.id)[node] { outgoing[peer.id] = agents }
    }
    // Copies travel from node to node, by the replica's own name.
    var incoming = routes.links(into: node).filter { !topology.hasLeft($0.key) }
    for origin in topology.presentNodes where origin.replicas.nodes.contains(node) {
      incoming[origin.id, default: []].append(node.author)
    }
    for replica in topology.node(node)?.replicas.nodes ?? [] {
      outgoing[replica, default: []].append(replica.author)
    }
    var plan = LinkPlan(
      node: node,
      addresses: Dictionary(uniqueKeysWithValues: topology.nodes.map { ($0.id, $0.address) }),
      incoming: incoming, outgoing: outgoing, listen: topology.node(node)?.listen,
      security: security, allowsPlain: topology.security.allowsPlain)
    plan.former = topology.formerAddresses(of: node)
    plan.places = Dictionary(uniqueKeysWithValues: topology.agents.map { ($0.id, $0.node) })
    return plan
  }

  // MARK: Life

  /// Opens the links, activates the agents in a new epoch each, and lets them work.
  ///
  /// - Throws: what the transport and the log throw; nothing runs then.
  public func start() async throws {
    if let rejoin {
      try transport.start(self)
      switch await askReplicas(rejoin) {
      case .begins: break
      case .isReplaced: return replace()
      case .isStopped: return
      }
    }
    // Mailboxes first: what arrives is delivered from the first event on.
    let runners = try await activate()
    beginMembership()
    try holdRestart { self.tellKeptMoves() }
    if let rejoin { endRejoin(rejoin) } else { try transport.start(self) }
    beginTopology()
    beginMoves()
    tick()
    let order = configuration.topology.agents.compactMap { runners[$0.id] }
    await prepareStates(of: order)
    await waitForLinks()
    guard !isStopped, superseded == nil else { return }
    state.withLock { $0.runnerOrder = order }
    let tasks = order.map { runner in
      let owner = configuration.calls?.slot(of: runner.spec.id)?.name ?? 0
      return Task(executorPreference: executor) {
        await CallSlot.$owner.withValue(owner) { await runner.run() }
      }
    }
    state.withLock { $0.tasks = tasks }
    desks.moves.state.withLock { $0.isBegun = true }
  }

  /// Lets the handlers that run come to their end, and stops. The log is left to its owner to close.
  ///
  /// - Parameter isReplaced: whether another node takes this one's place at once, so that others need not know.
  public func stop(isReplaced: Bool = false) async {
    let isSuperseded = superseded != nil
    if isReplaced || isSuperseded { await settleOwn() }
    let (runners, tasks, opening) = state.withLock { state in
      state.isStopped = true
      return (Array(state.runners.values), state.tasks, state.whenOpen.take())
    }
    opening?.resume()
    rejoin?.end(.isStopped)
    endReplication()
    // It asks the others no more, so they would soon miss it.
    endMembership(saysGoodbye: (!isReplaced || hasLeft) && !isSuperseded)
    for runner in runners { runner.stop() }
    for task in tasks { await task.value }
    // A start that was stopped in its middle leaves the rest to the next.
    if !tasks.isEmpty { await notePlaces() }
    transport.stop()
    await endLosses(runners)
  }

  var isStopped: Bool { state.withLock { $0.isStopped } }

  private func waitForLinks() async {
    scheduler.schedule(after: configuration.linkPatience) { self.proceed(giveUp: true) }
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        let isOpen = mayBegin(state) || state.isStopped
        if !isOpen { state.whenOpen = continuation }
        return isOpen
      }
      if isOpen { continuation.resume() }
    }
  }

  /// Whether what agents send finds its way open: over this node's links, and where the topology is
  /// followed over those of all others.
  private func mayBegin(_ state: borrowing State) -> Bool {
    state.openChannels.count == Channel.allCases.count && desks.topology.isReady
  }

  /// Lets the agents begin that wait for links, where they may.
  func proceed(giveUp: Bool) {
    let continuation = state.withLock { state in
      giveUp || mayBegin(state) ? state.whenOpen.take() : nil
    }
    continuation?.resume()
    if giveUp && continuation != nil {
      note("not all nodes took their links within \(configuration.linkPatience); starting without them")
    }
  }

  /// Looks after what must be asked and fetched, again and again.
  private func tick() {
    guard !isStopped else { return }
    askAndFetch()
    letLeave()
    auditRelays()
    lookAfterAlerts()
    lookAfterMembership()
    lookAfterIncarnation()
    lookAfterTopology()
    lookAfterMoves()
    lookAfterLeaving()
    lookAfterOrdering()
    lookAfterOversight()
    lookAfterHeads()
    lookAfterHandlers()
    lookAfterShared()
    lookAfterLosses()
    scheduler.schedule(after: Self.tickInterval) { self.tick() }
  }

  // MARK: Links

  func channelOpened(_ channel: Channel) {
    state.withLock { _ = $0.openChannels.insert(channel) }
    proceed(giveUp: false)
  }

  /// Tells the operator, once per text.
  public func note(_ text: String) { note(text) { $0 == text } }

  /// Tells the operator that something of another node was refused, unless others have filled the log of refusals.
  func note(refusal text: String) {
    let now = Duration.microseconds(Int64(clamping: scheduler.microseconds()))
    if state.withLock({ $0.refusals.tells(text, now: now) }) { note(text) }
  }

  /// Tells the operator of a failure, once per problem: each attempt may fail with another cause.
  func note(_ failure: any Error) {
    guard let error = failure as? HyphaError else { return note("\(failure)") }
    note("\(error)") { $0.hasPrefix("\(error.code): \(error.problem)") }
  }

  private func note(_ text: String, unless isTold: (String) -> Bool) {
    state.withLock { state in
      guard !state.notes.contains(where: isTold) else { return }
      if state.notes.count >= NodeStatus.noteCountMax { state.notes.removeFirst() }
      state.notes.append(text)
    }
  }
}

/// A courier shared by the threads that feed it.
final class CourierBox: Sendable {
  let courier: Mutex<Courier>
  /// Names that were met lately, for whoever decodes the channel's frames.
  let names = Mutex(RecordNamesCache())
  init(_ courier: Courier) { self.courier = Mutex(courier) }
}

extension Node {
  /// Ends a node whose handlers do not come to their end: what they do from now on comes to nothing, once the
  /// ``LogTenure`` of the node has ended.
  public func abandon() { halt() }

  /// Ends the node without a word, as the death of its process would.
  func halt() {
    let (runners, tasks, commits, opening) = state.withLock { state in
      state.isStopped = true
      // Agents hold on to their node, and it to them.
      defer { (state.commits, state.runners, state.runnerOrder, state.tasks) = ([:], [:], [], []) }
      state.statePass = nil
      let commits = state.commits.sorted { $0.key < $1.key }.map(\.value)
      return (Array(state.runners.values), state.tasks, commits, state.whenOpen.take())
    }
    transport.stop()
    replication?.state.withLock { ($0.actions, $0.isClosed) = ([:], true) }
    // Nothing comes of these any more, but what waits would never be let go of.
    opening?.resume()
    rejoin?.end(.isStopped)
    for commit in commits { commit.resume(throwing: CancellationError()) }
    for runner in runners { runner.stop() }
    for task in tasks { task.cancel() }
  }
}
