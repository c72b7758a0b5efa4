public import HyphaCore
import Synchronization

/// The in-memory twin of the network, for tests and simulation: seeded loss, doubling, delay and partitions.
///
/// Frames are delivered after a delay drawn from ``Faults/delay``; with a range of delays they overtake each
/// other. Control messages arrive in order and are lost only where a partition or a missing node stops them.
///
/// Two transports of one node may be there at once, as with a node that is started twice: both send, both get frames, and
/// each control message comes to one of them.
///
/// As on a real network, a frame reaches a node only where both ends' plans have the link and the agent that
/// its topic begins with, and the links of a node open when all of its neighbours are there, again after
/// one of them was away.
public final class MemoryNetwork: Sendable {
  /// What goes wrong, and how often.
  public struct Faults: Sendable {
    /// The share of frames that are lost, 0 to 1.
    public var loss: Double
    /// The share of frames that arrive twice, 0 to 1.
    public var duplication: Double
    /// How long a frame or message travels.
    public var delay: ClosedRange<Duration>

    /// A network that delivers everything once, in order, after 50 µs.
    public static let none = Faults()

    /// Faults by their parts.
    public init(
      loss: Double = 0, duplication: Double = 0,
      delay: ClosedRange<Duration> = .microseconds(50)...(.microseconds(50))
    ) {
      self.loss = loss
      self.duplication = duplication
      self.delay = delay
    }
  }

  private struct State {
    var random: SeededGenerator
    var faults: Faults
    var attached: [NodeID: Attachment] = [:]
    /// Those that were attached when a newer one of their node came, and still are.
    var elders: [NodeID: [Attachment]] = [:]
    var cut: Set<Set<NodeID>> = []
    var liars: [NodeID: @Sendable (OutboundFrame) -> [OutboundFrame]] = [:]
    var messageTimes: [[NodeID]: Timestamp] = [:]
    var counters: [NodeID: TransportCounters] = [:]
    var observer: (@Sendable (InboundFrame, NodeID) -> Void)?

    func isAttached(_ transport: MemoryTransport) -> Bool {
      let node = transport.plan.node
      return attached[node]?.transport === transport
        || elders[node]?.contains { $0.transport === transport } ?? false
    }

    /// Who gets a message to a node. Where two have its name an answer may come to either, as over connections that take the
    /// name from each other.
    mutating func receiver(of node: NodeID) -> Attachment? {
      guard let elders = elders[node], let newest = attached[node] else { return attached[node] }
      return (elders + [newest])[Int(random.next() % UInt64(elders.count + 1))]
    }
  }

  /// A started transport and whom it calls.
  private struct Attachment {
    var transport: MemoryTransport
    var receiver: any TransportReceiver

    func takes(_ frame: OutboundFrame, from node: NodeID) -> Bool {
      transport.plan.incoming[node]?.contains { frame.bytes.starts(with: Frame.topicPrefix(via: $0)) }
        ?? false
    }

    /// Whether it takes what another node sends for an agent.
    func takes(_ agent: AgentID, from node: NodeID) -> Bool {
      transport.plan.incoming[node]?.contains(agent) ?? false
    }
  }

  private let scheduler: any Scheduler
  private let state: Mutex<State>

  /// A network without nodes. All its chance comes from `seed`.
  public init(scheduler: some Scheduler, seed: UInt64, faults: Faults = .none) {
    self.scheduler = scheduler
    state = Mutex(State(random: SeededGenerator(seed: seed), faults: faults))
  }

  /// The transport of one node on this network.
  public func transport(for plan: LinkPlan) -> any Transport { MemoryTransport(self, plan) }

  /// Changes what goes wrong from now on.
  public func setFaults(_ faults: Faults) { state.withLock { $0.faults = faults } }

  /// Stops everything between two nodes, or lets it pass again.
  public func setCut(_ isCut: Bool, between first: NodeID, and second: NodeID) {
    state.withLock { state in
      if isCut { state.cut.insert([first, second]) } else { state.cut.remove([first, second]) }
    }
  }

