import HyphaCore
import HyphaLog

/// What is left to be read of one log: everything behind the last position that was looked at, whether it was there
/// at the begin or came later. So old and new are read in the same way, and there is no seam between them.
struct LogTail {
  let log: any LogReader
  private let test: EntryTest
  private let query: LogQuery
  private let usesIndex: Bool
  private let last: Position
  private var next: Position
  /// The newest position that is known to be there.
  private(set) var head: Position = .start

  /// - Throws: what reading the log's entries does.
  init(
    _ log: any LogReader, _ filter: EntryFilter, positions: ClosedRange<Position>, isFromEnd: Bool = false
  ) throws {
    self.log = log
    test = EntryTest(filter)
    query = filter.query
    usesIndex = !filter.query.termGroups.isEmpty
    last = positions.upperBound
    next = isFromEnd ? try log.head().next : positions.lowerBound
    next = max(next, try filter.placeBeforeAll(in: log).next)
  }

  /// Whether nothing will ever follow.
  var isOver: Bool { next > last }
  /// Whether all was read that is known to be there.
  var isDry: Bool { next > min(head, last) }
  /// How many positions are known to be there and were not looked at.
  var leftCount: UInt64 { isDry ? 0 : min(head, last).rawValue - next.rawValue + 1 }

  /// Looks how far the log reaches now.
  mutating func look() throws { head = max(head, try log.head()) }

  /// Shows `body` some of the entries that pass, at most `count` and perhaps none, until it says no.
  mutating func read(atMost count: Int, _ body: (EntryView) throws -> Bool) throws {
    guard !isDry, count > 0 else { return }
    if usesIndex { try readIndex(atMost: count, body) } else { try scan(atMost: count, body) }
  }

  /// A stretch without a match is read in parts of this many entries, so that whoever waits can be asked in between.
  private static let examinedCountMax = 262_144

  private mutating func scan(atMost count: Int, _ body: (EntryView) throws -> Bool) throws {
    let (end, test) = (min(head, last), test)
    var next = next
    // What was shown is done with, also where `body` throws.
    defer { self.next = next }
    var (passedCount, examinedCount, goesOn) = (0, 0, true)
    try log.visit(next...end, .forward) { view in
      next = view.position.next
      examinedCount += 1
      if test.passes(view.record) {
        passedCount += 1
        goesOn = try body(view) && passedCount < count
      }
      goesOn = goesOn && examinedCount < Self.examinedCountMax
      return goesOn
    }
    // What is gone at the end was not shown.
    if goesOn { next = end.next }
  }

  private mutating func readIndex(atMost count: Int, _ body: (EntryView) throws -> Bool) throws {
    let end = min(head, last)
    var query = query
    query.positions = next...end
    let limits = LogPageLimits(entryCountMax: min(count, 512), byteCountMax: 1 << 20)
    let page = try log.page(of: query, limits: limits)
    for entry in page.entries {
      next = entry.position.next
      let goesOn = try entry.withView { view in test.passes(view.record) ? try body(view) : true }
      if !goesOn { return }
    }
    next = page.next?.next ?? end.next
  }
}
