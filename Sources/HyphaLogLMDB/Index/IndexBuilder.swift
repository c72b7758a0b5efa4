import HyphaCore
import HyphaLog

/// Reads the log and writes runs, one step at a time. For one thread, which decides when.
///
/// ```swift
/// while try builder.collect(upTo: head) {}   // full runs are written on the way
/// try builder.writeRest()                    // and what is left, once the log is idle
/// ```
/// What could not be read is tried again by the next step; after a failed write a new builder goes on.
final class IndexBuilder {
  private(set) var store: IndexStore
  private let log: any IndexedLog
  private let settings: LogIndexSettings
  private var runs: IndexRuns
  private var meta: IndexMeta
  private let buffer = PostingBuffer()
  private let writer = RunWriter()
  private let extractor: TermExtractor
  /// Everything before this position was read: it is in the buffer, or in a run that stays.
  private(set) var next: Position
  /// Where the postings that are in no run yet begin in the buffer.
  private var restStart = 0
  private var anchor: IndexMeta.Anchor

  /// How many positions one step reads.
  private static let stepCount: UInt64 = 4_096

  /// Goes on where `store` ends; what its pieces cover is read again, for they will be replaced.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when the runs do not follow each other as the meta says.
  init(_ store: IndexStore, log: any IndexedLog, settings: LogIndexSettings) throws {
    self.store = store
    self.log = log
    self.settings = settings
    let transaction = try store.environment.beginReading()
    let meta = try store.meta(transaction)
    let found = try store.runs(transaction)
    guard found.first?.first ?? meta.first == meta.first,
      found.last?.last ?? meta.first.previous == meta.through
    else { throw IndexFailure.damaged("its runs do not cover what its meta says") }
    runs = IndexRuns(found, first: meta.first, settings: settings)
    self.meta = meta
    extractor = TermExtractor(hash: store.hash)
    next = runs.openFirst
    anchor = meta.anchor
    // Of each run the head was read.
    transaction.pages.letGo()
  }

  /// What is indexed and committed.
  var through: Position { meta.through }

  /// Whether something was read that is not in any run.
  var hasRest: Bool { next > meta.through.next }

  /// Reads some of the log up to `head`; writes the run when it is full, and merges when that is due.
  ///
  /// - Returns: whether there is more to read.
  func collect(upTo head: Position) throws -> Bool {
    guard next <= head else { return false }
    // A step ends where the pieces of an earlier process end: what follows is the rest.
    let bound = next < runs.end ? runs.end.previous : runs.openLast
    let last = min(head, bound, Position(rawValue: next.rawValue + Self.stepCount - 1))
    try read(next...last)
    if last == runs.openLast {
      try write(from: runs.openFirst)
      try mergeIfDue()
      try dropPruned()
    }
    return next <= head
  }

  /// Writes what was read and is in no run yet as a piece.
  func writeRest() throws {
    guard hasRest else { return }
    try write(from: runs.nextPieceFirst)
  }

  private func read(_ range: ClosedRange<Position>) throws {
    let base = runs.openFirst.rawValue
    let (mark, anchorMark) = (buffer.count, anchor)
    do {
      // It follows the log for as long as that is open, and would have all of it in its memory in the end.
      try log.visit(range, .forward, keepsPages: false) { entry in
        extractor.add(entry.record, offset: UInt16(entry.position.rawValue - base), to: buffer)
        anchor = IndexMeta.Anchor(position: entry.position, time: entry.appendedAt, id: entry.record.id)
        return true
      }
    } catch {
      // The step is tried again as a whole.
      buffer.truncate(to: mark)
      anchor = anchorMark
      throw error
    }
    next = range.upperBound.next
    if next == runs.end { restStart = buffer.count }
  }
}

// MARK: Writing

extension IndexBuilder {
  /// Writes the run from `first` up to what was read.
  private func write(from first: Position) throws {
    let last = next.previous
    let spanCount = Int(next.rawValue - first.rawValue)
    let base = Int(first.rawValue - runs.openFirst.rawValue)
    if last == runs.openLast, base == 0 {
      buffer.sortAll { writer.collect($0, first: first, spanCount: spanCount, base: 0) }
    } else {
      buffer.withSorted(from: base == 0 ? 0 : restStart) {
        writer.collect($0, first: first, spanCount: spanCount, base: base)
      }
    }
    var meta = meta
    meta.through = last
    meta.anchor = anchor
    try commit(replacing: runs.pieces(from: first).map(\.last), last: last, meta: meta)
    let openFirst = runs.openFirst
    runs.write(IndexRuns.Run(first: first, last: last, byteCount: writer.byteCount))
    if runs.openFirst != openFirst { buffer.truncate(to: 0) }
    restStart = buffer.count
  }

  private func mergeIfDue() throws {
    let sources = runs.mergeable
    guard let first = sources.first?.first, let last = sources.last?.last else { return }
    do {
      try store.withRuns(sources.map(\.last)) { try RunMerger.merge($0, into: writer) }
    } catch let error as HyphaError where error.code == .logInvalid {
      throw IndexFailure.Damage(error: error)
    }
    try commit(replacing: sources.map(\.last), last: last, meta: meta)
    runs.merge(into: IndexRuns.Run(first: first, last: last, byteCount: writer.byteCount))
  }

  /// Lets go of the runs whose entries are all gone.
  func dropPruned() throws {
    let dropped = runs.drop(before: try log.firstPosition())
    guard let last = dropped.last?.last else { return }
    var meta = meta
    meta.first = last.next
    try store.write(replacing: dropped.map(\.last), by: nil, last: last, meta: meta)
    self.meta = meta
  }

  private func commit(replacing old: [Position], last: Position, meta: IndexMeta) throws {
    try store.write(replacing: old, by: writer, last: last, meta: meta)
    self.meta = meta
  }
}
