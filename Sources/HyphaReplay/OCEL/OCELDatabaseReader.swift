import HyphaCore
import HyphaFormats

/// Reads an object-centric event log, OCEL 2.0 in SQLite: definitions first, then objects, then events in the order of their
/// times. What has to be sorted or looked up is copied to tables of the reader's own, which SQLite keeps on disk.
struct OCELDatabaseReader {
  private let file: SQLiteDatabase
  private let path: String

  /// - Parameter checkpoint: called often while the database works; what it throws ends the reading.
  init(_ path: String, checkpoint: @escaping () throws -> Void) throws {
    self.path = path
    file = try SQLiteDatabase.reading(path, checkpoint: checkpoint)
  }

  /// A type's table.
  private struct TypeTable {
    let type: String
    /// Its name as SQL has it.
    let table: String
    /// The columns of attributes, with the types that OCEL has for them, and where each stands in a row.
    var attributes: [(name: String, form: String, place: Int)] = []
    /// Whether its objects may change, which not all tools give columns where none does.
    var isTimed = false
    var isChanging = false
  }

  func read(
    definition: (OCEL.TypeDefinition, _ isEvent: Bool) throws -> Void, object: (OCEL.Object) throws -> Void,
    event: (OCEL.Event) throws -> Void
  ) throws {
    let (events, objects) = (try tables("event"), try tables("object"))
    for (tables, isEvent) in [(objects, false), (events, true)] {
      for table in tables {
        let attributes = table.attributes.map {
          OCEL.TypeDefinition.AttributeDefinition(name: $0.name, type: $0.form)
        }
        try definition(.init(name: table.type, attributes: attributes), isEvent)
      }
    }
    try readObjects(objects, object)
    try readEvents(events, event)
  }

  private func tables(_ kind: String) throws -> [TypeTable] {
    var tables: [TypeTable] = []
    try file.forEachRow(of: "SELECT ocel_type, ocel_type_map FROM \(kind)_map_type ORDER BY rowid") { row in
      guard let type = row[0].text, let map = row[1].text else {
        throw problem("names a type of \(kind)s without a table")
      }
      tables.append(TypeTable(type: type, table: SQLiteDatabase.quoted("\(kind)_\(map)")))
    }
    for index in tables.indices {
      var place = 0
      try file.forEachRow(of: "PRAGMA table_info(\(tables[index].table))") { row in
        defer { place += 1 }
        guard let name = row[1].text else { return }
        if name == "ocel_time" { tables[index].isTimed = true }
        if name == "ocel_changed_field" { tables[index].isChanging = true }
        // Such names are not for attributes; what pm4py writes so stands elsewhere too.
        guard !name.hasPrefix("ocel_"), !name.hasPrefix("ocel:") else { return }
        tables[index].attributes.append((name, Self.form(row[2].text ?? ""), place))
      }
    }
    return tables
  }

  private static func form(_ declared: String) -> String {
    let declared = declared.uppercased()
    return switch declared {
    case _ where declared.hasPrefix("INT") || declared == "BIGINT": "integer"
    case "REAL", "FLOAT", "DOUBLE", "NUMERIC": "float"
    case "BOOLEAN", "BOOL": "boolean"
    case "TIMESTAMP", "DATETIME": "time"
    case "DATE": "date"
    default: "string"
    }
  }

