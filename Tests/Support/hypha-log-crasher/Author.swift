import HyphaCore
import HyphaLog

/// An agent each of whose events follows from its number alone, so that whoever reads a log can tell what must
/// stand there.
struct Author {
  let agent: AgentID
  private(set) var epoch: UInt64
  private(set) var sequence: UInt64 = 0
  private var ends: [EventTypeName: LanePoint] = [:]

  init(_ agent: AgentID, epoch: UInt64 = 0) {
    self.agent = agent
    self.epoch = epoch
  }

  /// An activation that goes on where the log ends.
  init(_ agent: AgentID, epoch: UInt64, in log: any LogReader) throws {
    self.init(agent, epoch: epoch)
    for type in ["T", "U"] as [EventTypeName] {
      let lane = Lane(agent: agent, channel: .persistent, target: .type(type))
      ends[type] = try log.laneHead(lane)?.point
    }
  }

  mutating func begin(epoch: UInt64) {
    self.epoch = epoch
    sequence = 0
  }

  /// The next event: mostly small, now and then larger than a page, or than a block of the log.
  mutating func next() throws -> Record {
    sequence += 1
    let type: EventTypeName = sequence.isMultiple(of: 5) ? "U" : "T"
    let point = LanePoint(epoch: epoch, sequence: sequence)
    var random = SeededGenerator(seed: epoch << 32 | sequence, name: agent.text)
    let (kind, size, filler) = (random.next() % 50, random.next(), UInt8(random.next() & 0xFF))
    let fillerCount = kind < 2 ? 70_000 + size % 5_000 : kind < 5 ? 4_000 + size % 5_000 : size % 200
    let payload = Array("\(agent) \(point) ".utf8) + [UInt8](repeating: filler, count: Int(fillerCount))
    let id = EventID(high: epoch << 32 | sequence, low: random.next())
    let header = RecordHeader(
      id: id, time: Timestamp(microseconds: 1), channel: .persistent, agent: agent, epoch: epoch,
      sequence: sequence, previous: ends[type] ?? .start, addressee: nil, type: type, subject: "s",
      contentType: .bytes, correlation: id, authority: Authority(principal: agent))
    ends[type] = point
    return try Record(header, payload: payload)
  }

  /// The next `count` events, and with them the cursor and the snapshot that say so.
  mutating func batch(_ count: Int) throws -> LogBatch {
    var batch = LogBatch()
    for _ in 0..<count { batch.appends.append(.init(try next())) }
    batch.cursors[cursorKey] = cursor
    batch.snapshots[agent] = snapshot
    return batch
  }

  // Cursor and snapshot name the last event of their batch: they must be found beside it, never without it.

  var cursorKey: CursorKey { CursorKey(agent: agent, channel: .persistent) }

  var cursor: Cursor { Cursor(position: Position(rawValue: epoch), handledCount: sequence) }

  var snapshot: [UInt8] {
    let fillerCount = sequence.isMultiple(of: 7) ? 6_000 : 30
    return Array("\(agent) \(epoch)-\(sequence) ".utf8) + [UInt8](repeating: 46, count: fillerCount)
  }
}
