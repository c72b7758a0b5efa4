// Whichever module is loaded first has `timespec`.
import CLMDB
import Glibc
import HyphaCore
import HyphaLog

/// What a log is at one moment: one read transaction, with the head that it sees.
///
/// It stays on the thread that made it, and lives for a chunk of a read at most.
final class LogView {
  let environment: Environment
  let payloads: PayloadStore
  let transaction: ReadTransaction
  let head: CommitHead
  /// Keeps the environment open until the transaction has ended.
  private let lease: EnvironmentLease?

  /// What is committed now.
  ///
  /// A view may be newer than the mark that LMDB sets for it: LMDB sets the mark first and looks for the tables then,
  /// and where other commits come in between, it finds theirs. The mark keeps their pages as well.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when the head is that of an older commit: a damaged meta page leads to
  ///   its tables.
  init(_ environment: Environment, payloads: PayloadStore, lease: EnvironmentLease? = nil) throws {
    self.lease = lease
    self.environment = environment
    self.payloads = payloads
    transaction = try environment.beginReading()
    let state = environment.state
    let found = try transaction.value(TableLayout.headKey, in: state, TableLayout.head)
    guard let found else { throw TableLayout.damaged("state", "has lost the log's head") }
    guard found.commitNumber >= transaction.commitNumber else {
      throw TableLayout.damaged(
        "state", "is that of commit \(found.commitNumber), not of \(transaction.commitNumber)")
    }
    head = found
  }

  /// The decoded value of a key in the table `state`, or nil where there is none.
  func value<Value>(_ key: [UInt8], _ decode: (inout ByteReader) throws -> Value) throws -> Value? {
    try transaction.confirmPages(of: environment.state)
    return try transaction.value(key, in: environment.state, decode)
  }

  /// All keys of one kind in the table `state`, with their values.
  func values<Key: Hashable, Value>(
    of kind: TableLayout.Kind, key decodeKey: (UnsafeRawBufferPointer) throws -> Key,
    value decodeValue: (inout ByteReader) throws -> Value
  ) throws -> [Key: Value] {
    try transaction.confirmPages(of: environment.state)
    var decoded: [Key: Value] = [:]
    let cursor = try transaction.cursor(in: environment.state)
    var place = try [kind.rawValue].withUnsafeBytes { try cursor.seek($0) }
    while let found = place, found.key.first == kind.rawValue {
      var reader = try TableLayout.unseal(found.value, key: found.key, table: "state")
      decoded[try decodeKey(found.key)] = try decodeValue(&reader)
      place = try cursor.next()
    }
    return decoded
  }

  /// The gap that a position lies in, or nil.
  func gap(at position: Position) throws -> LogGap? {
    try transaction.confirmPages(of: environment.gaps)
    let cursor = try transaction.cursor(in: environment.gaps)
    guard let found = try BlockLayout.withKey(position, { try cursor.seek($0) }) else { return nil }
    let gap = try Self.gap(found)
    return gap.range.contains(position) ? gap : nil
  }

  /// The positions around one between which what is gone does not change: those of its gap, or those between the gaps.
  private func stretch(around position: Position) throws -> (range: ClosedRange<Position>, gap: LogGap?) {
    try transaction.confirmPages(of: environment.gaps)
    let cursor = try transaction.cursor(in: environment.gaps)
    let above = try BlockLayout.withKey(position) { try cursor.seek($0) }.map(Self.gap)
    if let above, above.range.contains(position) { return (above.range, above) }
    let below = try (above == nil ? cursor.last() : cursor.previous()).map(Self.gap)
    let first = below?.range.upperBound.next ?? Position(rawValue: 1)
    let last = above?.range.lowerBound.previous ?? Position(rawValue: .max)
    guard first <= position, position <= last else { throw Self.pruned(position) }
    return (first...last, nil)
  }

  /// A block that the table has, though it was pruned: a page of before has come back.
  private static func pruned(_ position: Position) -> HyphaError {
    HyphaError(
      .logInvalid, "the block that ends at position \(position) was pruned, and is there",
      remedy: LogFailure.restore)
  }

  /// All gaps.
  func gaps() throws -> [LogGap] {
    try transaction.confirmPages(of: environment.gaps)
    let cursor = try transaction.cursor(in: environment.gaps)
    var gaps: [LogGap] = []
    var place = try cursor.first()
    while let found = place {
      gaps.append(try Self.gap(found))
      place = try cursor.next()
    }
    return gaps
  }

  /// The gaps that begin or end in a range, in ascending order.
  func gaps(from first: Position, through last: Position) throws -> [LogGap] {
    try transaction.confirmPages(of: environment.gaps)
    let cursor = try transaction.cursor(in: environment.gaps)
    var gaps: [LogGap] = []
    var place = try BlockLayout.withKey(first) { try cursor.seek($0) }
    while let gap = try place.map(Self.gap), gap.range.lowerBound <= last {
      gaps.append(gap)
      place = try cursor.next()
    }
    return gaps
  }

  private static func gap(_ place: ReadCursor.Place) throws -> LogGap {
    let last = try BlockLayout.position(ofKey: place.key, table: "gaps")
    var reader = try TableLayout.unseal(place.value, key: place.key, table: "gaps")
    return try TableLayout.gap(endingAt: last, &reader)
  }

