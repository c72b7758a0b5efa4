public import HyphaCore
public import HyphaLog

/// An event as a replay shows it. Not to outlive the call that it is given to.
public struct ReplayedEntry {
  /// The node in whose log the entry stands.
  public let node: NodeID
  /// The entry there.
  public let entry: EntryView
}

/// What was recorded, once more: the events of one log or of a deployment's logs that pass a filter, in one order.
///
/// ```swift
/// var replay = try Replay(of: logs, filter: filter)
/// try replay.look()
/// try replay.visit { replayed in print(replayed.entry.position); return true }
/// ```
///
/// **Order.** One log: its own. Several: by the time that the events state on the deployment's hybrid clock, then by
/// node. That clock's promise is that a cause has a lower time than its effect, so none comes after it. An event that
/// stands in several logs comes once, as its origin's entry where that log is among them. A filtered replay is what a
/// filter of the whole one gives.
///
/// Logs are in the order of commits, which is not quite that of times, so 4,096 entries of each are looked ahead. An
/// event that was committed further than that behind where its time belongs (a handler that ran long, a repair after a
/// partition, of an origin whose log is not here) comes as soon as it is read.
///
/// **End.** ``visit(_:)`` shows what was there at the last ``look()``. Who looks again goes on with what has come: every
/// event once, no gap between old and new, and still no effect before its cause: what was there when the look began is
/// shown, among what was there when it ended, which has all of its causes.
///
/// **Cost.** At most 4,096 entries or 8 MiB of each log are held, copied out of it, and of several a hundred bytes or so for
/// each lane, epoch and log. No transaction outlives some milliseconds, however long whoever is shown an event takes for it:
/// a pipe that nobody reads keeps no pages of a log. A value is for one thread at a time.
public struct Replay {
  private var tails: [LogTail]
  private let nodes: [NodeID]
  private var window: MergeWindow
  private var appearances = Appearances()
  /// How far each log reached when the last look began.
  private var due: [Position]
  /// Why logs could not be read on: thrown when all is shown that was read before.
  private var failures: [Int: any Error] = [:]

  /// A replay of `logs`, which has nothing to show until ``look()`` was called.
  ///
  /// - Throws: ``HyphaError/Code/usage`` when there is no log, two of one node, or a position for several;
  ///   ``HyphaError/Code/logInvalid`` where a log is damaged.
  public init(
    of logs: [any LogReader], filter: EntryFilter = EntryFilter(), range: ReplayRange = .all
  ) throws {
    let logs = logs.sorted { $0.identity.node < $1.identity.node }
    nodes = logs.map(\.identity.node)
    guard !logs.isEmpty else {
      throw HyphaError(.usage, "there is no log to replay", remedy: "name at least one")
    }
    guard Set(nodes).count == nodes.count else {
      throw HyphaError(
        .usage, "two of the logs to replay are of one node: \(nodes.map(\.text).joined(separator: ", "))",
        remedy: "leave copies out")
    }
    let positions = try range.positions(logCount: logs.count)
    let filter = range.narrowing(filter)
    tails = try logs.map { try LogTail($0, filter, positions: positions, isFromEnd: range.from == .end) }
    window = MergeWindow(logCount: logs.count)
    due = Array(repeating: .start, count: logs.count)
  }

  /// Looks how far the logs reach now; whether there is more to show.
  @discardableResult
  public mutating func look() throws -> Bool {
    for index in tails.indices {
      try tails[index].look()
      due[index] = tails[index].head
    }
    // What the causes of anything above may be in was committed by now.
    if tails.count > 1 { for index in tails.indices { try tails[index].look() } }
    window.makeAllDue()
    return leftCount > 0
  }

  /// Whether nothing will ever follow, because the range has an end and it was reached.
  public var isOver: Bool { window.count == 0 && tails.allSatisfy(\.isOver) }

  /// How many entries are there that were not shown or passed over yet, as of the last ``look()``; copies count too.
  public var leftCount: UInt64 { tails.reduce(UInt64(window.count)) { $0 + $1.leftCount } }

  /// Throws ``HyphaError/Code/logFailed`` when a log is no longer what stands at its place.
  public func confirmPresence() throws { for tail in tails { try tail.log.confirmPresence() } }

  /// Shows `body` each event that is left, until it returns false.
  ///
  /// - Returns: whether all was shown that was there at the last ``look()``. Else the next call goes on behind the
  ///   event that was shown last.
  /// - Throws: what `body` throws, and what reading does; both leave the replay behind what was shown last.
  @discardableResult
  public mutating func visit(_ body: (ReplayedEntry) throws -> Bool) throws -> Bool {
    try visitAll { replayed, isCopy in try isCopy || body(replayed) }
  }

  /// As ``visit(_:)``, but every entry of every log: `isCopy` says whether its event was shown before, as an entry of another log.
  @discardableResult
  public mutating func visitAll(_ body: (ReplayedEntry, _ isCopy: Bool) throws -> Bool) throws -> Bool {
    // What the closures below change must not be part of what they are called on.
    var (appearances, window) = (appearances, window)
    (self.appearances, self.window) = (Appearances(), MergeWindow(logCount: 0))
    defer { (self.appearances, self.window) = (appearances, window) }
    let (due, nodes, isAlone) = (due, nodes, tails.count == 1)
    for log in tails.indices { fill(log, &window) }
    // When all is read, what came during the look waits for the next one.
    while window.dueCount > 0 || tails.contains(where: { !$0.isDry }) {
      try throwFailure(of: window)
      guard window.count > 0 else { return true }
      let (log, goesOn) = try window.pop(due: due) { view, log in
        let isCopy =
          !isAlone && !appearances.isFirst(view.record, in: log, isStated: view.source == .stated)
        return try body(ReplayedEntry(node: nodes[log], entry: view), isCopy)
      }
      if !goesOn { return false }
      fill(log, &window)
    }
    return true
  }

  /// Throws what has kept a log from being read on, once nothing of it is left to be shown. It is tried again after that.
  private mutating func throwFailure(of window: MergeWindow) throws {
    guard let failed = failures.keys.first(where: { window.count(of: $0) == 0 }),
      let failure = failures.removeValue(forKey: failed)
    else { return }
    throw failure
  }

  /// The next event, copied out; nil when all was shown that was there at the last ``look()``.
  public mutating func next() throws -> (node: NodeID, entry: LogEntry)? {
    var found: (NodeID, LogEntry)?
    try visit { replayed in
      found = (replayed.node, try replayed.entry.entry())
      return false
    }
    return found
  }

  /// Reads a log on where less of it is in hand than has to be looked ahead.
  private mutating func fill(_ log: Int, _ window: inout MergeWindow) {
    guard window.isLow(of: log), !tails[log].isDry, failures[log] == nil else { return }
    let due = due[log]
    window.fill(log) { window in
      while !tails[log].isDry, !window.isFull(of: log), failures[log] == nil {
        do {
          try tails[log].read(atMost: MergeWindow.entryCountMax) { view in
            window.push(view, of: log, isDue: view.position <= due)
          }
        } catch {
          failures[log] = error
        }
      }
    }
  }
}