  private func readObjects(_ tables: [TypeTable], _ body: (OCEL.Object) throws -> Void) throws {
    try copy(
      "SELECT ocel_source_id AS a, ocel_target_id AS b, ocel_qualifier AS c FROM object_object", to: "links")
    let links = try file.prepare("SELECT b, c FROM temp.links WHERE a = ? ORDER BY rowid")
    for (number, table) in tables.enumerated() {
      try file.run("CREATE TEMP TABLE rows\(number) AS SELECT * FROM main.\(table.table)")
      try file.run("CREATE INDEX temp.rows\(number)_id ON rows\(number) (ocel_id)")
      // A name in quotes that no column has would be a text.
      let columns =
        [table.isTimed ? "ocel_time" : "NULL", table.isChanging ? "ocel_changed_field" : "NULL"]
        + table.attributes.map { SQLiteDatabase.quoted($0.name) }
      let order =
        (table.isChanging ? ["ocel_changed_field IS NOT NULL"] : [])
        + (table.isTimed ? ["ocel_time"] : []) + ["rowid"]
      let rows = try file.prepare(
        "SELECT \(columns.joined(separator: ", ")) FROM temp.rows\(number) WHERE ocel_id = ? "
          + "ORDER BY \(order.joined(separator: ", "))")
      let ids = try file.prepare("SELECT ocel_id FROM object WHERE ocel_type = ? ORDER BY rowid")
      try file.forEachRow(of: ids, [.text(table.type)]) { row in
        var object = OCEL.Object(id: try text(row[0], "an object's id"), type: table.type)
        try file.forEachRow(of: rows, [.text(object.id)]) { row in
          let time = row[0].text.map(Self.time) ?? OCELDatabase.begin
          for (index, attribute) in table.attributes.enumerated() {
            let isMeant = row[1].text.map { $0 == attribute.name } ?? true
            guard isMeant, let value = Self.value(row[index + 2], attribute.form) else { continue }
            object.attributes.append(.init(name: attribute.name, time: time, value: value))
          }
        }
        try file.forEachRow(of: links, [.text(object.id)]) { row in
          object.relationships.append(.init(objectId: row[0].text ?? "", qualifier: row[1].text ?? ""))
        }
        try body(object)
      }
    }
  }

  private func readEvents(_ tables: [TypeTable], _ body: (OCEL.Event) throws -> Void) throws {
    try copy(
      "SELECT ocel_event_id AS a, ocel_object_id AS b, ocel_qualifier AS c FROM event_object", to: "relations"
    )
    let relations = try file.prepare("SELECT b, c FROM temp.relations WHERE a = ? ORDER BY rowid")
    try file.run("CREATE TEMP TABLE times (number INTEGER, place INTEGER, time TEXT)")
    for (number, table) in tables.enumerated() {
      try file.run("INSERT INTO temp.times SELECT \(number), rowid, ocel_time FROM main.\(table.table)")
    }
    // Times of one form sort as texts do.
    let order = try file.prepare("SELECT number, place FROM temp.times ORDER BY time, number, place")
    let rows = try tables.map { table in
      let columns = (["ocel_id", "ocel_time"] + table.attributes.map(\.name)).map(SQLiteDatabase.quoted)
      return try file.prepare(
        "SELECT \(columns.joined(separator: ", ")) FROM main.\(table.table) WHERE rowid = ?")
    }
    try file.forEachRow(of: order) { place in
      guard case .integer(let number) = place[0] else { return }
      let table = tables[Int(number)]
      try file.forEachRow(of: rows[Int(number)], [place[1]]) { row in
        var event = OCEL.Event(
          id: try text(row[0], "an event's id"), type: table.type,
          time: Self.time(try text(row[1], "the time of an event")))
        for (index, attribute) in table.attributes.enumerated() {
          guard let value = Self.value(row[index + 2], attribute.form) else { continue }
          event.attributes.append(.init(name: attribute.name, value: value))
        }
        try file.forEachRow(of: relations, [.text(event.id)]) { row in
          event.relationships.append(.init(objectId: row[0].text ?? "", qualifier: row[1].text ?? ""))
        }
        try body(event)
      }
    }
  }

  private func copy(_ query: String, to table: String) throws {
    try file.run("CREATE TEMP TABLE \(table) AS \(query)")
    try file.run("CREATE INDEX temp.\(table)_a ON \(table) (a)")
  }

  /// A time as JSON has it: other tools write a space, and no zone, which is UTC.
  private static func time(_ text: String) -> String {
    guard RecordedTime.microseconds(text, form: .rfc3339) == nil,
      let microseconds = RecordedTime.microseconds(text, form: .table)
    else { return text }
    return RecordedTime.text(microseconds) ?? text
  }

  private static func value(_ value: SQLiteValue, _ form: String) -> JSONValue? {
    switch value {
    case .null: nil
    case .integer(let number): form == "boolean" ? .bool(number != 0) : .integer(number)
    // JSON has no other numbers.
    case .real(let number): number.isFinite ? .number(number) : nil
    case .text(let text): .string(text)
    }
  }

  private func text(_ value: SQLiteValue, _ what: String) throws -> String {
    switch value {
    case .text(let text): return text
    case .integer(let number): return "\(number)"
    default: throw problem("has no text for \(what)")
    }
  }

  private func problem(_ text: String) -> HyphaError {
    HyphaError(
      .invalidInput, "\(path) \(text)", remedy: "give an object-centric event log (OCEL 2.0) in SQLite")
  }
}
