public import HyphaCore

/// Decides what a commit group becomes: which batches it takes, at which positions, with which links.
///
/// Pure but for what it looks up: both backends plan with it and differ only in where heads come from and where
/// the result goes. Heads that were used lately are in memory, a bounded number of them. Each group ends with
/// ``groupWasCommitted()``, or with ``rollBack()`` when it could not be written.
public struct AppendPlanner: Sendable {
  /// Where one event of the group goes.
  public struct Placement: Sendable, Hashable {
    /// Its place in the log.
    public let position: Position
    /// When the log took it.
    public let appendedAt: Timestamp
    /// The entry before it of the same stream.
    public let previousInStream: Position
    /// The entry before it of the same lane.
    public let previousInLane: Position
  }

  /// What becomes of a batch.
  public enum Decision: Sendable {
    /// It is in the group: as many of the newest ``AppendPlanner/placements`` as it has events are its own.
    case take(CommitReceipt)
    /// It was committed before.
    case repeated(CommitReceipt)
  }

  /// The newest position planned.
  public private(set) var head: Position
  /// The places of the group's events, in order.
  public private(set) var placements: [Placement] = []
  /// The idempotency keys of the group.
  public private(set) var keys: [IdempotencyKey: KeptReceipt] = [:]

  /// Those of the group before, which may still be on its way to where the planner looks.
  private var previousKeys: [IdempotencyKey: KeptReceipt] = [:]
  private var lastTime: Timestamp
  private var lanes = HeadCache<Lane, LaneHead>()
  private var streams = HeadCache<StreamID, StreamHead>()
  private var writers = HeadCache<Writer, UInt64>()
  /// Of each stream's slot.
  private var streamFacts: [StreamFacts] = []
  private var begun: (head: Position, lastTime: Timestamp)

  /// What saves a search when a stream's next event comes.
  private struct StreamFacts: Sendable {
    /// The slot of the lane that its newest event stands in.
    var lane: Int?
    /// The slot of its writer.
    var writer: Int?
  }

  /// An agent on one channel, whose newest epoch fences all older ones.
  private struct Writer: Hashable, Sendable {
    let agent: AgentID
    let channel: Channel
  }

  /// A planner for a log whose newest entry stands at `head` and was taken at `lastTime`.
  public init(head: Position = .start, lastTime: Timestamp = .zero) {
    self.head = head
    self.lastTime = lastTime
    begun = (head, lastTime)
  }

  /// Takes heads that have moved since heads were written down, in groups that an earlier planner has planned.
  public mutating func adopt(lanes: [Lane: LaneHead], streams: [StreamID: StreamHead]) {
    for (lane, head) in lanes { self.lanes.adopt(lane, head) }
    for (stream, head) in streams { self.streams.adopt(stream, head) }
  }

  /// Begins a commit group.
  ///
  /// - Parameter mayForget: whether all groups before are where the planner looks heads up, so that it may forget those
  ///   it has in memory.
  public mutating func beginGroup(mayForget: Bool = true) {
    begun = (head, lastTime)
    placements.removeAll(keepingCapacity: true)
    previousKeys = keys
    keys.removeAll()
    // The slots of all three go together: streams lead to writers.
    if mayForget && isCrowded && lanes.isWritten && streams.isWritten {
      lanes = HeadCache()
      streams = HeadCache()
      writers = HeadCache()
      streamFacts.removeAll(keepingCapacity: true)
    }
  }

