import HyphaCore
import HyphaFormats

/// The tables that OCEL has for each type of events, or of objects, with a column for each attribute.
struct OCELTables {
  private struct Table {
    let name: String
    /// Where the column of each attribute stands, and the type that it was made with.
    var columns: [String: (place: Int, form: String)] = [:]
    /// The types that definitions gave to columns that were there already.
    var defined: [String: String] = [:]
    var statement: SQLiteDatabase.Statement?
  }

  private let file: SQLiteDatabase
  private let kind: String
  private let fixedColumns: [String]
  private var tables: [String: Table] = [:]

  init(_ file: SQLiteDatabase, _ kind: String, _ fixedColumns: [String]) {
    (self.file, self.kind, self.fixedColumns) = (file, kind, fixedColumns)
  }

  /// Makes the table of a type, unless there is one.
  mutating func declare(_ type: String) throws {
    guard tables[type] == nil else { return }
    // A name that no type can break, and none has twice.
    let map = "Type\(tables.count + 1)"
    try file.run("CREATE TABLE \(kind)_\(map) (\(fixedColumns.joined(separator: ", ")))")
    try file.run(
      try file.prepare("INSERT INTO \(kind)_map_type VALUES (?, ?)"), [.text(type), .text(map)])
    tables[type] = Table(name: "\(kind)_\(map)")
  }

  /// Makes the column of an attribute, unless there is one; `form` is its type as OCEL names it.
  mutating func declare(_ attribute: String, of type: String, as form: String) throws {
    try declare(type)
    guard var table = tables[type], table.columns[attribute] == nil else { return }
    try file.run("ALTER TABLE \(table.name) ADD COLUMN \(Self.column(attribute, form))")
    table.columns[attribute] = (fixedColumns.count + table.columns.count, form)
    table.statement = nil
    tables[type] = table
  }

  /// The same by a definition, which is right also where values came before it.
  mutating func define(_ attribute: String, of type: String, as form: String) throws {
    try declare(attribute, of: type, as: form)
    if tables[type]?.columns[attribute]?.form != form { tables[type]?.defined[attribute] = form }
  }

  /// Makes tables anew whose columns were defined behind their values: SQLite cannot change a column's type.
  mutating func finish() throws {
    for table in tables.values.sorted(by: { $0.name < $1.name }) where !table.defined.isEmpty {
      var columns = fixedColumns
      var values = fixedColumns.map { String($0.prefix { $0 != " " }) }
      for (name, column) in table.columns.sorted(by: { $0.value.place < $1.value.place }) {
        let (form, quoted) = (table.defined[name] ?? column.form, SQLiteDatabase.quoted(name))
        columns.append(Self.column(name, form))
        let wasTruth = column.form == "boolean" && form == "string"
        values.append(wasTruth ? "CASE \(quoted) WHEN 1 THEN 'true' WHEN 0 THEN 'false' END" : quoted)
      }
      let new = "new_\(table.name)"
      try file.run(
        """
        CREATE TABLE \(new) (\(columns.joined(separator: ", ")));
        INSERT INTO \(new) SELECT \(values.joined(separator: ", ")) FROM \(table.name) ORDER BY rowid;
        DROP TABLE \(table.name);
        ALTER TABLE \(new) RENAME TO \(table.name);
        """)
    }
  }

  private static func column(_ attribute: String, _ form: String) -> String {
    "\(SQLiteDatabase.quoted(attribute)) \(forms.first { $0.ocel == form }?.sql ?? "TEXT")"
  }

  /// Writes a row of a type's table.
  mutating func insert(
    _ fixed: [SQLiteValue], _ attributes: [(String, JSONValue)], type: String
  ) throws {
    try declare(type)
    for (name, value) in attributes { try declare(name, of: type, as: Self.form(of: value)) }
    guard var table = tables[type] else { return }
    let count = fixedColumns.count + table.columns.count
    var row = fixed + Array(repeating: SQLiteValue.null, count: count - fixed.count)
    for (name, value) in attributes {
      if let column = table.columns[name] { row[column.place] = Self.value(value, column.form) }
    }
    let marks = Array(repeating: "?", count: count).joined(separator: ", ")
    let statement = try table.statement ?? file.prepare("INSERT INTO \(table.name) VALUES (\(marks))")
    table.statement = statement
    tables[type] = table
    try file.run(statement, row)
  }

  /// The types of attributes, as OCEL and as SQLite name them. `date` is what pm4py calls a time.
  static let forms: [(ocel: String, sql: String)] = [
    ("string", "TEXT"), ("integer", "INTEGER"), ("float", "REAL"), ("boolean", "BOOLEAN"),
    ("time", "TIMESTAMP"), ("date", "DATE"),
  ]

  private static func form(of value: JSONValue) -> String {
    switch value {
    case .integer: "integer"
    case .unsigned, .number: "float"
    case .bool: "boolean"
    default: "string"
    }
  }

  private static func value(_ value: JSONValue, _ form: String) -> SQLiteValue {
    switch value {
    case .null: .null
    case .bool(let value) where form == "string": .text(value ? "true" : "false")
    case .bool(let value): .integer(value ? 1 : 0)
    case .integer(let value): .integer(value)
    // A database has no room for it as a whole number.
    case .unsigned(let value): .real(Double(value))
    case .number(let value): .real(value)
    case .string(let value): .text(value)
    case .array, .object: .text((try? JSON.text(value)) ?? "")
    }
  }
}
