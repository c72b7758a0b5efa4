import HyphaCore
public import HyphaLog

/// The shared values that a node's agents read, as its log has them.
public enum SharedReading {
  /// The newest value of each author, type and subject that agents of a log's node read; by type, author and subject. None
  /// where the node has never run.
  ///
  /// - Complexity: a read for each value, and one for each that was stated since they were noted last.
  public static func newest(in log: some LogReader) throws -> [LogEntry] {
    guard let noted = try SharedSnapshot.read(in: log) else { return [] }
    return try table(of: Set(noted.types), in: log).table.all.compactMap { try log.entry(at: $0.position) }
  }

  /// What a prune must leave: where the newest values stand.
  static func positions(in log: some LogReader) throws -> Set<Position> {
    guard let noted = try SharedSnapshot.read(in: log), !noted.types.isEmpty else { return [] }
    return Set(try table(of: Set(noted.types), in: log).table.all.map(\.position))
  }

  /// The newest values of some types, and up to where the log was looked at.
  static func table(
    of types: Set<EventTypeName>, in log: some LogReader, limits: SharedTable.Limits = .init()
  )
    throws -> (table: SharedTable, through: Position)
  {
    var table = SharedTable(of: types, limits: limits)
    let head = try log.head()
    guard !types.isEmpty else { return (table, head) }
    let noted = try SharedSnapshot.read(in: log)
    let known = types.intersection(noted?.types ?? [])
    for position in noted?.values ?? [] {
      // One that was pruned since has a newer one behind it.
      guard let entry = try log.entry(at: Position(rawValue: position)) else { continue }
      table.take(entry.record, at: entry.position)
    }
    try read(known, after: Position(rawValue: noted?.through ?? 0), through: head, of: log, into: &table)
    try read(types.subtracting(known), after: .start, through: head, of: log, into: &table)
    return (table, head)
  }

  private static func read(
    _ types: Set<EventTypeName>, after start: Position, through end: Position, of log: some LogReader,
    into table: inout SharedTable
  ) throws {
    guard !types.isEmpty, start < end else { return }
    var query = LogQuery()
    query.types = types.sorted()
    query.positions = start.next...end
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries { table.take(entry.record, at: entry.position) }
      cursor = page.next
    } while cursor != nil
  }
}

/// Where a node's log has the newest shared values, kept beside the snapshots of agents: a start need not look at all of it.
struct SharedSnapshot: Codable {
  /// The position up to which it knows all.
  var through: UInt64
  /// The types that the node's agents read.
  var types: [EventTypeName]
  /// The positions of the values.
  var values: [UInt64]

  /// The name under which the log keeps it.
  static let owner: AgentID = "hypha.shared"

  init(_ table: SharedTable, through position: Position) {
    through = position.rawValue
    types = table.types.sorted()
    values = table.all.map(\.position.rawValue)
  }

  /// The newest one in a log; nil where there is none that this version reads.
  static func read(in log: some LogReader) throws -> SharedSnapshot? {
    try log.snapshot(of: owner).flatMap { try? JSON.decode(SharedSnapshot.self, from: $0) }
  }

  var bytes: [UInt8] { get throws { Array(try JSON.encode(self)) } }
}
