import HyphaCore
import HyphaLog

/// What the index says of itself: the one value of its table `meta`, version 1.
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 4 | format version |
/// | 4 | 16 | id of the log, as a UUID |
/// | 20 | 16 | key of the hash |
/// | 36 | 8 | first position that is covered |
/// | 44 | 8 | last position that is covered; one less than the first where there is none |
/// | 52 | 8 | position of the newest entry seen; 0 where none was |
/// | 60 | 8 | when the log took that entry |
/// | 68 | 16 | its event's id |
/// | 84 | 4 | positions of a full run, ``LogIndexSettings/runSpanCount`` |
/// | 88 | 8 | number of the commit |
/// | 96 | 4 | check, as in ``TableLayout`` |
///
/// The newest entry ties the index to the log's history: a log that was restored from an older copy and went on has
/// another entry there, and the index is then not for it.
struct IndexMeta: Equatable {
  static let formatVersion: UInt32 = 1
  static let key = Array("index".utf8)

  /// The newest entry that was seen.
  struct Anchor: Equatable {
    var position = Position.start
    var time = Timestamp.zero
    var id = EventID.none
  }

  var log: EventID
  var hashKey: [UInt8]
  var first: Position
  var through: Position
  var anchor = Anchor()
  var runSpanCount: Int
  var commitNumber: UInt64 = 0

  /// What is covered; nil where nothing is.
  var covered: ClosedRange<Position>? { first <= through ? first...through : nil }

  /// Its bytes, without the check.
  var bytes: [UInt8] {
    var writer = ByteWriter(capacity: 96)
    writer.write(Self.formatVersion)
    writer.write(log)
    writer.write(hashKey)
    writer.write(first.rawValue)
    writer.write(through.rawValue)
    writer.write(anchor.position.rawValue)
    writer.write(anchor.time.rawValue)
    writer.write(anchor.id)
    writer.write(UInt32(runSpanCount))
    writer.write(commitNumber)
    return writer.bytes
  }

  /// Meta of a log that nothing is indexed of, from `first` on, under a new key.
  init(log: EventID, first: Position, runSpanCount: Int) {
    self.log = log
    self.runSpanCount = runSpanCount
    hashKey = TermHash.random().key
    self.first = first
    through = first.previous
  }

  /// Meta from its bytes in front of the check, which was held against them.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when it is impossible or of another version.
  init(_ reader: inout ByteReader) throws {
    let version: UInt32 = try reader.read()
    guard version == Self.formatVersion else {
      throw IndexFailure.damaged("it has format \(version), this program knows \(Self.formatVersion)")
    }
    log = try reader.readEventID()
    hashKey = Array(try reader.read(count: TermHash.keyByteCount))
    first = Position(rawValue: try reader.read())
    through = Position(rawValue: try reader.read())
    anchor = Anchor(
      position: Position(rawValue: try reader.read()), time: Timestamp(rawValue: try reader.read()),
      id: try reader.readEventID())
    runSpanCount = Int(try reader.read(UInt32.self))
    commitNumber = try reader.read()
    try reader.finish()
    guard first > .start, through >= first.previous, through.rawValue < .max, anchor.position <= through
    else {
      throw IndexFailure.damaged("it covers impossible positions")
    }
  }
}

extension Position {
  /// The position before this one, which is not ``start``.
  var previous: Position { Position(rawValue: rawValue - 1) }
}

/// The log that an index is of.
protocol IndexedLog: Sendable {
  var identity: LogIdentity { get }
  func head() throws -> Position
  func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, keepsPages: Bool, _ body: (EntryView) throws -> Bool)
    throws
}

extension LogStore: IndexedLog {}

extension IndexedLog {
  /// The first entry that is still there, or the position behind the head.
  func firstPosition() throws -> Position {
    let head = try head()
    var first = head.next
    guard head > .start else { return first }
    try visit(Position.start.next...head, .forward, keepsPages: true) { entry in
      first = entry.position
      return false
    }
    return first
  }

  /// Whether the entry that `meta` is tied to is in the log.
  func has(_ anchor: IndexMeta.Anchor) throws -> Bool {
    guard anchor.position > .start else { return true }
    guard try anchor.position <= head() else { return false }
    var isThere = false
    try visit(anchor.position...anchor.position, .forward, keepsPages: true) { entry in
      isThere = entry.appendedAt == anchor.time && entry.record.id == anchor.id
      return false
    }
    return isThere
  }
}
