import HyphaCore

/// A part of what a query finds.
public struct LogPage: Hashable, Sendable {
  /// The entries, in the order of the query.
  public var entries: [LogEntry]
  /// Where the next page begins; nil where this is the last. A page may be empty and not the last: it stopped because
  /// it had looked at enough.
  public var next: LogCursor?
  /// How many entries were looked at.
  public var examinedCount: Int

  /// A page by its parts.
  public init(entries: [LogEntry], next: LogCursor?, examinedCount: Int) {
    self.entries = entries
    self.next = next
    self.examinedCount = examinedCount
  }
}

/// How much one page may be.
public struct LogPageLimits: Hashable, Sendable {
  /// The most entries; at least 1.
  public var entryCountMax: Int
  /// The most bytes of records, unless a single entry has more.
  public var byteCountMax: Int
  /// The most entries that are looked at. Where an index answers, nearly every one of them is found; without one,
  /// 65,536 take about 20 ms.
  public var examinedCountMax: Int

  /// 256 entries, 4 MiB, 65,536 looked at.
  public static let standard = LogPageLimits()

  /// Limits by their parts.
  public init(entryCountMax: Int = 256, byteCountMax: Int = 4 << 20, examinedCountMax: Int = 65_536) {
    self.entryCountMax = max(entryCountMax, 1)
    self.byteCountMax = byteCountMax
    self.examinedCountMax = max(examinedCountMax, 1)
  }
}

/// Fills a page with the entries that it is shown, and knows when it has enough. Pure.
struct PageAssembly {
  private let matcher: EntryMatcher
  private let limits: LogPageLimits
  private let order: ReadOrder
  private(set) var entries: [LogEntry] = []
  private(set) var examinedCount = 0
  /// Whether nothing more may be shown to it.
  private(set) var isFull = false
  /// What was not looked at yet; nil when all was.
  private(set) var rest: ClosedRange<Position>?
  private var byteCount = 0

  init(_ query: LogQuery, range: ClosedRange<Position>, limits: LogPageLimits) {
    matcher = EntryMatcher(query)
    self.limits = limits
    order = query.order
    rest = range
  }

  var isForward: Bool { order == .forward }
  /// How many more entries may be looked at.
  var examinableCount: Int { limits.examinedCountMax - examinedCount }

  /// How many more entries there is room for.
  var takeableCount: Int { limits.entryCountMax - entries.count }

  /// Looks at the next entry; whether there may be more.
  mutating func examine(_ entry: EntryView) throws -> Bool {
    if matcher.matches(entry.record) {
      byteCount += entry.record.bytes.count
      if byteCount > limits.byteCountMax, !entries.isEmpty {
        // It is the first of the next page.
        isFull = true
        return false
      }
      entries.append(try entry.entry())
    }
    examinedCount += 1
    skip(through: entry.position)
    isFull = entries.count >= limits.entryCountMax || examinedCount >= limits.examinedCountMax
    return !isFull
  }

  /// Counts everything up to `position`, in the order of the query, as looked at.
  mutating func skip(through position: Position) {
    guard let range = rest else { return }
    switch order {
    case .forward where position >= range.upperBound: rest = nil
    case .forward where position >= range.lowerBound: rest = position.next...range.upperBound
    case .backward where position <= range.lowerBound: rest = nil
    case .backward where position <= range.upperBound: rest = range.lowerBound...position.previous
    default: break
    }
  }
}

extension Position {
  /// The position before this one, which is not the first there is.
  var previous: Position { Position(rawValue: rawValue - 1) }
}
