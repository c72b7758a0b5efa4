import HyphaCore
import HyphaLog

/// A log that is open: its reads, and what opening it checks.
///
/// Every call is one short read transaction, on the calling thread, or several one after the other; what it
/// returns is copied out and was checked.
final class LogStore: Sendable {
  let identity: LogIdentity
  /// Heads of lanes and streams; the writer tells it what it commits.
  let heads = HeadTable()
  /// Large payloads, beside the log.
  let payloads: PayloadStore
  private let lease: EnvironmentLease

  /// How long a read transaction may live in a long visit, in nanoseconds.
  private static let chunkNanoseconds: UInt64 = 10_000_000

  /// Reads who the log belongs to, and refuses a format that it does not know.
  init(_ lease: EnvironmentLease, payloads: PayloadStore) throws {
    let environment = lease.environment
    let log = environment.failure.log
    self.lease = lease
    self.payloads = payloads
    let transaction = try environment.beginReading()
    let version = try transaction.value(TableLayout.formatKey, in: environment.state) {
      try $0.read(UInt32.self)
    }
    guard let version, version > 0 else {
      throw HyphaError(
        .logInvalid, "\(log) is no log of Hypha's: it names no format",
        remedy: "give the data directory of a node")
    }
    let known = TableLayout.formatVersion
    guard version <= known else {
      throw HyphaError(
        .logTooNew, "the log in \(log) has format \(version), this program knows \(known)",
        remedy: "upgrade this program")
    }
    let identity = try transaction.value(
      TableLayout.identityKey, in: environment.state, TableLayout.identity)
    guard let identity else { throw TableLayout.damaged("state", "does not say whose log it is") }
    self.identity = identity
  }

  var environment: Environment { lease.environment }

  /// What is committed now.
  func view() throws -> LogView { try LogView(environment, payloads: payloads, lease: lease) }

  func head() throws -> Position { try view().head.position }

  func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, keepsPages: Bool = true,
    _ body: (EntryView) throws -> Bool
  ) throws {
    // The head of the first view bounds the whole visit.
    var rest: ClosedRange<Position>?
    while true {
      // One view at a time: whoever has one cannot follow a map that another process has made larger.
      let view = try view()
      guard let part = rest ?? view.present(range) else { return }
      let deadline = LogView.nanoseconds() + Self.chunkNanoseconds
      guard
        case .next(let position) = try view.visit(part, order, until: deadline, keepsPages: keepsPages, body)
      else { return }
      rest = order == .forward ? position...part.upperBound : part.lowerBound...position
    }
  }

  func entry(at position: Position) throws -> LogEntry? {
    let view = try view()
    guard position > .start, position <= view.head.position else { return nil }
    do {
      if let block = try view.block(at: position) {
        return try block.withEntry(at: position, payloads: payloads) { try $0.entry() }
      }
    } catch {
      // The block of an entry that was quarantined may be there still.
      guard try view.gap(at: position) != nil else { throw error }
    }
    if case .quarantined(let reason)? = try view.gap(at: position)?.kind {
      throw HyphaError(
        .logInvalid, "the entry at position \(position) was quarantined: \(reason)",
        remedy: "take it from a copy, or from a peer's log")
    }
    return nil
  }

  /// Throws when the log's file was removed or replaced.
  func confirmPresence() throws {
    let log = environment.failure.log
    guard EnvironmentRegistry.isPresent(lease, log: log) else {
      throw HyphaError(
        .logFailed, "the log in \(log) was removed or replaced while it was read", remedy: "open it again")
    }
  }

  func gaps() throws -> [LogGap] { try view().gaps() }

  func laneHead(_ lane: Lane) throws -> LaneHead? { try withHeads { try heads.laneHead(lane, $0) } }
  func laneHeads() throws -> [Lane: LaneHead] { try withHeads { try heads.laneHeads($0) } }
  func streamHead(_ stream: StreamID) throws -> StreamHead? {
    try withHeads { try heads.streamHead(stream, $0) }
  }

  func streamHeads() throws -> [StreamID: StreamHead] { try withHeads { try heads.streamHeads($0) } }

  func allHeads() throws -> LogHeads {
    try withHeads { view in
      LogHeads(
        position: view.head.position, lanes: try heads.laneHeads(view), streams: try heads.streamHeads(view))
    }
  }

  /// Calls `body` with a view as new as the heads in memory.
  private func withHeads<Value>(_ body: (LogView) throws -> Value) throws -> Value {
    while true {
      do { return try body(view()) } catch is HeadTable.ViewIsStale {}
    }
  }

  func cursor(_ key: CursorKey) throws -> Cursor? {
    try view().value(TableLayout.key(of: key), TableLayout.cursor)
  }

  func cursors() throws -> [CursorKey: Cursor] {
    try view().values(of: .cursor, key: TableLayout.cursorKey, value: TableLayout.cursor)
  }

  func snapshot(of agent: AgentID) throws -> [UInt8]? {
    let view = try view()
    let key = TableLayout.key(ofSnapshotOf: agent)
    try view.transaction.confirmPages(of: environment.snapshots)
    return try view.transaction.value(key, in: environment.snapshots) { reader in
      Array(try reader.read(count: reader.remaining))
    }
  }
}