  /// Takes a batch into the group, at a time not before `now`.
  ///
  /// - Parameters:
  ///   - body: what stands for the batch's body under its idempotency key; equal bodies give equal bytes.
  ///   - source: where heads are found that are not in memory.
  /// - Throws: ``HyphaError/Code/logConflict``, and what `source` throws; the group is then as if the batch
  ///   had not been offered.
  public mutating func plan(
    _ batch: LogBatch, body: [UInt8] = [], now: Timestamp, heads source: some HeadSource
  ) throws -> Decision {
    if let key = batch.idempotencyKey,
      let kept = try keys[key] ?? previousKeys[key] ?? source.keptReceipt(key)
    {
      guard kept.body == body else {
        throw HyphaError(
          .logConflict,
          "the idempotency key '\(key.text.shown(80))' was used at position \(kept.receipt.first) for another batch",
          remedy: "give each thing that is to be done once a key of its own")
      }
      return .repeated(kept.receipt)
    }
    for (stream, expected) in batch.expectedSequences {
      let slot = try streams.slot(of: stream, source.streamHead)
      let actual = streams[slot]?.sequence ?? 0
      guard actual == expected else {
        throw HyphaError(
          .logConflict,
          "stream \(stream) ends with event \(actual), not with \(expected) as the batch expects",
          remedy: "read what is new in the stream, and decide again")
      }
    }
    let before = (head: head, lastTime: lastTime, count: placements.count)
    let marks = (lanes.mark, streams.mark, writers.mark)
    let time = max(now, Timestamp(rawValue: lastTime.rawValue + 1))
    do {
      for append in batch.appends {
        lastTime = max(time, Timestamp(rawValue: lastTime.rawValue + 1))
        try place(append, heads: source)
      }
    } catch {
      (head, lastTime) = (before.head, before.lastTime)
      placements.removeLast(placements.count - before.count)
      lanes.revert(to: marks.0)
      streams.revert(to: marks.1)
      writers.revert(to: marks.2)
      throw error
    }
    let receipt = CommitReceipt(first: before.head.next, count: batch.appends.count, time: time)
    if let key = batch.idempotencyKey { keys[key] = KeptReceipt(receipt: receipt, body: body) }
    return .take(receipt)
  }

  /// The group is durable: from now on the heads that it has moved are those of the log.
  public mutating func groupWasCommitted() {
    lanes.endGroup()
    streams.endGroup()
    writers.endGroup()
  }

  /// Whether it is time to write down the heads that have moved, so that they need not stay in memory.
  public var isCrowded: Bool { lanes.isCrowded || streams.isCrowded }

  /// How many heads have moved since ``headsWereWritten()``.
  public var movedHeadCount: Int { lanes.movedCount + streams.movedCount }

  /// The heads that have moved were written down, with the group that was committed last.
  public mutating func headsWereWritten() {
    lanes.forgetMoved()
    streams.forgetMoved()
    writers.forgetMoved()
  }

  /// Forgets the group: it could not be written.
  public mutating func rollBack() {
    (head, lastTime) = begun
    placements.removeAll(keepingCapacity: true)
    keys.removeAll(keepingCapacity: true)
    lanes.revert(to: 0)
    streams.revert(to: 0)
    writers.revert(to: 0)
  }

  /// Calls `body` once with the head of each lane that has moved since ``headsWereWritten()``, by this group or
  /// one before it.
  public func forEachMovedLane(_ body: (Lane, LaneHead) throws -> Void) rethrows {
    try lanes.forEachMoved(body)
  }

  /// Calls `body` once with the head of each stream that has moved since ``headsWereWritten()``.
  public func forEachMovedStream(_ body: (StreamID, StreamHead) throws -> Void) rethrows {
    try streams.forEachMoved(body)
  }

