public import HyphaCore

/// Decides what a commit group becomes: which batches it takes, at which positions, with which links.
///
/// Pure but for what it looks up: both backends plan with it and differ only in where heads come from and where
/// the result goes. Heads that were used lately are in memory, a bounded number of them; a group that could
/// not be written is taken back with ``rollBack()``.
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

  private var lastTime: Timestamp
  private var lanes = HeadCache<Lane, LaneHead>()
  private var streams = HeadCache<StreamID, StreamHead>()
  private var writers = HeadCache<Writer, UInt64>()
  private var begun: (head: Position, lastTime: Timestamp)

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

  /// Begins a commit group.
  public mutating func beginGroup() {
    begun = (head, lastTime)
    placements.removeAll(keepingCapacity: true)
    keys.removeAll(keepingCapacity: true)
    lanes.beginGroup()
    streams.beginGroup()
    writers.beginGroup()
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
    if let key = batch.idempotencyKey, let kept = try keys[key] ?? source.keptReceipt(key) {
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

  /// Forgets the group: it could not be written.
  public mutating func rollBack() {
    (head, lastTime) = begun
    placements.removeAll(keepingCapacity: true)
    keys.removeAll(keepingCapacity: true)
    lanes.revert(to: 0)
    streams.revert(to: 0)
    writers.revert(to: 0)
  }

  /// Calls `body` with the new head of each lane that the group has moved.
  public func forEachMovedLane(_ body: (Lane, LaneHead) throws -> Void) rethrows {
    try lanes.forEachMoved(body)
  }

  /// Calls `body` with the new head of each stream that the group has moved.
  public func forEachMovedStream(_ body: (StreamID, StreamHead) throws -> Void) rethrows {
    try streams.forEachMoved(body)
  }

  private mutating func place(_ append: LogBatch.Append, heads source: some HeadSource) throws {
    let header = append.record.header
    let position = head.next
    let lane = header.lane
    let laneSlot = try lanes.slot(of: lane, source.laneHead)
    let laneHead = lanes[laneSlot]
    let laneEnd = laneHead?.point ?? .start
    // A new epoch may fall back behind what an unclean end of the last one has sent (a fork).
    let continues = header.previous == laneEnd || (header.epoch > laneEnd.epoch && header.previous < laneEnd)
    guard continues, header.point > laneEnd else {
      throw HyphaError(
        .logConflict,
        "event \(header.point) of lane \(lane) follows \(header.previous), but the log's lane ends at \(laneEnd)",
        remedy: header.point <= laneEnd
          ? "it is in the log already; drop it" : "append what lies between first")
    }
    let stream = header.stream
    let streamSlot = try streams.slot(of: stream, source.streamHead)
    let streamHead = streams[streamSlot]
    if append.source == .stated {
      try checkEpoch(of: stream, heads: source)
      // A received event may have claimed the last number there is; 0 is then never met.
      let expected = (streamHead?.sequence ?? 0) &+ 1
      guard header.sequence == expected else {
        throw HyphaError(
          .logConflict, "event \(header.sequence) of stream \(stream) is not its next, \(expected)",
          remedy: "let one writer number the stream")
      }
    }
    lanes.move(
      laneSlot, to: LaneHead(point: header.point, position: position, count: (laneHead?.count ?? 0) + 1))
    streams.move(
      streamSlot,
      to: StreamHead(
        sequence: max(header.sequence, streamHead?.sequence ?? 0), position: position,
        count: (streamHead?.count ?? 0) + 1))
    head = position
    placements.append(
      Placement(
        position: position, appendedAt: lastTime, previousInStream: streamHead?.position ?? .start,
        previousInLane: laneHead?.position ?? .start))
  }

  /// An activation that was followed by another may state nothing more.
  private mutating func checkEpoch(of stream: StreamID, heads source: some HeadSource) throws {
    let writer = Writer(agent: stream.agent, channel: stream.channel)
    let slot = try writers.slot(of: writer) { writer in
      try source.newestEpoch(of: writer.agent, on: writer.channel)
    }
    let newest = writers[slot] ?? 0
    guard stream.epoch >= newest else {
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

/// Heads that were used lately, with what a group has changed of them.
///
/// A head is addressed by its slot, so that a run of events of one lane costs one comparison each and no
/// lookup. Between groups the cache is emptied when it has grown beyond its bound.
private struct HeadCache<Key: Hashable & Sendable, Head: Sendable>: Sendable {
  private static var countMax: Int { 65_536 }

  // One array each, so that looking at a head copies no key.
  private var keys: [Key] = []
  private var heads: [Head?] = []
  private var isMoved: [Bool] = []
  private var numbers: [Key: Int] = [:]
  private var newest = 0
  private var undo: [(slot: Int, head: Head?, wasMoved: Bool)] = []

  /// How much the group has changed so far.
  var mark: Int { undo.count }

  mutating func beginGroup() {
    for change in undo { isMoved[change.slot] = false }
    undo.removeAll(keepingCapacity: true)
    guard keys.count > Self.countMax else { return }
    keys.removeAll(keepingCapacity: true)
    heads.removeAll(keepingCapacity: true)
    isMoved.removeAll(keepingCapacity: true)
    numbers.removeAll(keepingCapacity: true)
    newest = 0
  }

  subscript(slot: Int) -> Head? { heads[slot] }

  mutating func slot(of key: Key, _ find: (Key) throws -> Head?) rethrows -> Int {
    if newest < keys.count, keys[newest] == key { return newest }
    if let number = numbers[key] {
      newest = number
      return number
    }
    let head = try find(key)
    newest = keys.count
    keys.append(key)
    heads.append(head)
    isMoved.append(false)
    numbers[key] = newest
    return newest
  }

  mutating func move(_ slot: Int, to head: Head) {
    undo.append((slot, heads[slot], isMoved[slot]))
    heads[slot] = head
    isMoved[slot] = true
  }

  mutating func revert(to mark: Int) {
    while undo.count > mark {
      let (slot, head, wasMoved) = undo.removeLast()
      heads[slot] = head
      isMoved[slot] = wasMoved
    }
  }

  /// Each moved head once: at the change that found it unmoved.
  func forEachMoved(_ body: (Key, Head) throws -> Void) rethrows {
    for change in undo where !change.wasMoved {
      if let head = heads[change.slot] { try body(keys[change.slot], head) }
    }
  }
}
