import HyphaCore
import HyphaLog
import HyphaTopology

/// A part of an agent's life on one node: from where the agent began there to where it left, in epochs of its own.
struct RerunStay {
  /// A hand-over by which the agent came, or went.
  struct Move {
    /// The number of the move.
    let number: UInt32
    /// Where in the log of this node.
    let position: Position
    let handover: Handover
    /// What the agent had handled by then, lane by lane.
    let handled: [Lane: LanePoint]

    init(_ number: UInt32, at position: Position, _ handover: Handover) {
      (self.number, self.position) = (number, position)
      self.handover = handover
      handled = Handover.points(handover.handled)
    }
  }

  /// The agent's epochs on this node meanwhile.
  var epochs: ClosedRange<UInt64> = 1 ... .max
  /// How it came; nil where it began its life here.
  var arrival: Move?
  /// How it left; nil where it is still here.
  var departure: Move?

  /// The number of the move by which it began; 0 for the begin of its life.
  var number: UInt32 { arrival?.number ?? 0 }

  /// Whether the agent has spent its whole life here.
  var isWhole: Bool { arrival == nil && departure == nil }

  /// Whether the agent handled an event here, as far as moves decide that: what it had handled elsewhere lies in this log as well,
  /// and what it had not handled yet when it left.
  ///
  /// - Parameter author: the node itself, whose judgements do not follow an agent that moves.
  func has(_ record: Record, at position: Position, author: AgentID) -> Bool {
    let lane = record.lane
    let isJudgement = lane.agent == author && record.addressee == nil
    if let arrival, position < arrival.position {
      if isJudgement || record.point <= arrival.handled[lane] ?? .start { return false }
    }
    guard let departure, !isJudgement else { return true }
    return record.point <= departure.handled[lane] ?? .start
  }

  /// Whether an event of the agent's was stated here meanwhile.
  func stated(_ entry: LogEntry) -> Bool { entry.source == .stated && epochs.contains(entry.record.epoch) }

  /// How far the agent had handled its persistent events when it left, in the log of the node; what lies before that and was for it, it
  /// has handled.
  func handledThrough(in log: any LogReader) throws -> Position {
    guard let departure else { return .start }
    return try departure.handled.reduce(Position.start) { through, end in
      guard end.key.channel == .persistent, let position = try log.position(of: end.value, in: end.key) else {
        return through
      }
      return max(through, position)
    }
  }
}

/// What an agent had at the end of a stay: when it left, or now.
struct StayEnd {
  let stay: RerunStay
  /// How far it had handled its persistent events, as far as the log has them; counted where it is still here.
  let handled: Cursor
  /// What was kept of it; nil for nothing.
  let saved: AgentSnapshot?
  /// Whether both are of the same moment.
  let isOfOneMoment: Bool

  init(of agent: AgentID, _ stay: RerunStay, in log: any LogReader) throws {
    self.stay = stay
    if let departure = stay.departure {
      handled = Cursor(position: try stay.handledThrough(in: log), handledCount: 0)
      saved = try departure.handover.snapshot.map { try AgentSnapshot(decoding: $0.bytes) }
      isOfOneMoment = true
      return
    }
    let key = CursorKey(agent: agent, channel: .persistent)
    // First these: what they stand for is in the log up to any later head.
    handled = try log.cursor(key) ?? .start
    saved = try AgentSnapshot.read(of: agent, in: log)
    isOfOneMoment = try log.cursor(key)?.position ?? .start == handled.position
  }
}

extension RerunStay {
  /// The stays of a topology's agents on the node whose log this is, the earliest first; agents that never were there have none.
  ///
  /// - Parameter topology: the one that the file says: moves come on top of it.
  /// - Throws: what reading throws.
  static func all(_ topology: Topology, in log: any LogReader) throws -> [AgentID: [RerunStay]] {
    let reading = try MoveReading(log)
    let node = log.identity.node
    var arrived: [UInt32: (position: Position, epoch: UInt64)] = [:]
    var (parts, departures): ([UInt32: [Int: [UInt8]]], [UInt32: Move]) = ([:], [:])
    for position in reading.positions.sorted() {
      guard let entry = try log.entry(at: position), entry.source == .stated else { continue }
      switch entry.record.type {
      case AgentArrived.eventType:
        let event = try AgentArrived.decode(entry.record)
        arrived[event.move] = (position, event.epoch)
      case AgentHandedOver.eventType:
        let event = try AgentHandedOver.decode(entry.record)
        parts[event.move, default: [:]][event.part] = event.bytes.bytes
        guard let all = parts[event.move], all.count == event.partCount else { continue }
        let bytes = (0..<event.partCount).flatMap { all[$0] ?? [] }
        departures[event.move] = Move(
          event.move, at: position, try JSON.decode(Handover.self, from: bytes))
        parts[event.move] = nil
      default: break
      }
    }
    var stays: [AgentID: [RerunStay]] = [:]
    for agent in topology.agents {
      var open = agent.node == node ? RerunStay() : nil
      for move in reading.moves.moves.map(\.order) where move.agent == agent.id {
        if move.from == node, let departure = departures[move.move], var stay = open {
          let first = stay.epochs.lowerBound
          stay.epochs = first...max(first, departure.handover.epoch)
          stay.departure = departure
          stays[agent.id, default: []].append(stay)
          open = nil
        }
        if move.to == node, let (position, epoch) = arrived[move.move], let handover = reading.handover(move)
        {
          open = RerunStay(epochs: epoch ... .max, arrival: Move(move.move, at: position, handover))
        }
      }
      if let open { stays[agent.id, default: []].append(open) }
    }
    return stays
  }
}