extension LogStore: HeadSource {
  func newestEpoch(of agent: AgentID, on channel: Channel) throws -> UInt64? {
    try withHeads { try heads.newestEpoch(of: agent, on: channel, $0) }
  }

  func keptReceipt(_ key: IdempotencyKey) throws -> KeptReceipt? {
    try view().value(TableLayout.key(of: key), TableLayout.keptReceipt)
  }
}

// MARK: Opening

extension LogStore {
  /// How many of the newest entries are read when the log is opened for writing.
  private static let tailEntryCount: UInt64 = 64

  /// What the newest commit left behind, once it and the newest entries were found to agree.
  ///
  /// For whoever holds the writer's lock: nothing changes between its reads. It takes as long for a large log
  /// as for a small one.
  func checkTail() throws -> CommitHead {
    let view = try view()
    let head = view.head
    let cursor = try view.transaction.cursor(in: environment.blocks)
    let newest = try cursor.last().map { try BlockView($0.value, last: BlockLayout.position(ofKey: $0.key)) }
    guard let newest else {
      guard try head.position == .start || view.gap(at: head.position) != nil else {
        throw TableLayout.damaged("blocks", "is empty, but the head is \(head.position)")
      }
      return head
    }
    if newest.last != head.position, try view.gap(at: head.position) == nil {
      throw TableLayout.damaged("blocks", "ends at position \(newest.last), but the head is \(head.position)")
    }
    guard newest.last != head.position || newest.link == head.link else {
      throw TableLayout.damaged("state", "does not name the newest block's link of the chain")
    }
    let begin = Position(
      rawValue: max(1, head.position.rawValue &- min(head.position.rawValue, Self.tailEntryCount) + 1))
    var last: (header: RecordHeader, time: Timestamp, position: Position)?
    try view.visit(begin...head.position, .forward) { entry in
      guard entry.position > last?.position ?? .start, entry.appendedAt > last?.time ?? .zero else {
        throw TableLayout.damaged("blocks", "has times that do not grow at position \(entry.position)")
      }
      last = (try entry.record.header(), entry.appendedAt, entry.position)
      return true
    }
    guard let last, last.position == head.position else { return head }
    guard last.time == head.time else {
      throw TableLayout.damaged("state", "does not name the newest entry's time")
    }
    let lane = try heads.laneHead(last.header.lane, view)
    guard lane?.position == head.position, lane?.point == last.header.point else {
      throw TableLayout.damaged("state", "does not name the newest entry as the head of its lane")
    }
    guard try heads.streamHead(last.header.stream, view)?.position == head.position else {
      throw TableLayout.damaged("state", "does not name the newest entry as the head of its stream")
    }
    return head
  }
}
