import HyphaCore
import HyphaLog

/// A log that is open: its reads, and what opening it checks.
///
/// Every call is one short read transaction, on the calling thread; what it returns is copied out and was
/// checked.
final class LogStore: Sendable {
  let identity: LogIdentity
  private let lease: EnvironmentLease

  /// Reads who the log belongs to, and refuses a format that it does not know.
  init(_ lease: EnvironmentLease) throws {
    let environment = lease.environment
    let log = environment.failure.log
    self.lease = lease
    let transaction = try environment.beginReading()
    let version = try transaction.value(TableLayout.formatKey, in: environment.meta) {
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
      TableLayout.identityKey, in: environment.meta, TableLayout.identity)
    guard let identity else { throw TableLayout.damaged("meta", "does not say whose log it is") }
    self.identity = identity
  }

  var environment: Environment { lease.environment }

  func head() throws -> Position { try head(environment.beginReading()) }

  private func head(_ transaction: borrowing ReadTransaction) throws -> Position {
    guard
      let (head, number) = try transaction.value(TableLayout.headKey, in: environment.meta, TableLayout.head)
    else { throw TableLayout.damaged("meta", "has lost the log's head") }
    guard number == transaction.commitNumber else {
      throw TableLayout.damaged("meta", "is that of commit \(number), not of \(transaction.commitNumber)")
    }
    return head
  }

  func read(after position: Position, limit: Int, byteLimit: Int) throws -> [LogEntry] {
    let transaction = try environment.beginReading()
    let head = try head(transaction)
    guard position < head, limit > 0 else { return [] }
    var found: [LogEntry] = []
    var byteCount = 0
    var isCutOff = false
    var expected = position.next
    try EntryLayout.withKey(expected) { key in
      try transaction.forEach(in: environment.entries, from: key) { key, value in
        guard try EntryLayout.position(ofKey: key) == expected, expected <= head else {
          throw Self.hole(at: expected)
        }
        byteCount += value.count - EntryLayout.headerByteCount
        if byteCount > byteLimit && !found.isEmpty {
          isCutOff = true
          return false
        }
        found.append(try EntryLayout.read(value, at: expected))
        isCutOff = found.count == limit || expected == head
        expected = expected.next
        return !isCutOff
      }
    }
    // A damaged tree may end early without an error, so the end must be the one that is expected.
    guard isCutOff else { throw Self.hole(at: expected) }
    return found
  }

  func entry(at position: Position) throws -> LogEntry? {
    let transaction = try environment.beginReading()
    guard position > .start, try position <= head(transaction) else { return nil }
    let entry = try EntryLayout.withKey(position) { key in
      try transaction.value(of: key, in: environment.entries) { try EntryLayout.read($0, at: position) }
    }
    guard let entry else { throw Self.hole(at: position) }
    return entry
  }

  func laneHead(_ lane: Lane) throws -> LaneHead? {
    let transaction = try environment.beginReading()
    return try transaction.value(TableLayout.key(of: lane), in: environment.lanes, TableLayout.laneHead)
  }

  func laneHeads() throws -> [Lane: LaneHead] { try laneHeads(environment.beginReading()) }

  private func laneHeads(_ transaction: borrowing ReadTransaction) throws -> [Lane: LaneHead] {
    try transaction.table(environment.lanes, key: TableLayout.lane, value: TableLayout.laneHead)
  }

  func streamHeads() throws -> [StreamID: StreamHead] { try streamHeads(environment.beginReading()) }

  private func streamHeads(_ transaction: borrowing ReadTransaction) throws -> [StreamID: StreamHead] {
    try transaction.table(environment.streams, key: TableLayout.stream, value: TableLayout.streamHead)
  }

  func heads() throws -> LogHeads { try heads(environment.beginReading()) }

  private func heads(_ transaction: borrowing ReadTransaction) throws -> LogHeads {
    LogHeads(
      position: try head(transaction), lanes: try laneHeads(transaction),
      streams: try streamHeads(transaction))
  }

  func cursor(_ key: CursorKey) throws -> Cursor? {
    let transaction = try environment.beginReading()
    return try transaction.value(TableLayout.key(of: key), in: environment.cursors, TableLayout.cursor)
  }

