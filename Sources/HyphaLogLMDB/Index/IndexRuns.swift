import HyphaLog

/// The runs of an index as its writer knows them, and what is to be done with them. Pure.
///
/// From the oldest on: *merged* runs, which stay; *full* ones of ``LogIndexSettings/runSpanCount`` positions, which wait
/// to be merged; and *pieces* of the full one that is being collected, written while the log was idle and replaced when it
/// is full. So the number of runs stays small, and no event is written more than about three times.
struct IndexRuns: Equatable {
  /// A run by what counts here.
  struct Run: Equatable {
    var first: Position
    var last: Position
    var byteCount: Int

    var spanCount: UInt64 { last.rawValue - first.rawValue + 1 }
  }

  let runSpanCount: UInt64
  let mergeCount: Int
  let mergedByteCountMax: Int
  /// The runs that are kept, from the oldest on, without the pieces.
  private(set) var settled: [Run] = []
  private(set) var pieces: [Run] = []
  /// Where the full run that is being collected begins.
  private(set) var openFirst: Position

  /// More pieces than this are written as one.
  static let pieceCountMax = 16

  /// Runs that follow each other from `first` on.
  init(_ runs: [Run], first: Position, settings: LogIndexSettings) {
    runSpanCount = UInt64(settings.runSpanCount)
    mergeCount = settings.mergeCount
    mergedByteCountMax = settings.mergedByteCountMax
    let span = runSpanCount
    settled = Array(runs.prefix { $0.spanCount >= span })
    pieces = Array(runs.dropFirst(settled.count))
    openFirst = settled.last?.last.next ?? first
  }

  /// What is covered lies before this position.
  var end: Position { pieces.last?.last.next ?? openFirst }

  /// Where the full run that is being collected ends.
  var openLast: Position { Position(rawValue: openFirst.rawValue + runSpanCount - 1) }

  /// Where a piece that ends the collected part begins: behind the others, or, when there are many, in place of them all.
  var nextPieceFirst: Position { pieces.count < Self.pieceCountMax ? end : openFirst }

  /// Notes a run that was written from `run.first` on: a piece, or the full one; it replaces the pieces that it covers.
  mutating func write(_ run: Run) {
    pieces.removeAll { $0.first >= run.first }
    if run.last == openLast, run.first == openFirst {
      settled.append(run)
      openFirst = run.last.next
    } else {
      pieces.append(run)
    }
  }

  /// The pieces that a run from `first` on replaces.
  func pieces(from first: Position) -> [Run] { pieces.filter { $0.first >= first } }

  /// The full runs to be merged now: all that wait, once there are ``mergeCount`` or one more would make the merged run
  /// larger than ``mergedByteCountMax``. They end the table, so what replaces them is appended.
  var mergeable: ArraySlice<Run> {
    guard pieces.isEmpty else { return [] }
    var waiting = settled[...]
    if let merged = waiting.lastIndex(where: {
      $0.spanCount > runSpanCount || $0.byteCount > mergedByteCountMax / 2
    }) {
      waiting = waiting[(merged + 1)...]
    }
    let byteCount = waiting.reduce(0) { $0 + $1.byteCount }
    guard waiting.count >= 2 else { return [] }
    let isDue = waiting.count >= mergeCount || byteCount + byteCount / waiting.count > mergedByteCountMax
    return isDue ? waiting.suffix(mergeCount) : []
  }

  /// Notes that `run` has replaced what was ``mergeable``.
  mutating func merge(into run: Run) {
    settled.removeAll { $0.first >= run.first }
    settled.append(run)
  }

  /// Forgets the kept runs that lie before `position`, and returns them: their entries are gone.
  mutating func drop(before position: Position) -> ArraySlice<Run> {
    let dropped = settled.prefix { $0.last < position }
    settled.removeFirst(dropped.count)
    return dropped
  }
}
