import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// What a node whose log is empty has asked its replicas, until it may begin.
///
/// A node that has got something back has itself started anew, on the same log: all that it knows it reads from there.
final class RejoinDesk: Sendable {
  /// How asking has ended.
  enum Ending { case begins, isReplaced, isStopped }

  struct State {
    var machine: RejoinMachine
    /// Batches that the log has been given and has not answered for.
    var openCount = 0
    var takenCount: UInt64 = 0
    /// Whether what was found is on its way into the log.
    var isEnding = false
    var ending: Ending?
    var continuation: CheckedContinuation<Ending, Never>?
    var toldOf = ""
  }

  private let isAsking = Atomic<Bool>(true)
  let state: Mutex<State>
  /// What the transport said of links meanwhile; nil once it is taken as it comes.
  let links = Mutex<[Channel: (plan: UInt32, missing: Set<AgentID>)]?>([:])

  /// Nil for a node that has nothing to ask: its log has a history, or it has no replicas.
  init?(_ configuration: Node.Configuration, log: any EventLog, now: Timestamp) throws {
    let (topology, node) = (configuration.topology, configuration.node)
    guard let settings = topology.node(node)?.replicas, !settings.nodes.isEmpty else { return nil }
    let (record, end) = (try RejoinRecord.read(in: log), try log.head())
    guard record.map({ !$0.isDone }) ?? (end == .start) else { return nil }
    var heads: [Lane: LaneReceiver] = [:]
    for (lane, head) in try log.laneHeads() {
      heads[lane] = LaneReceiver(head: head.point, id: try log.entry(at: head.position)?.record.id ?? .none)
    }
    let machine = RejoinMachine(
      node, settings, isWaived: configuration.beginsWithoutReplicas != nil, heads: heads, now: now)
    var state = State(machine: machine)
    state.takenCount = end.rawValue
    self.state = Mutex(state)
  }

  /// Whether the node asks still, and does nothing else.
  var isOpen: Bool { isAsking.load(ordering: .acquiring) }

  func close() { isAsking.store(false, ordering: .releasing) }

  /// Ends asking, once; on any thread.
  func end(_ ending: Ending) {
    let continuation = state.withLock { state -> CheckedContinuation<Ending, Never>? in
      guard state.ending == nil else { return nil }
      state.ending = ending
      return state.continuation.take()
    }
    continuation?.resume(returning: ending)
  }
}

/// A node that has lost its disk, or never had one, and asks its replicas before it begins.
extension Node {
  /// Whether the node asks its replicas still what they have of it; nothing of it is at work.
  public var isRejoining: Bool { rejoin?.isOpen ?? false }

  /// Asks the replicas, and returns when that has come to its end. The transport runs.
  func askReplicas(_ desk: RejoinDesk) async -> RejoinDesk.Ending {
    lookAfterRejoin(desk)
    return await withCheckedContinuation { continuation in
      let ending = desk.state.withLock { state in
        if state.ending == nil { state.continuation = continuation }
        return state.ending
      }
      if let ending { continuation.resume(returning: ending) }
    }
  }

  /// Takes up what the transport has said since it was started: the node works from now on.
  func endRejoin(_ desk: RejoinDesk) {
    desk.links.withLock { links in
      desk.close()
      for channel in Channel.allCases {
        guard let known = links?[channel] else { continue }
        takeLinks(channel, plan: known.plan, missing: known.missing)
      }
      links = nil
    }
  }

  private func lookAfterRejoin(_ desk: RejoinDesk) {
    guard desk.isOpen, !isStopped, desk.state.withLock({ $0.ending == nil }) else { return }
    goOn(desk)
    let isNew = now().since(Timestamp(microseconds: began)) < RejoinMachine.grace
    scheduler.schedule(after: .milliseconds(isNew ? 10 : 100)) { self.lookAfterRejoin(desk) }
  }

  /// Asks what is due, and ends where there is nothing more to ask.
  private func goOn(_ desk: RejoinDesk) {
    let now = now()
    var due: [(node: NodeID, question: ControlMessage)] = []
    var findings: RejoinMachine.Findings?
    var waiting: String?
    desk.state.withLock { state in
      guard !state.isEnding, state.ending == nil else { return }
      due = state.machine.due(now: now, isSettled: state.openCount == 0)
      findings = state.machine.findings(now: now, isSettled: state.openCount == 0)
      if findings != nil { state.isEnding = true } else { waiting = wait(state.machine, &state.toldOf) }
    }
    for (node, question) in due {
      if case .copies = question {
        transport.request(ControlMessage.hello(routes.greeting).encoded(), of: node)
      }
      transport.request(question.encoded(), of: node)
    }
    if let waiting { note(waiting) }
    if let findings { end(desk, findings) }
  }

