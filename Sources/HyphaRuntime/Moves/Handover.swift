import HyphaCore
import HyphaLog

/// What an agent had when a node ran it last, as that node's log has it: all that its next node needs beside the events
/// themselves, which it takes as ever.
struct Handover: Codable, Sendable, Equatable {
  /// How far a lane goes.
  struct End: Codable, Sendable, Equatable {
    var agent: AgentID
    var channel: Channel
    /// One of both.
    var addressee: AgentID?
    var type: EventTypeName?
    var epoch, sequence: UInt64

    init(_ lane: Lane, _ point: LanePoint) {
      (agent, channel) = (lane.agent, lane.channel)
      (epoch, sequence) = (point.epoch, point.sequence)
      switch lane.target {
      case .addressee(let agent): addressee = agent
      case .type(let name): type = name
      }
    }

    /// The lane; nil for an end that names neither an addressee nor a type.
    var lane: Lane? {
      (addressee.map(LaneTarget.addressee) ?? type.map(LaneTarget.type)).map {
        Lane(agent: agent, channel: channel, target: $0)
      }
    }
    var point: LanePoint { LanePoint(epoch: epoch, sequence: sequence) }
  }

  /// An event on which a handler has thrown, and that is to be given to it again.
  struct Retry: Codable, Sendable, Equatable {
    var id: EventID
    var dueAt: Timestamp
    var attempt: Int
    /// Its place in its lane.
    var place: End
  }

  /// The newest epoch of the agent, 0 where it never worked; and the last sequence on each logged channel in it.
  var epoch: UInt64
  var committed: [String: UInt64]
  /// What the agent has stated, lane by lane.
  var stated: [End]
  /// What it has handled, lane by lane.
  var handled: [End]
  /// Its state and its timers, as a log keeps them (``AgentSnapshot``); nil where it has none.
  var snapshot: Base64Bytes?
  var retries: [Retry]
  /// What it has handled of lanes that are not for it any more; nil from versions under which there were none.
  var passed: [End]?
  /// Whether it came back from replicas once, so that what it has handled is also what its own stream says (``HandledBefore``); nil for no.
  var hasReturned: Bool?

  /// How far its next node must have each lane before the agent works there.
  ///
  /// - Parameter leads: whether a lane is for the agent there; others it does not get.
  func goals(_ leads: (Lane) -> Bool) -> [Lane: LanePoint] {
    var goals = Self.points(stated)
    for (lane, point) in Self.points(handled) where leads(lane) {
      goals[lane] = max(goals[lane] ?? .start, point)
    }
    return goals
  }

  /// Adds what it had handled at any time, and tells apart which lanes are for it still.
  mutating func add(_ known: [Lane: LanePoint], leads: (Lane) -> Bool) {
    let all = Self.points(handled).merging(known) { max($0, $1) }
    handled = all.filter { leads($0.key) }.map { End($0, $1) }.sorted(by: Self.isBefore)
    let others = all.filter { !leads($0.key) }
    passed = others.isEmpty ? nil : others.map { End($0, $1) }.sorted(by: Self.isBefore)
  }

  /// An event that the agent has stated since, as the last of its epoch.
  mutating func end(with record: Record) {
    stated.removeAll { $0.lane == record.lane }
    stated.append(End(record.lane, record.point))
    stated.sort(by: Self.isBefore)
    epoch = record.epoch
    committed[record.channel.description] = record.header.sequence
  }

  /// All that it has handled, of whatever lanes.
  var allHandled: [Lane: LanePoint] {
    Self.points(handled).merging(Self.points(passed ?? [])) { max($0, $1) }
  }

  /// The ends of what it has stated, or handled, by lane.
  static func points(_ ends: [End]) -> [Lane: LanePoint] {
    ends.reduce(into: [:]) { points, end in if let lane = end.lane { points[lane] = end.point } }
  }
}

