import HyphaCore
import HyphaLog

/// The entries of one log that were read and not shown yet, in the order in which they are to be shown. Pure.
///
/// Logs are nearly in that order already, so what comes is put behind what is there, and sorted only where that was wrong.
/// Records lie one behind the other in one buffer, which is used again.
struct HeldEntries {
  /// What decides which of two entries comes first: the time, then whether it is a copy and of which log, then the position.
  struct Key {
    var time: UInt64
    var rank: UInt32
    var position: UInt64

    static let last = Key(time: .max, rank: .max, position: .max)

    static func < (left: Key, right: Key) -> Bool {
      if left.time != right.time { return left.time < right.time }
      if left.rank != right.rank { return left.rank < right.rank }
      return left.position < right.position
    }
  }

  /// An entry whose record was copied out of its log.
  private struct Item {
    let key: Key
    let appendedAt: Timestamp
    let source: EntrySource
    let previousInStream: Position
    let previousInLane: Position
    var start: Int
    let record: RecordView.Shape
  }

  private let log: UInt32
  /// Whether its own order is the one that counts, since no other log is beside it.
  private let isAlone: Bool
  private var items: [Item] = []
  /// How many of the items were shown.
  private var shownCount = 0
  private var isSorted = true
  private var bytes: [UInt8] = []
  /// The room for the next fill.
  private var spare: [UInt8] = []
  private(set) var byteCount = 0
  /// The key of the next entry; ``Key/last`` where there is none.
  private(set) var first = Key.last

  init(log: Int, isAlone: Bool) { (self.log, self.isAlone) = (UInt32(log), isAlone) }

  var count: Int { items.count - shownCount }

  /// Makes room for more.
  mutating func beginFill() {
    items.removeFirst(shownCount)
    shownCount = 0
    spare.removeAll(keepingCapacity: true)
    for index in items.indices {
      let (start, count) = (items[index].start, items[index].record.byteCount)
      items[index].start = spare.count
      spare.append(contentsOf: bytes[start..<start + count])
    }
    swap(&bytes, &spare)
    // One huge payload must not keep its room for ever.
    if spare.capacity > 2 * MergeWindow.byteCountMax { spare = [] }
  }

  /// Takes in an entry, between ``beginFill()`` and ``endFill()``.
  mutating func push(_ view: EntryView) {
    let rank = log | (view.source == .stated ? 0 : 0x8000_0000)
    let position = view.position.rawValue
    let key =
      isAlone
      ? Key(time: 0, rank: 0, position: position)
      : Key(time: view.record.time.rawValue, rank: rank, position: position)
    if isSorted, let newest = items.last, key < newest.key { isSorted = false }
    items.append(
      Item(
        key: key, appendedAt: view.appendedAt, source: view.source, previousInStream: view.previousInStream,
        previousInLane: view.previousInLane, start: bytes.count, record: view.record.shape))
    bytes.append(contentsOf: view.record.bytes)
    byteCount += view.record.bytes.count
  }

  mutating func endFill() {
    if !isSorted { items.sort { $0.key < $1.key } }
    isSorted = true
    first = items.first?.key ?? .last
  }

  /// Takes the next entry out, and shows it to `body`; there must be one.
  mutating func pop<Value>(_ body: (EntryView) throws -> Value) rethrows -> Value {
    let item = items[shownCount]
    shownCount += 1
    byteCount -= item.record.byteCount
    first = shownCount < items.count ? items[shownCount].key : .last
    return try bytes.withUnsafeBytes { bytes in
      let record = RecordView(
        UnsafeRawBufferPointer(rebasing: bytes[item.start..<item.start + item.record.byteCount]),
        shaped: item.record)
      return try body(
        EntryView(
          position: Position(rawValue: item.key.position), appendedAt: item.appendedAt, source: item.source,
          previousInStream: item.previousInStream, previousInLane: item.previousInLane, record: record))
    }
  }
}
