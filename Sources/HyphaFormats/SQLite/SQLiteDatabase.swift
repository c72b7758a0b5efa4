import CSQLite
import HyphaCore

/// A value in an SQLite database.
package enum SQLiteValue: Hashable, Sendable {
  case null
  case integer(Int64)
  case real(Double)
  case text(String)

  /// The text; nil for any other value.
  package var text: String? { if case .text(let text) = self { text } else { nil } }
}

/// One SQLite database in one file: a new one, which is written in one transaction, or one that is there and only read. For one
/// thread.
package final class SQLiteDatabase {
  /// A statement to be run again and again, as long as its database is open.
  package struct Statement {
    fileprivate let pointer: OpaquePointer
  }

  private var database: OpaquePointer?
  private var statements: [OpaquePointer] = []
  private let path: String
  private let isNew: Bool
  private var interruption: Interruption?

  /// What ends a statement from within.
  private final class Interruption {
    let checkpoint: () throws -> Void
    var error: (any Error)?

    init(_ checkpoint: @escaping () throws -> Void) { self.checkpoint = checkpoint }
  }

  /// How many of its instructions SQLite runs between two checkpoints: some milliseconds.
  private static let checkpointInterval: Int32 = 100_000

  private init(path: String, isNew: Bool) throws {
    self.path = path
    self.isNew = isNew
    let flags = isNew ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY
    guard sqlite3_open_v2(path, &database, flags | SQLITE_OPEN_NOMUTEX, nil) == SQLITE_OK else {
      let error = failure("sqlite3_open_v2")
      close()
      throw error
    }
  }

  /// A new database at `path`, where nothing may be yet or an empty file. Call ``finish()`` when all is written.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` when it cannot be written.
  package static func making(_ path: String) throws -> SQLiteDatabase {
    let database = try SQLiteDatabase(path: path, isNew: true)
    // Who makes it gives it its name when it is whole, so a journal would guard nothing.
    try database.run("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
    return database
  }

  /// The database at `path`, which is not changed. What it is asked to sort goes through files of its own.
  ///
  /// - Parameter checkpoint: called often while statements run; what it throws ends the statement and comes out of it.
  /// - Throws: ``HyphaError/Code/fileUnavailable`` when it cannot be opened; ``HyphaError/Code/invalidInput`` for what is
  ///   no database.
  package static func reading(_ path: String, checkpoint: @escaping () throws -> Void = {}) throws
    -> SQLiteDatabase
  {
    let database = try SQLiteDatabase(path: path, isNew: false)
    let interruption = Interruption(checkpoint)
    // The database keeps it alive for as long as statements run.
    database.interruption = interruption
    sqlite3_progress_handler(
      database.database, checkpointInterval,
      { context in
        guard let context else { return 0 }
        let interruption = Unmanaged<Interruption>.fromOpaque(context).takeUnretainedValue()
        do { try interruption.checkpoint() } catch { interruption.error = error }
        return interruption.error == nil ? 0 : 1
      }, Unmanaged.passUnretained(interruption).toOpaque())
    // A view or trigger of a stranger's database runs nothing of ours.
    try database.run(
      "PRAGMA trusted_schema = OFF; PRAGMA temp_store = FILE; SELECT count(*) FROM sqlite_schema")
    return database
  }

  deinit { close() }

  /// Runs statements that give nothing.
  package func run(_ sql: String) throws {
    guard sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK else { throw failed("sqlite3_exec") }
  }

  /// A statement to be run again and again.
  package func prepare(_ sql: String) throws -> Statement {
    var statement: OpaquePointer?
    guard sqlite3_prepare_v2(database, sql, -1, &statement, nil) == SQLITE_OK, let statement else {
      throw failed("sqlite3_prepare_v2")
    }
    statements.append(statement)
    return Statement(pointer: statement)
  }

  /// Runs a statement that gives nothing with these values.
  package func run(_ statement: Statement, _ values: [SQLiteValue]) throws {
    try bind(values, to: statement)
    guard sqlite3_step(statement.pointer) == SQLITE_DONE else { throw failed("sqlite3_step") }
    sqlite3_reset(statement.pointer)
  }

  /// Runs a statement that gives nothing with these texts.
  package func run(_ statement: Statement, _ texts: String...) throws {
    try run(statement, texts.map { .text($0) })
  }

  /// Calls `body` with each row that a statement gives.
  package func forEachRow(
    of statement: Statement, _ values: [SQLiteValue] = [], _ body: ([SQLiteValue]) throws -> Void
  ) throws {
    try bind(values, to: statement)
    defer { sqlite3_reset(statement.pointer) }
    while true {
      switch sqlite3_step(statement.pointer) {
      case SQLITE_ROW: try body(row(of: statement.pointer))
      case SQLITE_DONE: return
      default: throw failed("sqlite3_step")
      }
    }
  }

  /// Calls `body` with each row that a query gives.
  package func forEachRow(of sql: String, _ body: ([SQLiteValue]) throws -> Void) throws {
    try forEachRow(of: prepare(sql), [], body)
  }

  /// Commits what was written and closes the file.
  package func finish() throws {
    if isNew { try run("COMMIT") }
    close()
  }

  /// `text` as a name in SQL.
  package static func quoted(_ text: String) -> String {
    "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
  }

  private func bind(_ values: [SQLiteValue], to statement: Statement) throws {
    for (index, value) in values.enumerated() {
      let place = Int32(index + 1)
      let code =
        switch value {
        case .null: sqlite3_bind_null(statement.pointer, place)
        case .integer(let number): sqlite3_bind_int64(statement.pointer, place, number)
        case .real(let number): sqlite3_bind_double(statement.pointer, place, number)
        case .text(let text): bind(text, to: statement, at: place)
        }
      guard code == SQLITE_OK else { throw failed("sqlite3_bind") }
    }
  }

  private func bind(_ text: String, to statement: Statement, at place: Int32) -> Int32 {
    var text = text
    return text.withUTF8 { bytes in
      // An empty text has no address, which would be a null.
      guard let start = bytes.baseAddress, !bytes.isEmpty else {
        return hypha_sqlite_bind_text(statement.pointer, place, "", 0)
      }
      return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
        hypha_sqlite_bind_text(statement.pointer, place, $0, Int32(clamping: bytes.count))
      }
    }
  }

  private func row(of statement: OpaquePointer) -> [SQLiteValue] {
    (0..<sqlite3_column_count(statement)).map { column in
      switch sqlite3_column_type(statement, column) {
      case SQLITE_INTEGER: return .integer(sqlite3_column_int64(statement, column))
      case SQLITE_FLOAT: return .real(sqlite3_column_double(statement, column))
      case SQLITE_NULL: return .null
      default:
        let count = Int(sqlite3_column_bytes(statement, column))
        let bytes = UnsafeRawBufferPointer(start: sqlite3_column_blob(statement, column), count: count)
        return .text(String(decoding: bytes, as: UTF8.self))
      }
    }
  }

  private func close() {
    for statement in statements { sqlite3_finalize(statement) }
    statements = []
    sqlite3_close_v2(database)
    database = nil
  }

  /// Why a call has failed: what the checkpoint has thrown, or what SQLite says.
  private func failed(_ call: String) -> any Error { interruption?.error ?? failure(call) }

  private func failure(_ call: String) -> HyphaError {
    let cause = database.map { String(cString: sqlite3_errmsg($0)) } ?? "no memory"
    if isNew {
      return HyphaError(
        .fileUnavailable, "\(path) cannot be written", remedy: "make room, or name a file elsewhere",
        cause: "\(call): \(cause)")
    }
    let code = database.map { sqlite3_errcode($0) } ?? SQLITE_NOMEM
    let isUnavailable = [SQLITE_CANTOPEN, SQLITE_IOERR, SQLITE_FULL, SQLITE_NOMEM].contains(code)
    return HyphaError(
      isUnavailable ? .fileUnavailable : .invalidInput, "\(path) cannot be read as a database",
      remedy: "give a file that SQLite opens", cause: "\(call): \(cause)")
  }
}
