internal import HyphaCore
internal import HyphaTransport

/// What one link thread does: sends what its queue has, takes what its sockets have, and waits for more.
///
/// Made, run and left on that thread. Each round sends at most ``batchCount`` items of each kind and takes
/// at most ``batchCount`` messages of each socket, so that neither direction and no peer starves another.
final class SocketLoop {
  /// How much one round does.
  static let batchCount = 256
  /// How much a stopping loop may still send.
  private static let stopRoundCountMax = 1024

  private let queue: OutboundQueue
  private let turn: LoopTurn
  private let context: SocketContext
  private let counters: Counters
  private let linger: Duration
  private let messageByteCountMax: Int
  private let authenticator: Authenticator?
  private let channels: [ChannelSockets]
  private let control: ControlSockets?
  private var connections: [Connection] = []
  private var refusals = RefusalLog()
  private let began = ContinuousClock.now
  private var hasBegun = false
  /// Whether a run of this round was so large that more are sure to come.
  private var isFlooded = false
  /// Whether a frame of this round has woken an agent that is to run on this thread.
  private var hasWoken = false
  /// Until when no agent runs on this thread, for one has taken long.
  private var restsUntil = ContinuousClock.now
  private var pollSet: PollSet
  private var outbound = OutboundQueue.Lane.allCases.map {
    (lane: $0, items: [OutboundQueue.Item](), next: 0)
  }

  /// Opens the sockets.
  init(
    _ share: ThreadShare, _ opener: SocketOpener, _ queue: OutboundQueue, _ turn: LoopTurn,
    _ counters: Counters
  )
    throws
  {
    self.queue = queue
    self.turn = turn
    context = opener.context
    self.counters = counters
    linger = opener.options.linger
    messageByteCountMax = opener.options.messageByteCountMax
    pollSet = PollSet(wakingOn: queue.flag.descriptor)
    // First: an endpoint without an authenticator takes everybody.
    authenticator = try opener.ownSecurity.map { try Authenticator($0, opener.context) }
    control = share.hasControl ? try ControlSockets(opener) : nil
    channels = try share.channels.map { try ChannelSockets($0, opener) }
    let own =
      (authenticator.map { [$0.socket] } ?? []) + (control?.sockets ?? []) + channels.flatMap(\.sockets)
    for socket in own { pollSet.add(socket) }
    for connection in channels.flatMap(\.connections) { watch(connection) }
  }

  /// Goes on until the queue is closed, or another thread has taken the turn. The turn is this thread's at the begin and, but
  /// for the waits, until then.
  ///
  /// - Returns: whether the queue is closed, and the turn still this thread's.
  func run(_ receiver: any TransportReceiver) -> Bool {
    if hasBegun {
      restsUntil = .now + Self.restAfterTakingOver
    } else {
      hasBegun = true
      for channel in channels { tellLinks(of: channel, receiver) }
    }
    while !queue.isClosed {
      if let plan = queue.takePlan() { change(to: plan, receiver) }
      let isDone = sendRound()
      for connection in control?.takeOpened() ?? [] { watch(connection) }
      if pollSet.poll(timeout: isDone ? timeToWait() : .zero, turn) { queue.flag.lower() }
      receiveRound(receiver)
      tendConnections(receiver)
      if hasWoken, !runAgents(receiver) { return false }
    }
    sendRest()
    return true
  }

  /// Closes all sockets, whoever still has the loop in hand: a thread that is long in an agent, and uses nothing of it any more.
  func close() { context.close() }

  /// How long the loop may wait once it has sent all that it had; nil without end.
  ///
  /// In a flood it rests for a moment: what is published meanwhile leaves together, and wakes nobody. So threads wake each other
  /// for some hundred events at once, at either end.
  private func timeToWait() -> Duration? {
    if isFlooded, queue.beginRest() { return Self.restTime }
    return queue.beginWait() ? timeToRenewal() : .zero
  }

