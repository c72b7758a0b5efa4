import HyphaCore
import HyphaFormats
import HyphaLog

/// Writes replayed events as an object-centric event log, OCEL 2.0 in SQLite (ocel-standard.org): the same events, objects and
/// relations as in JSON.
///
/// All is written as it comes; which objects there are the database itself knows. Memory is that of the types.
public final class OCELDatabase {
  /// How many events were written.
  public private(set) var eventCount = 0
  private let file: SQLiteDatabase
  private let event, object, relation, objectRelation: SQLiteDatabase.Statement
  private var eventTables: OCELTables
  private var objectTables: OCELTables
  private var isImported = false

  /// A database at `path`, where nothing may be yet or an empty file.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` when it cannot be written.
  public init(path: String) throws {
    let file = try SQLiteDatabase.making(path)
    try file.run(
      """
      CREATE TABLE event (ocel_id TEXT PRIMARY KEY, ocel_type TEXT);
      CREATE TABLE object (ocel_id TEXT PRIMARY KEY, ocel_type TEXT);
      CREATE TABLE event_object (ocel_event_id TEXT, ocel_object_id TEXT, ocel_qualifier TEXT,
        PRIMARY KEY (ocel_event_id, ocel_object_id, ocel_qualifier));
      CREATE TABLE object_object (ocel_source_id TEXT, ocel_target_id TEXT, ocel_qualifier TEXT,
        PRIMARY KEY (ocel_source_id, ocel_target_id, ocel_qualifier));
      CREATE TABLE event_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT);
      CREATE TABLE object_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT);
      """)
    self.file = file
    event = try file.prepare("INSERT INTO event VALUES (?, ?)")
    object = try file.prepare("INSERT OR IGNORE INTO object VALUES (?, ?) RETURNING 1")
    relation = try file.prepare("INSERT OR IGNORE INTO event_object VALUES (?, ?, ?)")
    objectRelation = try file.prepare("INSERT OR IGNORE INTO object_object VALUES (?, ?, ?)")
    eventTables = OCELTables(file, "event", ["ocel_id TEXT PRIMARY KEY", "ocel_time TEXT"])
    objectTables = OCELTables(file, "object", ["ocel_id TEXT", "ocel_time TEXT", "ocel_changed_field TEXT"])
  }

  /// Writes one event; of an imported log also its objects and definitions.
  public func add(_ replayed: ReplayedEntry) throws {
    let record = replayed.entry.record
    switch record.contentType {
    case .ocelObject:
      isImported = true
      try add(try JSON.decode(OCEL.Object.self, from: record.payload))
    case .ocelEventType: try define(record, &eventTables)
    case .ocelObjectType: try define(record, &objectTables)
    case _ where record.contentType.isXESBackground: break
    default:
      let isOwn = record.contentType != .ocelEvent
      try add(OCEL.Event(record), isOwn: isOwn)
      eventCount += 1
    }
  }

  /// Commits what was written and closes the file. Nothing may be added then.
  public func finish() throws {
    if eventCount == 0, !isImported { for type in ["agent", "case"] { try objectTables.declare(type) } }
    try eventTables.finish()
    try objectTables.finish()
    try file.finish()
  }

  private func define(_ record: RecordView, _ tables: inout OCELTables) throws {
    isImported = true
    let definition = try JSON.decode(OCEL.TypeDefinition.self, from: record.payload)
    try tables.declare(definition.name)
    for attribute in definition.attributes {
      try tables.define(attribute.name, of: definition.name, as: attribute.type)
    }
  }

  private func add(_ event: OCEL.Event, isOwn: Bool) throws {
    try file.run(self.event, event.id, event.type)
    try eventTables.insert(
      [.text(event.id), .text(event.time)], event.attributes.map { ($0.name, $0.value) }, type: event.type)
    for related in event.relationships {
      try file.run(relation, event.id, related.objectId, related.qualifier)
      guard isOwn else { continue }
      let type = related.qualifier == "case" ? "case" : "agent"
      if try isNew(related.objectId, type) {
        try objectTables.insert([.text(related.objectId), .text(Self.begin), .null], [], type: type)
      }
    }
  }

  private func add(_ object: OCEL.Object) throws {
    guard try isNew(object.id, object.type) else { return }
    var initial: [(String, JSONValue)] = []
    var changes: [OCEL.TimedAttribute] = []
    for attribute in object.attributes {
      let isFirst = RecordedTime.microseconds(attribute.time) == 0
      if isFirst, !initial.contains(where: { $0.0 == attribute.name }) {
        initial.append((attribute.name, attribute.value))
      } else {
        changes.append(attribute)
      }
    }
    try objectTables.insert([.text(object.id), .text(Self.begin), .null], initial, type: object.type)
    for change in changes {
      try objectTables.insert(
        [.text(object.id), .text(change.time), .text(change.name)], [(change.name, change.value)],
        type: object.type)
    }
    for related in object.relationships {
      try file.run(objectRelation, object.id, related.objectId, related.qualifier)
    }
  }

  /// What attributes have from the begin on has this time.
  static let begin = "1970-01-01T00:00:00Z"

  private func isNew(_ object: String, _ type: String) throws -> Bool {
    var isNew = false
    try file.forEachRow(of: self.object, [.text(object), .text(type)]) { _ in isNew = true }
    return isNew
  }
}