  /// The block that has a position, or nil where that lies in a gap.
  func block(at position: Position) throws -> BlockView? {
    let cursor = try transaction.cursor(in: environment.blocks)
    if let found = try BlockLayout.withKey(position, { try cursor.seek($0) }) {
      let block = try BlockView(found.value, last: BlockLayout.position(ofKey: found.key))
      if block.first <= position {
        guard try stretch(around: block.last).gap?.kind != .pruned else { throw Self.pruned(block.last) }
        return block
      }
    }
    guard try gap(at: position) != nil else { throw Self.hole(at: position) }
    return nil
  }

  /// What of a range lies between the first position and the head; nil where nothing does.
  func present(_ range: ClosedRange<Position>) -> ClosedRange<Position>? {
    guard range.lowerBound <= head.position, range.upperBound > .start else { return nil }
    return max(range.lowerBound, Position(rawValue: 1))...min(range.upperBound, head.position)
  }

  static func hole(at position: Position) -> HyphaError {
    HyphaError(
      .logInvalid, "the log has no entry at position \(position), though its head lies beyond",
      remedy: LogFailure.restore)
  }
}

// MARK: Visiting

extension LogView {
  /// How a visit through one view ended.
  enum Visit: Equatable {
    /// The range is through, or `body` wants no more.
    case over
    /// Time is up: go on with this position in another view.
    case next(Position)
  }

  /// Calls `body` with each entry of the range, which lies within the log.
  func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, keepsPages: Bool = true,
    _ body: (EntryView) throws -> Bool
  ) throws {
    _ = try visit(range, order, until: nil, keepsPages: keepsPages, body)
  }

  /// Calls `body` with each entry of the range until time is up. Every position is met, or lies in a gap.
  ///
  /// - Parameter keepsPages: whether the pages stay in this process's memory, for who may read them again soon.
  func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, until deadline: UInt64?, keepsPages: Bool = true,
    _ body: (EntryView) throws -> Bool
  ) throws -> Visit {
    let cursor = try transaction.cursor(in: environment.blocks)
    var position = order == .forward ? range.lowerBound : range.upperBound
    var place = try BlockLayout.withKey(position) { try cursor.seek($0) }
    var known: ClosedRange<Position>?
    var passed = keepsPages ? nil : PassedPages(transaction.pages)
    defer { passed?.letGo() }
    while true {
      let block = try place.map { try BlockView($0.value, last: BlockLayout.position(ofKey: $0.key)) }
      guard let block, block.first <= position, position <= block.last else {
        // No block has the position: it must be known to be gone.
        guard let gap = try gap(at: position) else { throw Self.hole(at: position) }
        let isLast =
          order == .forward
          ? gap.range.upperBound >= range.upperBound : gap.range.lowerBound <= range.lowerBound
        if isLast { return .over }
        position =
          order == .forward
          ? gap.range.upperBound.next : Position(rawValue: gap.range.lowerBound.rawValue - 1)
        place = try BlockLayout.withKey(position) { try cursor.seek($0) }
        continue
      }
      if known?.contains(block.last) != true {
        let stretch = try stretch(around: block.last)
        guard stretch.gap?.kind != .pruned else { throw Self.pruned(block.last) }
        known = stretch.range
      }
      let last = order == .forward ? min(block.last, range.upperBound) : max(block.first, range.lowerBound)
      defer { passed?.add(block.rawBytes) }
      while true {
        guard try visit(position, in: block, body), position != range.end(order) else { return .over }
        let isEnd = position == last
        position = Position(
          rawValue: order == .forward ? position.rawValue + 1 : position.rawValue - 1)
        if isEnd { break }
        if position.rawValue & 63 == 0, let deadline, Self.nanoseconds() > deadline { return .next(position) }
      }
      if let deadline, Self.nanoseconds() > deadline { return .next(position) }
      place = try order == .forward ? cursor.next() : cursor.previous()
    }
  }

  /// Calls `body` with an entry, or passes over it where it was quarantined: its block is there then, since the chain's
  /// link is made of the headers in it.
  private func visit(
    _ position: Position, in block: BlockView, _ body: (EntryView) throws -> Bool
  ) throws -> Bool {
    do {
      return try block.withEntry(at: position, payloads: payloads, body)
    } catch {
      guard try gap(at: position) != nil else { throw error }
      return true
    }
  }

  /// The system's monotonic clock.
  static func nanoseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }
}

extension ClosedRange<Position> {
  /// Where a read in this order ends.
  fileprivate func end(_ order: ReadOrder) -> Position { order == .forward ? upperBound : lowerBound }
}

extension ReadTransaction {
  /// The decoded value of a key whose check matches, or nil where there is none.
  func value<Value>(
    _ key: [UInt8], in table: Environment.Table, _ decode: (inout ByteReader) throws -> Value
  ) throws -> Value? {
    try key.withUnsafeBytes { key in
      let found = try value(of: key, in: table) { sealed in
        var reader = try TableLayout.unseal(sealed, key: key, table: table.name)
        return try decode(&reader)
      }
      // A row whose key was damaged would seem not to be there.
      if found == nil { try confirmAbsence(of: key, in: table) }
      return found
    }
  }
}