  /// Has a node send other frames than it means to; nil lets it be honest again.
  public func setLie(_ lie: (@Sendable (OutboundFrame) -> [OutboundFrame])?, of node: NodeID) {
    state.withLock { $0.liars[node] = lie }
  }

  fileprivate func attach(_ transport: MemoryTransport, _ receiver: any TransportReceiver) {
    let node = transport.plan.node
    let others = state.withLock { state in
      if let elder = state.attached[node] { state.elders[node, default: []].append(elder) }
      state.attached[node] = Attachment(transport: transport, receiver: receiver)
      // The newcomer itself, and those who waited for it.
      return state.attached.values.map(\.transport).filter {
        $0 === transport || $0.plan.outgoing[node] != nil
      }
    }
    others.sorted { $0.plan.node < $1.plan.node }.forEach(tellLinks)
  }

  fileprivate func changed(_ transport: MemoryTransport) {
    let others = state.withLock { state in
      state.attached.values.map(\.transport).filter {
        $0 === transport || $0.plan.outgoing[transport.plan.node] != nil
      }
    }
    others.sorted { $0.plan.node < $1.plan.node }.forEach(tellLinks)
  }

  /// Tells a node, a little later, what has become of its links.
  private func tellLinks(of transport: MemoryTransport) {
    let (plan, attached, wait) = (
      transport.plan, state.withLock { $0.attached }, state.withLock { $0.faults.delay.lowerBound }
    )
    let missing = Set(
      plan.outgoing.flatMap { node, agents in
        agents.filter { !(attached[node]?.takes($0, from: plan.node) ?? false) }
      })
    guard transport.isNews(plan.number, missing) else { return }
    schedule(to: plan.node, isForAll: true, after: wait) { current in
      guard current.transport === transport else { return }
      for channel in Channel.allCases {
        current.receiver.linksChanged(channel, plan: plan.number, missing: missing)
      }
    }
  }

  fileprivate func detach(_ transport: MemoryTransport) {
    let others = state.withLock { state -> [MemoryTransport] in
      let node = transport.plan.node
      let elders = state.elders[node] ?? []
      guard state.attached[node]?.transport === transport else {
        let left = elders.filter { $0.transport !== transport }
        state.elders[node] = left.isEmpty ? nil : left
        return []
      }
      state.attached[node] = elders.last
      state.elders[node] = elders.count > 1 ? elders.dropLast() : nil
      return state.attached.values.map(\.transport).filter { $0.plan.outgoing[node] != nil }
    }
    others.sorted { $0.plan.node < $1.plan.node }.forEach(tellLinks)
  }

  fileprivate func counters(of node: NodeID) -> TransportCounters {
    state.withLock { $0.counters[node] ?? TransportCounters() }
  }

  /// Calls `observer` with each frame that arrives, and the node it arrives at, before that node gets it.
  public func onArrival(_ observer: @escaping @Sendable (InboundFrame, NodeID) -> Void) {
    state.withLock { $0.observer = observer }
  }

  fileprivate func send(_ frames: [OutboundFrame], from transport: MemoryTransport) -> [OutboundFrame] {
    let node = transport.plan.node
    var dropped: [OutboundFrame] = []
    let lie = state.withLock { $0.liars[node] }
    for frame in lie.map({ frames.flatMap($0) }) ?? frames {
      let delays = state.withLock { state -> [Duration] in
        guard state.isAttached(transport), transport.plan.outgoing[frame.node] != nil else {
          state.counters[node, default: .init()].framesDropped += 1
          dropped.append(frame)
          return []
        }
        state.counters[node, default: .init()].framesSent += 1
        let copies = state.random.chance(state.faults.duplication) ? 2 : 1
        return (0..<copies).compactMap { _ in
          state.random.chance(state.faults.loss) ? nil : state.random.duration(in: state.faults.delay)
        }
      }
      for delay in delays {
        schedule(from: node, to: frame.node, isForAll: true, after: delay) { other in
          guard other.takes(frame, from: node) else { return }
          let inbound = InboundFrame(from: node, channel: frame.channel, bytes: frame.bytes)
          let observer = self.state.withLock { state in
            state.counters[frame.node, default: .init()].framesReceived += 1
            return state.observer
          }
          observer?(inbound, frame.node)
          other.receiver.received([inbound])
        }
      }
    }
    return dropped
  }

