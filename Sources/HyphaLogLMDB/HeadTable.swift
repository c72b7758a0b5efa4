import HyphaCore
import HyphaLog
import Synchronization

/// The heads of lanes and streams: those in the table, and those that have moved since it was written.
///
/// The table is written together now and then (see ``writeLimit(movedCount:)``), so what is newer is read from the newest
/// entries when someone asks. At most so many heads are in memory, however large the log is.
final class HeadTable: Sendable {
  /// After so many entries the heads are due to be written, of which so many have moved: reading as many entries when a
  /// log is opened takes a few hundredths of a second. Where tens of thousands of streams move, each row would be
  /// written for one or two entries, so it is put off, to a quarter of a second's reading at most.
  static func writeLimit(movedCount: Int) -> UInt64 { min(262_144, max(65_536, 4 * UInt64(movedCount))) }

  fileprivate struct Writer: Hashable, Sendable {
    let agent: AgentID
    let channel: Channel
  }

  /// What has moved since the table was written.
  fileprivate struct Moved: Sendable {
    /// All entries up to here are in the table or in here.
    var through = Position.start
    var lanes: [Lane: LaneHead] = [:]
    var streams: [StreamID: StreamHead] = [:]
    var epochs: [Writer: UInt64] = [:]

    mutating func move(_ stream: StreamID, to head: StreamHead) {
      streams[stream] = head
      let writer = Writer(agent: stream.agent, channel: stream.channel)
      epochs[writer] = max(epochs[writer] ?? 0, stream.epoch)
    }
  }

  private let moved = Mutex(Moved())

  /// The newest event of a lane, as `view` sees it.
  func laneHead(_ lane: Lane, _ view: LogView) throws -> LaneHead? {
    if let head = try caughtUp(view, { $0.lanes[lane] }) { return head }
    return try view.value(TableLayout.key(of: lane), TableLayout.laneHead)
  }

  /// The newest events of a stream.
  func streamHead(_ stream: StreamID, _ view: LogView) throws -> StreamHead? {
    if let head = try caughtUp(view, { $0.streams[stream] }) { return head }
    return try view.value(TableLayout.key(of: stream), TableLayout.streamHead)
  }

  /// The newest epoch of an agent on a channel.
  func newestEpoch(of agent: AgentID, on channel: Channel, _ view: LogView) throws -> UInt64? {
    let writer = Writer(agent: agent, channel: channel)
    let moved = try caughtUp(view) { $0.epochs[writer] }
    let prefix = TableLayout.key(ofStreamsOf: agent, on: channel)
    let cursor = try view.transaction.cursor(in: view.environment.state)
    // The last key of the prefix: the one before the first that is beyond all epochs.
    let beyond = prefix + [UInt8](repeating: 0xFF, count: 8)
    let found = try beyond.withUnsafeBytes { beyond in
      try view.transaction.confirmAbsence(of: beyond, in: view.environment.state)
      return try cursor.seek(beyond)
    }
    let isLast = found.map { beyond.elementsEqual($0.key) } ?? false
    let place = isLast ? found : try found == nil ? cursor.last() : cursor.previous()
    guard let place else { return moved }
    try view.transaction.confirmAbsence(of: place.key, in: view.environment.state)
    guard place.key.starts(with: prefix) else { return moved }
    return max(try TableLayout.stream(ofKey: place.key).epoch, moved ?? 0)
  }

  /// The newest event of every lane.
  func laneHeads(_ view: LogView) throws -> [Lane: LaneHead] {
    let moved = try caughtUp(view) { $0.lanes }
    return try view.values(of: .lane, key: TableLayout.lane, value: TableLayout.laneHead).merging(moved) {
      _, new in new
    }
  }

  /// The newest events of every stream.
  func streamHeads(_ view: LogView) throws -> [StreamID: StreamHead] {
    let moved = try caughtUp(view) { $0.streams }
    return try view.values(of: .stream, key: TableLayout.stream, value: TableLayout.streamHead).merging(moved)
    { _, new in new }
  }

  /// The heads that have moved since the table was written.
  func moved(_ view: LogView) throws -> (lanes: [Lane: LaneHead], streams: [StreamID: StreamHead]) {
    try caughtUp(view) { ($0.lanes, $0.streams) }
  }

  /// What is in memory is newer than the view, so the table in the view lacks what was let go of since.
  struct ViewIsStale: Error {}

  /// Reads what came since the last look, then gives `body` what has moved up to the view's head.
  private func caughtUp<Value: Sendable>(_ view: LogView, _ body: (borrowing Moved) -> Value) throws -> Value
  {
    try moved.withLock { moved in
      if moved.through < view.head.position { try moved.catchUp(view) }
      guard moved.through == view.head.position else { throw ViewIsStale() }
      return body(moved)
    }
  }
}

extension HeadTable.Moved {
  /// Takes in the entries that came since.
  fileprivate mutating func catchUp(_ view: LogView) throws {
    // Where the table was written since, it has all that was moved before.
    if view.head.headsThrough >= through { self = HeadTable.Moved(through: view.head.headsThrough) }
    guard through < view.head.position else { return }
    try view.visit(through.next...view.head.position, .forward, keepsPages: false) { entry in
      let header = try entry.record.header()
      let (lane, stream) = (header.lane, header.stream)
      let laneCount =
        try lanes[lane]?.count ?? view.value(TableLayout.key(of: lane), TableLayout.laneHead)?.count
      lanes[lane] = LaneHead(point: header.point, position: entry.position, count: (laneCount ?? 0) + 1)
      let before = try streams[stream] ?? view.value(TableLayout.key(of: stream), TableLayout.streamHead)
      let head = StreamHead(
        sequence: max(header.sequence, before?.sequence ?? 0), position: entry.position,
        count: (before?.count ?? 0) + 1)
      move(stream, to: head)
      return true
    }
    through = view.head.position
  }
}
