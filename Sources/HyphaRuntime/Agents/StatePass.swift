import HyphaCore
import HyphaLog

/// An agent whose state is on its way back from the log.
protocol StateRestoring: AnyObject, Sendable {
  /// Evolves the state by an entry of the log, if it counts for it.
  func restoreState(by entry: LogEntry)
  /// Takes note that all entries were given, or that not all were: then the agent reads for itself.
  func endRestoring(hasAll: Bool)
}

/// Reads what the states of a node's agents have still to evolve by, for all of them at once: one pass over the log in place of
/// one for each.
actor StatePass {
  typealias Member = (agent: AgentID, tail: StateTail, restoring: any StateRestoring)

  private let log: any LogReader
  private let range: ClosedRange<Position>
  private let isStopped: @Sendable () -> Bool
  private var members: [AgentID: any StateRestoring]

  /// A pass for these agents; nil where each does better to read for itself.
  ///
  /// - Parameter isStopped: whether nobody needs it any more.
  init?(_ log: any LogReader, for members: [Member], isStopped: @escaping @Sendable () -> Bool) throws {
    let indexed = try log.indexStatus()?.through ?? .start
    guard let range = Self.range(members.map(\.tail), indexedThrough: indexed) else { return nil }
    self.log = log
    self.range = range
    self.isStopped = isStopped
    self.members = members.reduce(into: [:]) { $0[$1.agent] = $1.restoring }
  }

  /// An event that is found by the index costs so many that are passed by in order.
  static let lookupCost: UInt64 = 8
  /// How much is read in one go.
  static let (entryCountMax, byteCountMax, examinedCountMax) = (1_024, 4 << 20, 65_536)

  /// What a pass has to read; nil where it is more than all have to read for themselves.
  static func range(_ tails: [StateTail], indexedThrough indexed: Position) -> ClosedRange<Position>? {
    guard tails.count > 1, let first = tails.map(\.positions.lowerBound).min(),
      let last = tails.map(\.positions.upperBound).max()
    else { return nil }
    let cost = tails.reduce(UInt64(0)) { sum, tail in
      // What the index does not have is looked at, entry by entry.
      let from = max(tail.positions.lowerBound, min(indexed.next, tail.positions.upperBound))
      let openCount =
        indexed >= tail.positions.upperBound ? 0 : tail.positions.upperBound.rawValue - from.rawValue
      return sum + min(tail.countMax, 1 << 40) * lookupCost + openCount
    }
    return last.rawValue - first.rawValue < cost ? first...last : nil
  }

  /// Makes the pass, once; when the call returns it is made.
  func run() {
    guard !members.isEmpty else { return }
    defer { members = [:] }
    do {
      var next: Position? = range.lowerBound
      while let from = next, !isStopped() { next = try readPart(from) }
      for member in members.values { member.endRestoring(hasAll: next == nil) }
    } catch {
      // Who is concerned meets it when reading alone.
      for member in members.values { member.endRestoring(hasAll: false) }
    }
  }

  /// Reads a part, and gives each its own. Returns where the next one begins; nil behind the last.
  private func readPart(_ from: Position) throws -> Position? {
    var (entries, byteCount, examinedCount) = ([] as [LogEntry], 0, 0)
    var through = range.upperBound
    try log.visit(from...range.upperBound, .forward) { view in
      examinedCount += 1
      if view.record.channel == .persistent,
        members[AgentID(unchecked: String(decoding: view.record.agent, as: UTF8.self))] != nil
      {
        entries.append(try view.entry())
        byteCount += view.record.bytes.count
      }
      guard
        entries.count < Self.entryCountMax, byteCount < Self.byteCountMax,
        examinedCount < Self.examinedCountMax
      else {
        through = view.position
        return false
      }
      return true
    }
    // Not within the visit: the log's pages are not to wait for what states make of them.
    for entry in entries { members[entry.record.agent]?.restoreState(by: entry) }
    return through < range.upperBound ? through.next : nil
  }
}