  /// What the operator is told while answers are missing; nil where that was told.
  private func wait(_ machine: RejoinMachine, _ told: inout String) -> String? {
    let (nodes, needed) = machine.waiting
    let names = nodes.map(\.text).joined(separator: ", ")
    let isLong = now().since(Timestamp(microseconds: began)) >= RejoinMachine.grace
    guard !nodes.isEmpty, names != told, let needed, isLong else { return nil }
    told = names
    return "the log is empty, and replicas may have what this node has stated: it waits for \(names) "
      + "(\(needed) of \(replicas.nodes.count) replicas must answer); start these, or run this node with "
      + "--without-replicas to begin with what the others have"
  }

  // MARK: Messages

  /// Answers other nodes that ask the same: this one has nothing of them. Nothing else is answered yet.
  func receivedWhileRejoining(requests: [PeerMessage]) {
    for request in requests {
      guard case .copies(let origin, _, _)? = try? ControlMessage(decoding: request.bytes, limits: limits),
        origin == request.node,
        topology.node(origin)?.replicas.nodes.contains(configuration.node) ?? false
      else { continue }
      let nothing = ControlMessage.copied(of: origin, log: log.identity.id, through: 0, heads: [])
      transport.reply(nothing.encoded(), to: request.node)
    }
  }

  func receivedWhileRejoining(answers: [PeerMessage], _ desk: RejoinDesk) {
    for answer in answers {
      do {
        switch try ControlMessage(decoding: answer.bytes, limits: limits) {
        case .copied(let origin, let log, let through, let heads) where origin == configuration.node:
          let known = heads.filter { isRejoined($0.lane) }.map { ($0.lane, $0.point) }
          let now = now()
          desk.state.withLock {
            $0.machine.told(
              known, by: answer.node, log: log, through: through,
              isFull: heads.count == ControlMessage.headCountMax, now: now)
          }
        case .records(let lane, let after, let records):
          take(records, of: lane, after: after, answer.node, desk)
        case .refused(.greetFirst, _): break
        case .refused(_, let reason): note(refusal: "node '\(answer.node)' refuses: \(reason.shown())")
        default: break
        }
      } catch {
        note(refusal: "node '\(answer.node)' answered what is no answer: \(error)")
      }
    }
    goOn(desk)
  }

  /// Whether a lane may be one that replicas keep for this node: they know which agents have come here, and which have left.
  private func isRejoined(_ lane: Lane) -> Bool {
    lane.channel.isLogged && topology.agent(lane.agent) != nil
  }

  private func take(
    _ records: [Record], of lane: Lane, after: LanePoint, _ node: NodeID, _ desk: RejoinDesk
  ) {
    let now = now()
    // Submitted under the lock, so that the log gets each lane in its order.
    let check = desk.state.withLock { state -> Record? in
      let reception = state.machine.received(records, of: lane, after: after, from: node, now: now)
      if !reception.taken.isEmpty {
        state.openCount += 1
        append(reception.taken, of: lane, desk)
      }
      return reception.check
    }
    if let check, !has(check) { desk.state.withLock { $0.machine.contradicted(check) } }
  }

  private func append(_ records: [Record], of lane: Lane, _ desk: RejoinDesk) {
    var batch = LogBatch(priority: .intake)
    batch.appends = records.map { .init($0, source: .received(hops: 1)) }
    batch.snapshots[RejoinRecord.owner] = try? RejoinRecord().bytes
    log.submit(batch) { result in
      // A log that is closed says so at once, under the lock.
      self.scheduler.schedule(after: result.isFailure ? .seconds(1) : .zero) {
        if case .failure(let error) = result { self.note(error) }
        let head = self.receiver(of: lane)
        desk.state.withLock { state in
          state.openCount -= 1
          switch result {
          case .success: state.takenCount += UInt64(records.count)
          case .failure: state.machine.reset(lane, to: head)
          }
        }
        if !self.isStopped { self.goOn(desk) }
      }
    }
  }

  private func receiver(of lane: Lane) -> LaneReceiver {
    guard let head = try? log.laneHead(lane) else { return LaneReceiver() }
    return LaneReceiver(head: head.point, id: (try? log.entry(at: head.position)?.record.id) ?? .none)
  }