  fileprivate enum MessageKind { case request, answer }

  fileprivate func send(
    _ message: [UInt8], _ kind: MessageKind, from transport: MemoryTransport, to other: NodeID
  ) {
    let node = transport.plan.node
    let wait = state.withLock { state -> Duration? in
      guard state.isAttached(transport), transport.plan.addresses[other] != nil else {
        state.counters[node, default: .init()].messagesDropped += 1
        return nil
      }
      // Later than the message before it, so that the order holds.
      let now = Timestamp(microseconds: scheduler.microseconds())
      let drawn = state.random.duration(in: state.faults.delay)
      let last = state.messageTimes[[node, other]] ?? now
      let wait = max(drawn, last.since(now) + .microseconds(1))
      state.messageTimes[[node, other]] = Timestamp(microseconds: now.microseconds + wait.wholeMicroseconds)
      return wait
    }
    guard let wait else { return }
    schedule(from: node, to: other, after: wait) { attachment in
      guard attachment.transport.plan.addresses[node] != nil else { return }
      let inbound = [PeerMessage(node: node, bytes: message)]
      switch kind {
      case .request: attachment.receiver.received(requests: inbound)
      case .answer: attachment.receiver.received(answers: inbound)
      }
    }
  }

  /// Calls `body` later with the transport that `other` has then, unless a partition stands before it.
  private func schedule(
    from node: NodeID? = nil, to other: NodeID, isForAll: Bool = false, after delay: Duration,
    _ body: @escaping @Sendable (Attachment) -> Void
  ) {
    scheduler.schedule(after: delay) {
      let attachments = self.state.withLock { state -> [Attachment] in
        if let node, state.cut.contains([node, other]) { return [] }
        let elders = isForAll ? state.elders[other] ?? [] : []
        return elders + [isForAll ? state.attached[other] : state.receiver(of: other)].compactMap(\.self)
      }
      for attachment in attachments { body(attachment) }
    }
  }
}

/// One node's end of a ``MemoryNetwork``.
private final class MemoryTransport: Transport {
  private let network: MemoryNetwork
  private let currentPlan: Mutex<LinkPlan>
  private let told = Mutex<(number: UInt32, missing: Set<AgentID>)?>(nil)
  private let isStopped = Mutex(false)

  init(_ network: MemoryNetwork, _ plan: LinkPlan) {
    self.network = network
    currentPlan = Mutex(plan)
  }

  var plan: LinkPlan { currentPlan.withLock { $0 } }

  /// Whether the receiver was not told just that.
  func isNews(_ number: UInt32, _ missing: Set<AgentID>) -> Bool {
    told.withLock { told in
      defer { told = (number, missing) }
      return told.map { $0 != (number, missing) } ?? true
    }
  }

  func update(_ plan: LinkPlan) {
    currentPlan.withLock { $0 = plan }
    network.changed(self)
  }

  func start(_ receiver: any TransportReceiver) throws {
    // The start of a node that died meanwhile.
    if !isStopped.withLock({ $0 }) { network.attach(self, receiver) }
  }
  func send(_ frames: [OutboundFrame]) -> [OutboundFrame] { network.send(frames, from: self) }
  func request(_ message: [UInt8], of node: NodeID) { network.send(message, .request, from: self, to: node) }
  func reply(_ message: [UInt8], to node: NodeID) { network.send(message, .answer, from: self, to: node) }
  var counters: TransportCounters { network.counters(of: plan.node) }
  func stop() {
    isStopped.withLock { $0 = true }
    network.detach(self)
  }
}