  func cursors() throws -> [CursorKey: Cursor] {
    let transaction = try environment.beginReading()
    return try transaction.table(environment.cursors, key: TableLayout.cursorKey, value: TableLayout.cursor)
  }

  func snapshot(of agent: AgentID) throws -> [UInt8]? {
    let transaction = try environment.beginReading()
    let key = TableLayout.key(ofSnapshotOf: agent)
    return try transaction.value(key, in: environment.snapshots) { reader in
      Array(try reader.read(count: reader.remaining))
    }
  }

  private static func hole(at position: Position) -> HyphaError {
    HyphaError(
      .logInvalid, "the log has no entry at position \(position), though its head lies beyond",
      remedy: LogFailure.restore)
  }
}

// MARK: Opening

extension LogStore {
  /// How many of the newest entries are read when the log is opened for writing.
  private static let tailEntryCount: UInt64 = 64

  /// A planner that goes on where the log ends, once heads and newest entries were found to agree.
  ///
  /// For whoever holds the writer's lock: nothing changes between its reads.
  func loadPlanner() throws -> AppendPlanner {
    let transaction = try environment.beginReading()
    let head = try head(transaction)
    let keyCount = try transaction.keyCount(in: environment.entries)
    let lastKey = try transaction.lastKey(in: environment.entries, EntryLayout.position)
    guard lastKey ?? .start == head, keyCount == head.rawValue else {
      throw TableLayout.damaged(
        "entries", "has \(keyCount) entries up to position \(lastKey ?? .start), but the head is \(head)")
    }
    let lanes = try laneHeads()
    let streams = try streamHeads()
    // A count above its position would be wrong, and adding to it might overflow.
    guard lanes.values.allSatisfy({ $0.position <= head && $0.count <= $0.position.rawValue }) else {
      throw TableLayout.damaged("lanes", "has heads beyond the head of the log")
    }
    guard streams.values.allSatisfy({ $0.position <= head && $0.count <= $0.position.rawValue }) else {
      throw TableLayout.damaged("streams", "has heads beyond the head of the log")
    }
    let tailBegin = Position(rawValue: head.rawValue - min(head.rawValue, Self.tailEntryCount))
    let tail = try read(after: tailBegin, limit: Int(Self.tailEntryCount), byteLimit: .max)
    if let last = tail.last {
      let header = last.record.header
      guard lanes[header.lane]?.position == head, lanes[header.lane]?.point == header.point else {
        throw TableLayout.damaged("lanes", "does not name the newest entry as the head of its lane")
      }
      guard streams[header.stream]?.position == head else {
        throw TableLayout.damaged("streams", "does not name the newest entry as the head of its stream")
      }
    }
    return AppendPlanner(
      head: head, lastTime: tail.last?.appendedAt ?? .zero, lanes: lanes, streams: streams)
  }
}

extension ReadTransaction {
  /// The decoded value of a key whose check matches, or nil where there is none.
  fileprivate func value<Value>(
    _ key: [UInt8], in table: Environment.Table, _ decode: (inout ByteReader) throws -> Value
  ) throws -> Value? {
    try key.withUnsafeBytes { key in
      try value(of: key, in: table) { sealed in
        var reader = try TableLayout.unseal(sealed, key: key, table: table.name)
        return try decode(&reader)
      }
    }
  }

  /// A whole table, decoded and checked.
  fileprivate func table<Key: Hashable, Value>(
    _ table: Environment.Table, key decodeKey: (UnsafeRawBufferPointer) throws -> Key,
    value decodeValue: (inout ByteReader) throws -> Value
  ) throws -> [Key: Value] {
    var decoded: [Key: Value] = [:]
    try forEach(in: table) { key, sealed in
      var reader = try TableLayout.unseal(sealed, key: key, table: table.name)
      decoded[try decodeKey(key)] = try decodeValue(&reader)
      return true
    }
    guard UInt64(decoded.count) == (try keyCount(in: table)) else {
      throw TableLayout.damaged(table.name, "ends before its last value")
    }
    return decoded
  }
}