  private func has(_ record: Record) -> Bool {
    let before = RejoinMachine.before(record.point)
    guard let position = try? log.positions(ofLane: record.lane, after: before, limit: 1).first else {
      return false
    }
    return (try? log.entry(at: position)?.record) == record
  }

  // MARK: The end

  /// Writes down what was found, for the start that follows, and ends. A first start, where nobody had anything, writes nothing.
  private func end(_ desk: RejoinDesk, _ findings: RejoinMachine.Findings) {
    let takenCount = desk.state.withLock { $0.takenCount }
    let principal = configuration.beginsWithoutReplicas
    guard takenCount > 0 || principal != nil || !findings.forks.isEmpty else { return desk.end(.begins) }
    var record = RejoinRecord(isDone: true, epoch: findings.epoch, principal: principal)
    record.through = takenCount
    record.event = event(findings, takenCount)
    for (lane, fork) in findings.forks { note("fork in lane \(lane): \(fork)") }
    var batch = LogBatch()
    // The agents go on with what their replicas have of their states; where that cannot be read, without.
    do { batch.snapshots = try KeptAgents(in: log, through: takenCount).snapshots } catch { note(error) }
    batch.snapshots[RejoinRecord.owner] = try? record.bytes
    log.submit(batch) { result in
      self.scheduler.schedule(after: result.isFailure ? .seconds(1) : .zero) {
        guard !self.isStopped else { return }
        switch result {
        case .failure(let error):
          self.note(error)
          self.end(desk, findings)
        case .success where takenCount == 0: desk.end(.begins)
        case .success: desk.end(.isReplaced)
        }
      }
    }
  }

  private func event(_ findings: RejoinMachine.Findings, _ takenCount: UInt64) -> Rejoined {
    var ends: [AgentID: [Channel: LanePoint]] = [:]
    for (lane, point) in findings.lanes {
      ends[lane.agent, default: [:]][lane.channel] = max(ends[lane.agent]?[lane.channel] ?? .start, point)
    }
    let agents = ends.sorted { $0.key < $1.key }.map { agent, ends in
      let epoch = ends.values.map(\.epoch).max() ?? 0
      var found: [String: UInt64] = [:]
      for (channel, end) in ends where end.epoch == epoch { found[channel.description] = end.sequence }
      return Rejoined.Agent(agent: agent, epoch: epoch, found: found)
    }
    return Rejoined(
      node: configuration.node, asked: replicas.nodes,
      answered: findings.answered.map { .init(node: $0.node, laneCount: $0.laneCount) },
      level: replicas.level, isProven: findings.isProven,
      isWaived: configuration.beginsWithoutReplicas != nil, takenCount: takenCount,
      laneCount: findings.lanes.count, agents: agents,
      forks: findings.forks.map {
        .init(
          lane: "\($0.lane)", kept: "\($0.fork.kept.point)", other: "\($0.fork.other.point)",
          event: $0.fork.other.event)
      },
      lost: Rejoined.notKept)
  }

  /// The event that tells of it, committed with the first activations, and what the log keeps from then on; nil where there is
  /// nothing to tell.
  func stateRejoined() throws -> (stated: Stated, kept: [AgentID: [UInt8]])? {
    guard var record = try RejoinRecord.read(in: log), record.isDone, let event = record.event else {
      return nil
    }
    let authority = record.principal.map {
      Authority(principal: $0, grant: "operator", policyVersion: topology.version)
    }
    let draft = try Draft(bus: event, to: nil, newEvent(), authority: authority)
    let stated = try desks.own.state.withLock { state in
      guard let header = state.outbox?.number(draft) else {
        throw HyphaError(.failed, "node '\(routes.node)' states \(draft.type) before it starts")
      }
      return Stated(record: try Record(header, payload: draft.payload, limits: limits), event: event)
    }
    record.event = nil
    let answered = event.answered.map(\.node.text).joined(separator: ", ")
    note(
      "this node's log was empty: \(event.takenCount) events of its agents came back from "
        + (answered.isEmpty ? "no replica" : answered)
        + (event.isProven ? "" : "; that does not prove that it is all")
        + "; what is lost is in hypha.Rejoined in its log")
    return (stated, [RejoinRecord.owner: try record.bytes])
  }
}

extension Result {
  fileprivate var isFailure: Bool { if case .failure = self { true } else { false } }
}