  /// How long the loop rests in a flood. Alerts do not wait for that, and nothing that comes in.
  static let restTime = Duration.microseconds(50)
  /// Of how many events a run is to be for a flood: so many as come while a thread wakes.
  static let floodCountMin = 16

  // MARK: Agents

  /// Runs the agents that a lone frame has woken, on this thread: it need not wake another one for them. Meanwhile the turn is
  /// given back. Returns whether it is this thread's again.
  private func runAgents(_ receiver: any TransportReceiver) -> Bool {
    hasWoken = false
    // Neither what the frame has caused nor what they send now waits for them.
    _ = sendRound()
    if !queue.isClosed, outbound.allSatisfy({ $0.next == $0.items.count }) { _ = queue.beginWait() }
    let left = ContinuousClock.now
    let ticket = turn.leave()
    receiver.runAgents()
    guard turn.comeBack(ticket) else { return false }
    let elapsed = ContinuousClock.now - left
    if elapsed > Self.agentTimeMax { restsUntil = left + elapsed * Self.restFactor }
    return true
  }

  /// How long agents may take without others being run elsewhere for a while.
  static let agentTimeMax = Duration.microseconds(200)
  /// How long no others are run here where a thread took so long that another one took its place.
  static let restAfterTakingOver = Duration.milliseconds(200)
  /// For how many times that long.
  static let restFactor = 50

  // MARK: Connections

  private func change(to plan: LinkPlan, _ receiver: any TransportReceiver) {
    for channel in channels {
      let (opened, closed, failures) = channel.change(to: plan)
      for connection in closed {
        connections.removeAll { $0 === connection }
        connection.sockets.forEach { pollSet.remove($0) }
        connection.sockets.forEach { context.close($0) }
      }
      opened.forEach { watch($0) }
      tell(receiver, of: failures)
      tellLinks(of: channel, receiver)
    }
  }

  private func tellLinks(of channel: ChannelSockets, _ receiver: any TransportReceiver) {
    guard !queue.isClosed else { return }
    receiver.linksChanged(channel.channel, plan: channel.planNumber, missing: channel.missing)
  }

  private func watch(_ connection: Connection) {
    connections.append(connection)
    connection.sockets.forEach { pollSet.add($0) }
  }

  /// How long the loop may wait before a connection is to be opened anew; nil where none is.
  private func timeToRenewal() -> Duration? {
    connections.compactMap(\.renewal).min().map { max(.zero, $0 - .now) }
  }

  private func tendConnections(_ receiver: any TransportReceiver) {
    for connection in connections {
      tell(receiver, of: connection.takeEvents())
      guard let renewal = connection.renewal, renewal <= .now else { continue }
      connection.sockets.forEach { pollSet.remove($0) }
      connection.renew()
      connection.sockets.forEach { pollSet.add($0) }
    }
  }

  // MARK: Sending

  /// Sends a part of what waits. Returns whether that was all.
  private func sendRound() -> Bool {
    var isDone = true
    isFlooded = false
    var (sentCount, framesDropped, messagesDropped) = (0, 0, control?.sendWaiting() ?? 0)
    for index in outbound.indices {
      if outbound[index].next == outbound[index].items.count {
        outbound[index].items.removeAll(keepingCapacity: outbound[index].items.capacity < 8192)
        outbound[index].next = 0
        queue.take(outbound[index].lane, into: &outbound[index].items)
      }
      let end = min(outbound[index].next + Self.batchCount, outbound[index].items.count)
      for item in outbound[index].items[outbound[index].next..<end] {
        switch item.kind {
        case .frame(let channel):
          if send(item.bytes, to: item.node, over: channel) { sentCount += 1 } else { framesDropped += 1 }
        case .run(let run):
          let (sent, dropped) = send(run)
          sentCount += sent
          framesDropped += dropped
        case .request: messagesDropped += control?.request(item.bytes, of: item.node) ?? 1
        case .answer:
          if control?.answer(item.bytes, to: item.node) != true { messagesDropped += 1 }
        }
      }
      outbound[index].next = end
      if end < outbound[index].items.count { isDone = false }
    }
    counters.add(framesSent: sentCount, framesDropped: framesDropped, messagesDropped: messagesDropped)
    return isDone
  }