  private mutating func place(_ append: LogBatch.Append, heads source: some HeadSource) throws {
    // The header is looked at where it is: a copy of all its texts would cost more than what is done here.
    let record = append.record
    let position = head.next
    let stream = record.stream
    let streamSlot = try streams.slot(of: stream, source.streamHead)
    if streamSlot >= streamFacts.count {
      streamFacts += [StreamFacts](repeating: StreamFacts(), count: streamSlot + 1 - streamFacts.count)
    }
    let lane = record.lane
    let laneSlot = try lanes.slot(of: lane, hint: streamFacts[streamSlot].lane, source.laneHead)
    streamFacts[streamSlot].lane = laneSlot
    let laneHead = lanes[laneSlot]
    try Self.check(record, of: lane, continues: laneHead?.point ?? .start)
    let streamHead = streams[streamSlot]
    let sequence = record.sequence
    // What was received moves the fence as well: an agent may have gone on at another node.
    try checkEpoch(of: stream, streamSlot, isStated: append.source == .stated, heads: source)
    if append.source == .stated {
      // A received event may have claimed the last number there is; 0 is then never met.
      let expected = (streamHead?.sequence ?? 0) &+ 1
      guard sequence == expected else {
        throw HyphaError(
          .logConflict, "event \(sequence) of stream \(stream) is not its next, \(expected)",
          remedy: "let one writer number the stream")
      }
    }
    lanes.move(
      laneSlot,
      to: LaneHead(point: record.point, position: position, count: (laneHead?.count ?? 0) + 1))
    streams.move(
      streamSlot,
      to: StreamHead(
        sequence: max(sequence, streamHead?.sequence ?? 0), position: position,
        count: (streamHead?.count ?? 0) + 1))
    head = position
    placements.append(
      Placement(
        position: position, appendedAt: lastTime, previousInStream: streamHead?.position ?? .start,
        previousInLane: laneHead?.position ?? .start))
  }

  /// An event goes on where its lane ends.
  private static func check(_ record: Record, of lane: Lane, continues laneEnd: LanePoint) throws {
    let (point, previous) = (record.point, record.previous)
    // A new epoch may fall back behind what an unclean end of the last one has sent (a fork).
    let continues = previous == laneEnd || (point.epoch > laneEnd.epoch && previous < laneEnd)
    guard continues, point > laneEnd else {
      throw HyphaError(
        .logConflict,
        "event \(point) of lane \(lane) follows \(previous), but the log's lane ends at \(laneEnd)",
        remedy: point <= laneEnd ? "it is in the log already; drop it" : "append what lies between first")
    }
  }

  /// An activation that was followed by another may state nothing more.
  private mutating func checkEpoch(
    of stream: StreamID, _ streamSlot: Int, isStated: Bool, heads source: some HeadSource
  ) throws {
    // All streams of a writer share its slot, which is looked up once for each.
    let slot: Int
    if let known = streamFacts[streamSlot].writer {
      slot = known
    } else {
      slot = try writers.slot(of: Writer(agent: stream.agent, channel: stream.channel)) { writer in
        try source.newestEpoch(of: writer.agent, on: writer.channel)
      }
      streamFacts[streamSlot].writer = slot
    }
    let newest = writers[slot] ?? 0
    guard !isStated || stream.epoch >= newest else {
      throw HyphaError(
        .logConflict,
        "epoch \(stream.epoch) of \(stream.agent) is over: the log has events of epoch \(newest) on \(stream.channel)",
        remedy: "let the agent's newest activation alone write")
    }
    if stream.epoch > newest { writers.move(slot, to: stream.epoch) }
  }
}

/// What a planner looks up: the heads that the log had before the group.
public protocol HeadSource {
  /// The newest event of a lane.
  func laneHead(_ lane: Lane) throws -> LaneHead?
  /// The newest events of a stream.
  func streamHead(_ stream: StreamID) throws -> StreamHead?
  /// The newest epoch of an agent on a channel, or nil where the log has none.
  func newestEpoch(of agent: AgentID, on channel: Channel) throws -> UInt64?
  /// What was answered to the batch that came with this key.
  func keptReceipt(_ key: IdempotencyKey) throws -> KeptReceipt?
}

/// What a log keeps of a batch that came with an idempotency key.
public struct KeptReceipt: Hashable, Sendable {
  /// The answer.
  public let receipt: CommitReceipt
  /// What stands for the batch's body.
  public let body: [UInt8]

  /// A kept receipt by its parts.
  public init(receipt: CommitReceipt, body: [UInt8]) {
    self.receipt = CommitReceipt(
      first: receipt.first, count: receipt.count, time: receipt.time, durability: receipt.durability,
      isRepeated: true)
    self.body = body
  }
}
