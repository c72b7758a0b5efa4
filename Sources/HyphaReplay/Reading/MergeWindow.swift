import HyphaCore
import HyphaLog

/// The entries of several logs that were read and not shown yet, the earliest first: by the time that the events state,
/// then stated ones before copies, then by node. Pure.
struct MergeWindow {
  /// What stands for an entry in the heap.
  private struct Item {
    var time: UInt64
    /// Whether it is a copy, and the log: what decides between equal times.
    var rank: UInt32
    var slot: UInt32
    var position: UInt64

    var log: Int { Int(rank & 0x7FFF_FFFF) }

    static func < (left: Item, right: Item) -> Bool {
      if left.time != right.time { return left.time < right.time }
      if left.rank != right.rank { return left.rank < right.rank }
      return left.position < right.position
    }
  }

  /// An entry copied out of its log. The room for its bytes is used again.
  private struct Kept {
    var appendedAt = Timestamp.zero
    var source = EntrySource.stated
    var previousInStream = Position.start
    var previousInLane = Position.start
    var bytes: [UInt8] = []
  }

  private var heap: [Item] = []
  private var kept: [Kept] = []
  private var free: [UInt32] = []
  private var heldCounts: [Int]
  private var heldByteCounts: [Int]
  /// How many of the entries were there at the look that is shown.
  private(set) var dueCount = 0

  /// What is held of one log at most, unless a single entry has more bytes. Events that were committed further apart
  /// than this from where their time belongs come late.
  static let (entryCountMax, byteCountMax) = (4_096, 8 << 20)

  init(logCount: Int) {
    heldCounts = Array(repeating: 0, count: logCount)
    heldByteCounts = Array(repeating: 0, count: logCount)
  }

  var count: Int { heap.count }

  /// Whether there is as much of a log as may be.
  func isFull(of log: Int) -> Bool {
    heldCounts[log] >= Self.entryCountMax || heldByteCounts[log] >= Self.byteCountMax
  }

  /// Whether a log should be read on, in larger pieces than one entry.
  func isLow(of log: Int) -> Bool {
    heldCounts[log] <= Self.entryCountMax / 2 && heldByteCounts[log] <= Self.byteCountMax / 2
  }

  /// All that is there now is to be shown.
  mutating func makeAllDue() { dueCount = heap.count }

  /// Takes in an entry; `isDue` says whether it was there at the look that is shown.
  mutating func push(_ view: EntryView, of log: Int, isDue: Bool) {
    let slot = free.popLast() ?? UInt32(kept.count)
    if slot == kept.count { kept.append(Kept()) }
    kept[Int(slot)].appendedAt = view.appendedAt
    kept[Int(slot)].source = view.source
    kept[Int(slot)].previousInStream = view.previousInStream
    kept[Int(slot)].previousInLane = view.previousInLane
    kept[Int(slot)].bytes.removeAll(keepingCapacity: true)
    kept[Int(slot)].bytes.append(contentsOf: view.record.bytes)
    heldCounts[log] += 1
    heldByteCounts[log] += view.record.bytes.count
    if isDue { dueCount += 1 }
    let rank = UInt32(log) | (view.source == .stated ? 0 : 0x8000_0000)
    heap.append(
      Item(time: view.record.time.rawValue, rank: rank, slot: slot, position: view.position.rawValue))
    rise(heap.count - 1)
  }

  /// Takes the earliest entry out, and tells which log it is of; there must be one.
  mutating func pop<Value>(due: (Int) -> Position, _ body: (EntryView, _ log: Int) throws -> Value) throws
    -> Value
  {
    let item = heap[0]
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    let log = item.log
    let slot = Int(item.slot)
    heldCounts[log] -= 1
    heldByteCounts[log] -= kept[slot].bytes.count
    if item.position <= due(log).rawValue { dueCount -= 1 }
    defer {
      // One huge payload must not keep its room for ever.
      if kept[slot].bytes.capacity > 65_536 { kept[slot].bytes = [] }
      free.append(item.slot)
    }
    return try kept[slot].bytes.withUnsafeBytes { bytes in
      let record = try RecordView(checking: bytes, limits: .unbounded)
      return try body(
        EntryView(
          position: Position(rawValue: item.position), appendedAt: kept[slot].appendedAt,
          source: kept[slot].source, previousInStream: kept[slot].previousInStream,
          previousInLane: kept[slot].previousInLane, record: record), log)
    }
  }

  private mutating func rise(_ start: Int) {
    var index = start
    let item = heap[index]
    while index > 0, case let parent = (index - 1) / 2, item < heap[parent] {
      heap[index] = heap[parent]
      index = parent
    }
    heap[index] = item
  }

  private mutating func sink() {
    var index = 0
    let item = heap[0]
    while case var child = 2 * index + 1, child < heap.count {
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      guard heap[child] < item else { break }
      heap[index] = heap[child]
      index = child
    }
    heap[index] = item
  }
}