extension Handover {
  /// What the log of a node has of one of its agents.
  ///
  /// - Parameters:
  ///   - stated: the ends of the agent's own lanes.
  ///   - elsewhere: what the agent had handled before it came to this node, in places that its cursor may not have passed.
  ///   - leads: whether a lane is for the agent.
  /// - Complexity: reads the events that the agent has not handled yet, and those that it is to be given again.
  static func of(
    _ agent: AgentID, in log: any LogReader, _ heads: LogHeads, stated: [Lane: LanePoint],
    elsewhere: [Lane: LanePoint], leads: (Lane) -> Bool
  ) throws -> Handover {
    let epoch = heads.streams.keys.lazy.filter { $0.agent == agent }.map(\.epoch).max() ?? 0
    var committed: [String: UInt64] = [:]
    var handled: [End] = []
    for channel in Channel.allCases where channel.isLogged {
      let stream = StreamID(agent: agent, epoch: epoch, channel: channel)
      committed[channel.description] = heads.streams[stream]?.sequence ?? 0
      let place = try log.cursor(CursorKey(agent: agent, channel: channel))?.position ?? .start
      for lane in heads.lanes.keys where lane.channel == channel && leads(lane) {
        let point = max(try log.point(of: lane, at: place), elsewhere[lane] ?? .start)
        if point > .start { handled.append(End(lane, point)) }
      }
    }
    var handover = Handover(
      epoch: epoch, committed: committed, stated: stated.map { End($0, $1) }.sorted(by: isBefore),
      handled: handled.sorted(by: isBefore), snapshot: nil, retries: [])
    guard var snapshot = try AgentSnapshot.read(of: agent, in: log) else { return handover }
    for retry in snapshot.agenda.retries.items {
      guard let record = try log.entry(at: retry.position)?.record else { continue }
      handover.retries.append(
        Retry(
          id: retry.id, dueAt: retry.dueAt, attempt: retry.attempt, place: End(record.lane, record.point)))
    }
    // Places of this log mean nothing in another.
    snapshot.agenda.retries = DueTable()
    snapshot.coverage?.after = .start
    handover.snapshot = Base64Bytes(snapshot.bytes)
    return handover
  }

  private static func isBefore(_ left: End, _ right: End) -> Bool {
    (left.agent, left.channel.rawValue, left.addressee?.text ?? "", left.type?.text ?? "")
      < (right.agent, right.channel.rawValue, right.addressee?.text ?? "", right.type?.text ?? "")
  }

  /// The snapshot as the log of the agent's next node is to keep it; nil where there is none. That log has all events
  /// that the agent is to be given again.
  ///
  /// - Parameters:
  ///   - newer: what the log has come to keep of the agent since; nil for nothing.
  ///   - handled: what the agent is known to have handled since.
  func snapshot(in log: any LogReader, after newer: [UInt8]?, besides handled: Set<EventID>) throws
    -> [UInt8]?
  {
    guard let bytes = newer ?? snapshot?.bytes else { return nil }
    var kept = try AgentSnapshot(decoding: bytes)
    for retry in retries where !handled.contains(retry.id) {
      guard let lane = retry.place.lane,
        let position = try log.position(of: retry.place.point, in: lane)
      else { continue }
      kept.agenda.retries.insert(
        .init(id: retry.id, dueAt: retry.dueAt, position: position, attempt: retry.attempt))
    }
    return kept.bytes
  }

  /// Where the agent goes on in the log of its next node: what it has handled lies anywhere there, and what it has not
  /// lies behind the place.
  ///
  /// - Parameter lanes: the lanes of that log that are for the agent, and how far it has handled each.
  /// - Complexity: reads the events that the agent has not handled yet.
  static func cursor(
    _ channel: Channel, in log: any LogReader, _ heads: LogHeads, handled lanes: [Lane: LanePoint]
  ) throws -> Cursor {
    var cursor = Cursor(position: heads.position, handledCount: 0)
    for (lane, point) in lanes where lane.channel == channel {
      guard let head = heads.lanes[lane] else { continue }
      var openCount: UInt64 = 0
      var next = head.position
      while next > .start, let entry = try log.entry(at: next), entry.record.point > point {
        openCount += 1
        cursor.position = min(cursor.position, Position(rawValue: next.rawValue - 1))
        next = entry.previousInLane
      }
      cursor.handledCount += head.count - min(head.count, openCount)
    }
    return cursor
  }
}

extension LogReader {
  /// The newest event of a lane at or before a place.
  func point(of lane: Lane, at place: Position) throws -> LanePoint {
    guard let head = try laneHead(lane) else { return .start }
    if head.position <= place { return head.point }
    var next = head.position
    while next > place, let entry = try entry(at: next) { next = entry.previousInLane }
    guard next > .start, next <= place else { return .start }
    return try entry(at: next)?.record.point ?? .start
  }

  /// The newest event of a lane in an epoch or before.
  func point(of lane: Lane, throughEpoch epoch: UInt64) throws -> LanePoint {
    var next = try laneHead(lane)?.position ?? .start
    while next > .start, let entry = try entry(at: next) {
      if entry.record.epoch <= epoch { return entry.record.point }
      next = entry.previousInLane
    }
    return .start
  }

  /// The place of an event of a lane; nil where it is not there.
  func position(of point: LanePoint, in lane: Lane) throws -> Position? {
    var next = try laneHead(lane)?.position ?? .start
    while next > .start, let entry = try entry(at: next), entry.record.point >= point {
      if entry.record.point == point { return next }
      next = entry.previousInLane
    }
    return nil
  }
}
