import HyphaCore
import HyphaLog

/// Reads every row of the small tables, so that each checksum is compared and each value decoded.
enum TableCheck {
  /// A read transaction lives for so many rows.
  private static let chunkRowCount = 4_096

  /// What is wrong in the tables, a line each; at most one of each table, since its order is lost with a page.
  static func findings(in store: LogStore) throws -> [String] {
    try ["state", "snapshots", "gaps"].compactMap { name in
      do {
        var furthest = Position.start
        try forEachRow(of: name, store.environment) { furthest = max(furthest, try check($0, $1, of: name)) }
        // Rows are of the head's commit, or of one before it.
        let head = try store.view().head.position
        return furthest <= head
          ? nil : "the table \(name) speaks of position \(furthest), and the log ends at \(head)"
      } catch let error as HyphaError where error.code == .logInvalid {
        return error.problem
      }
    }
  }

  /// Calls `body` with each row of a table, in ascending order of the keys.
  static func forEachRow(
    of name: String, _ environment: Environment,
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Void
  ) throws {
    guard let table = environment.table(named: name) else { return }
    var last: [UInt8] = []
    var isOver = false
    while !isOver {
      let transaction = try environment.beginReading()
      let cursor = try transaction.cursor(in: table)
      var place = try last.isEmpty ? cursor.first() : last.withUnsafeBytes { try cursor.seek($0) }
      // The row with that key was seen; it may be gone by now.
      if let found = place, found.key.elementsEqual(last) { place = try cursor.next() }
      var count = 0
      while let found = place, count < chunkRowCount {
        guard last.lexicographicallyPrecedes(found.key) else {
          throw TableLayout.damaged(name, "is not in order")
        }
        try body(found.key, found.value)
        last = Array(found.key)
        count += 1
        place = try cursor.next()
      }
      isOver = place == nil
    }
  }

  /// Compares a row's checksum, and decodes its value.
  ///
  /// - Returns: the furthest position that it speaks of.
  /// - Throws: ``HyphaError/Code/logInvalid`` where the one does not match or the other cannot be.
  @discardableResult
  static func check(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, of name: String
  ) throws -> Position {
    var reader = try TableLayout.unseal(value, key: key, table: name)
    switch name {
    case "gaps":
      return try TableLayout.gap(endingAt: BlockLayout.position(ofKey: key, table: name), &reader).range
        .upperBound
    case "state": return try checkState(key, &reader)
    default: return .start
    }
  }

  private static func checkState(
    _ key: UnsafeRawBufferPointer, _ reader: inout ByteReader
  ) throws -> Position {
    switch key.first.flatMap(TableLayout.Kind.init) {
    case .lane?:
      _ = try TableLayout.lane(ofKey: key)
      return try TableLayout.laneHead(&reader).position
    case .stream?:
      _ = try TableLayout.stream(ofKey: key)
      return try TableLayout.streamHead(&reader).position
    case .cursor?:
      _ = try TableLayout.cursorKey(ofKey: key)
      return try TableLayout.cursor(&reader).position
    case .idempotencyKey?:
      let receipt = try TableLayout.keptReceipt(&reader).receipt
      // That of a batch without events has the position that would have been next.
      return receipt.count > 0 ? receipt.first : .start
    case nil:
      guard [TableLayout.formatKey, TableLayout.identityKey, TableLayout.headKey].contains(Array(key)) else {
        throw TableLayout.damaged("state", "has a key of an unknown kind")
      }
      return .start
    }
  }
}

extension Environment {
  /// The table of a name, or nil.
  func table(named name: String) -> Table? { [blocks, state, snapshots, gaps].first { $0.name == name } }
}
