public import HyphaCore
public import HyphaTransport
internal import Synchronization

/// The transport on ZeroMQ: frames over XPUB and SUB, control messages over ROUTER and DEALER.
///
/// Two threads own the sockets: *urgent* has alert and realtime, *bulk* has control and persistent at a
/// raised nice value, so that neither its work nor libzmq's behind it stands before what is urgent. Other
/// threads only append to bounded queues, which drop and count what does not fit. The receiver is called on
/// these two threads; what it sends from there leaves without a wake-up.
///
/// ``TransportReceiver/linksChanged(_:plan:missing:)`` is called for a channel whenever a link opens or closes: once
/// after the start, and again when a neighbour was lost and has come back.
///
/// Where the plan has keys, every TCP link is encrypted and authenticated by CurveZMQ: only nodes of the plan come in,
/// each under its own name, and a neighbour is only taken for itself. Without keys TCP links stay on the loopback device
/// unless the plan says otherwise. Unix-domain sockets are for processes of the same user.
public final class ZMQTransport: Transport {
  private enum Phase {
    case idle
    case running([LinkThread])
    case stopped([LinkThread])
  }

  private let plan: LinkPlan
  private let options: Options
  private let tally = Counters()
  private let urgent: LinkThread
  private let bulk: LinkThread
  private let phase = Mutex(Phase.idle)

  /// A transport for the links of `plan` that has not opened anything yet.
  ///
  /// - Throws: ``HyphaError/Code/transportFailed`` when the process has no descriptors left.
  public init(plan: LinkPlan, options: Options = Options()) throws {
    self.plan = plan
    self.options = options
    urgent = try LinkThread(.urgent, options)
    bulk = try LinkThread(.bulk, options)
  }

  deinit { stop() }

  /// Binds the node's four endpoints, connects to its neighbours, and begins to call `receiver`, which it
  /// keeps until it stops. A transport starts once.
  ///
  /// - Throws: ``HyphaError/Code/addressInUse`` and ``HyphaError/Code/transportFailed``, naming the endpoint
  ///   or the runtime directory; nothing stays open then.
  public func start(_ receiver: any TransportReceiver) throws {
    try phase.withLock { phase in
      guard case .idle = phase else {
        throw HyphaError(
          .transportFailed, "the transport of node \(plan.node) was started before", remedy: "make another")
      }
      phase = .stopped([])
      let endpoints = try plan.addresses.reduce(into: [NodeID: Endpoints]()) { endpoints, entry in
        let address = entry.key == plan.node ? plan.listen ?? entry.value : entry.value
        endpoints[entry.key] = try Endpoints(
          entry.key, at: address, runtimeDirectory: options.runtimeDirectory)
      }
      let former = try former.map {
        try Endpoints(plan.node, at: $0, runtimeDirectory: options.runtimeDirectory)
      }
      try checkExposure()
      let lock = try prepareDirectory()
      // Each thread holds the lock for itself, as long as it has sockets.
      defer { lock?.leave() }
      do {
        try urgent.open(plan, options, endpoints, former, tally, lock, receiver)
        do {
          try bulk.open(plan, options, endpoints, former, tally, lock, receiver)
        } catch {
          urgent.beginStop()
          urgent.waitForStop()
          throw error
        }
      } catch {
        leaveDirectory()
        throw error
      }
      phase = .running([urgent, bulk])
    }
    urgent.begin()
    bulk.begin()
  }

  /// Where the node listens beside its address, without what is listened at with that.
  private var former: [NodeAddress] {
    guard let own = plan.listen ?? plan.addresses[plan.node] else { return [] }
    return plan.former.filter { former in
      // A socket asks for keys everywhere or nowhere.
      !own.covers(former) && (plan.security == nil || (own == .local) == (former == .local))
    }
  }

  /// Whether the node, or another one, is in the runtime directory.
  private var isLocal: (node: Bool, any: Bool) {
    let isLocal = plan.addresses[plan.node] == .local || former.contains(.local)
    return (isLocal, isLocal || plan.addresses.values.contains(.local))
  }

  /// Refuses plain links that would leave this machine without anybody having said so.
  private func checkExposure() throws {
    guard plan.security == nil, !plan.allowsPlain else { return }
    let own = (plan.listen.map { [$0] } ?? []) + former
    let addresses = plan.addresses.sorted { $0.key < $1.key } + own.map { (plan.node, $0) }
    guard case let (node, .tcp(host, port))? = addresses.first(where: { !$0.1.isLoopback }) else { return }
    throw HyphaError(
      .transportFailed,
      "node \(node) is at \(host):\(port), which other machines reach, and links have no keys",
      remedy: "give the nodes keys ('hypha keys generate'), or allow it: 'security: {plain: allowed}'")
  }