  /// Sends a run. Returns how many frames of it were sent, and how many not.
  private func send(_ run: OutboundRun) -> (sentCount: Int, droppedCount: Int) {
    if run.count >= Self.floodCountMin { isFlooded = true }
    guard let frames = run.take() else { return (0, 1) }
    let sentCount = frames.count { send($0.bytes, to: $0.node, over: run.channel) }
    return (sentCount, frames.count - sentCount)
  }

  /// Sends a run in the turn of another thread, which takes the loop's place for that.
  func sendNow(_ run: OutboundRun) {
    let (sent, dropped) = send(run)
    sentNow(sent, dropped)
  }

  /// The same for a frame.
  func sendNow(_ frame: OutboundFrame) {
    let isSent = send(frame.bytes, to: frame.node, over: frame.channel)
    sentNow(isSent ? 1 : 0, isSent ? 0 : 1)
  }

  private func sentNow(_ sentCount: Int, _ droppedCount: Int) {
    counters.add(framesSent: sentCount, framesDropped: droppedCount, messagesDropped: 0)
    // Sending takes note of what came meanwhile: the loop's descriptor does not tell any more.
    for channel in channels where channel.sockets.contains(where: { !$0.isSettled && $0.look() }) {
      queue.flag.raise()
    }
  }

  private func send(_ frame: [UInt8], to node: NodeID, over channel: Channel) -> Bool {
    guard frame.count <= messageByteCountMax else { return false }
    for sockets in channels where sockets.channel == channel { return sockets.send(frame, to: node) }
    return false
  }

  /// Sends what waits when the transport stops, for a moment at most.
  private func sendRest() {
    let end = ContinuousClock.now + linger
    for _ in 0..<Self.stopRoundCountMax where ContinuousClock.now < end {
      // Once more after the last, for what was appended meanwhile.
      if sendRound() && sendRound() { return }
    }
  }

  // MARK: Receiving

  private func receiveRound(_ receiver: any TransportReceiver) {
    tell(receiver, of: authenticator?.answer(upTo: Self.batchCount) ?? [])
    if let control, !queue.isClosed {
      let received = control.receive(upTo: Self.batchCount)
      counters.add(messagesDropped: received.droppedCount, messagesRefused: received.refusedCount)
      tell(receiver, of: received.refusals, count: 0)
      tell(receiver, of: control.takeRefusals())
      if !received.requests.isEmpty { receiver.received(requests: received.requests) }
      if !received.answers.isEmpty && !queue.isClosed { receiver.received(answers: received.answers) }
    }
    for channel in channels where !queue.isClosed {
      let (frames, changed, refusals) = channel.receive(upTo: Self.batchCount)
      counters.add(framesReceived: frames.count)
      tell(receiver, of: refusals + channel.takeRefusals())
      if changed { tellLinks(of: channel, receiver) }
      if queue.isClosed { continue }
      if frames.count == 1, channel.channel != .persistent, turn.hasStandby, .now >= restsUntil {
        if receiver.received(alone: frames[0]) { hasWoken = true }
      } else if !frames.isEmpty {
        receiver.received(frames)
      }
    }
  }

  /// Counts refusals as so many peers, and tells what is new of them.
  private func tell(_ receiver: any TransportReceiver, of reasons: [String], count: Int? = nil) {
    guard !reasons.isEmpty else { return }
    counters.add(peersRefused: count ?? reasons.count)
    let now = ContinuousClock.now - began
    for reason in reasons where !queue.isClosed && refusals.tells(reason, now: now) {
      receiver.refused(reason)
    }
  }
}
