import HyphaCore
import HyphaLog

/// The entries of several logs that were read and not shown yet, the earliest first: by the time that the events state,
/// then stated ones before copies, then by node; those of a log alone in its own order. Pure.
///
/// Each log's entries are in order by themselves, so the logs alone are compared: the one with the earliest entry gives its
/// entries until another one's next is earlier.
struct MergeWindow {
  private var logs: [HeldEntries]
  /// The logs as a heap, the one with the earliest entry first.
  private var heap: [Int]
  /// The earliest entry of the other logs.
  private var bound = HeldEntries.Key.last
  private(set) var count = 0
  /// How many of the entries were there at the look that is shown.
  private(set) var dueCount = 0

  /// What is held of one log at most, unless a single entry has more bytes. Events that were committed further apart
  /// than this from where their time belongs come late.
  static let (entryCountMax, byteCountMax) = (4_096, 8 << 20)

  init(logCount: Int) {
    logs = (0..<logCount).map { HeldEntries(log: $0, isAlone: logCount == 1) }
    heap = Array(0..<logCount)
  }

  /// How many entries of a log there are.
  func count(of log: Int) -> Int { logs[log].count }

  /// Whether there is as much of a log as may be.
  func isFull(of log: Int) -> Bool {
    logs[log].count >= Self.entryCountMax || logs[log].byteCount >= Self.byteCountMax
  }

  /// Whether a log should be read on, in larger pieces than one entry.
  func isLow(of log: Int) -> Bool {
    logs[log].count <= Self.entryCountMax / 2 && logs[log].byteCount <= Self.byteCountMax / 2
  }

  /// All that is there now is to be shown.
  mutating func makeAllDue() { dueCount = count }

  /// Lets `read` push entries of a log.
  mutating func fill(_ log: Int, _ read: (inout MergeWindow) throws -> Void) rethrows {
    logs[log].beginFill()
    // What was read is kept also where reading has failed.
    defer {
      logs[log].endFill()
      arrange()
    }
    try read(&self)
  }

  /// Takes in an entry of the log that is being filled; `isDue` says whether it was there at the look that is shown.
  ///
  /// - Returns: whether more may follow.
  mutating func push(_ view: EntryView, of log: Int, isDue: Bool) -> Bool {
    logs[log].push(view)
    count += 1
    if isDue { dueCount += 1 }
    return !isFull(of: log)
  }

  /// Takes the earliest entry out and shows it to `body`; there must be one.
  ///
  /// - Returns: the log that it was of, and what `body` returns.
  mutating func pop<Value>(
    due: [Position], _ body: (EntryView, _ log: Int) throws -> Value
  ) rethrows -> (log: Int, value: Value) {
    let log = heap[0]
    count -= 1
    if logs[log].first.position <= due[log].rawValue { dueCount -= 1 }
    // The order of the others stays as it is, whatever `body` throws.
    defer { if bound < logs[log].first { sink(0) } }
    return (log, try logs[log].pop { try body($0, log) })
  }

  // MARK: The heap of logs

  private mutating func arrange() {
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(index) }
    findBound()
  }

  private mutating func sink(_ start: Int) {
    var index = start
    let log = heap[index]
    let key = logs[log].first
    while case var child = 2 * index + 1, child < heap.count {
      if child + 1 < heap.count, logs[heap[child + 1]].first < logs[heap[child]].first { child += 1 }
      guard logs[heap[child]].first < key else { break }
      heap[index] = heap[child]
      index = child
    }
    heap[index] = log
    if start == 0 { findBound() }
  }

  private mutating func findBound() {
    bound = heap.count > 1 ? logs[heap[1]].first : .last
    if heap.count > 2, logs[heap[2]].first < bound { bound = logs[heap[2]].first }
  }
}