  /// Checks the runtime directory where any node is in it, and locks this node's sockets where it is.
  private func prepareDirectory() throws -> NodeLock? {
    guard isLocal.any else { return nil }
    try RuntimeDirectory.prepare(options.runtimeDirectory)
    guard isLocal.node else { return nil }
    return try NodeLock(locking: plan.node, in: options.runtimeDirectory)
  }

  /// Removes the runtime directory that was made for the neighbours, where none of them is in it. A node that is in
  /// it itself does so with its lock.
  private func leaveDirectory() {
    guard isLocal.any, !isLocal.node else { return }
    RuntimeDirectory.removeIfEmpty(options.runtimeDirectory)
  }

  public func send(_ frames: [OutboundFrame]) -> [OutboundFrame] {
    send(frames, over: urgent) + send(frames, over: bulk)
  }

  private func send(_ frames: [OutboundFrame], over thread: LinkThread) -> [OutboundFrame] {
    if frames.count == 1, thread.share == .urgent, thread.share.channels.contains(frames[0].channel),
      thread.direct.send(frames[0])
    {
      return []
    }
    let items = frames.compactMap { frame in
      thread.share.channels.contains(frame.channel)
        ? OutboundQueue.Item(kind: .frame(frame.channel), node: frame.node, bytes: frame.bytes) : nil
    }
    guard !items.isEmpty else { return [] }
    let dropped = enqueue(items, on: thread)
    tally.add(framesDropped: dropped.count)
    return dropped.compactMap { item in
      guard case .frame(let channel) = item.kind else { return nil }
      return OutboundFrame(node: item.node, channel: channel, bytes: item.bytes)
    }
  }

  public func send(_ run: OutboundRun) -> [OutboundFrame] {
    let thread = urgent.share.channels.contains(run.channel) ? urgent : bulk
    if thread.share == .urgent, thread.direct.send(run) { return [] }
    guard !thread.queue.append([.run(run)], to: ThreadShare.lane).isEmpty else { return [] }
    let dropped = run.drop()
    tally.add(framesDropped: dropped.count)
    return dropped
  }

  public func request(_ message: [UInt8], of node: NodeID) {
    let item = OutboundQueue.Item(kind: .request, node: node, bytes: message)
    tally.add(messagesDropped: enqueue([item], on: bulk).count)
  }

  public func reply(_ message: [UInt8], to node: NodeID) {
    let item = OutboundQueue.Item(kind: .answer, node: node, bytes: message)
    tally.add(messagesDropped: enqueue([item], on: bulk).count)
  }

  /// Returns what was dropped: for want of room, or because no peer would take its size.
  private func enqueue(_ items: [OutboundQueue.Item], on thread: LinkThread) -> [OutboundQueue.Item] {
    func fits(_ item: OutboundQueue.Item) -> Bool { item.bytes.count <= options.messageByteCountMax }
    return items.filter { !fits($0) } + thread.queue.append(items.filter(fits), to: ThreadShare.lane)
  }

  public func update(_ plan: LinkPlan) {
    urgent.queue.change(to: plan)
    bulk.queue.change(to: plan)
  }

  public var counters: TransportCounters { tally.value }

  /// Sends what waits, for ``Options/linger`` at most, and closes every socket. May be called again, and
  /// from several threads; each call returns when all is closed. Called from a callback of the receiver, it
  /// does not wait for the thread of that callback.
  public func stop() {
    let threads = phase.withLock { phase in
      switch phase {
      case .idle: phase = .stopped([])
      case .running(let threads): phase = .stopped(threads)
      case .stopped: break
      }
      if case .stopped(let threads) = phase { return threads }
      return []
    }
    threads.forEach { $0.beginStop() }
    threads.forEach { $0.waitForStop() }
    if !threads.isEmpty { leaveDirectory() }
  }
}

extension NodeAddress {
  /// Whether who listens here listens there, too.
  fileprivate func covers(_ other: NodeAddress) -> Bool {
    guard case .tcp(_, let port) = self, case .tcp(_, let otherPort) = other else { return self == other }
    return self == other || isWildcard && port == otherPort
  }
}
