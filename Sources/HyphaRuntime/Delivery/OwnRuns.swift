import HyphaCore
import HyphaLog
import HyphaTransport
import Synchronization

/// A run as this node's log has it, to be compared with what its origin says of it.
struct OwnRun: Sendable, Hashable {
  var run: LaneRun
  /// Of its ``RunContent``.
  var digest: [UInt8]
  /// Where its last event is in this log.
  var position: Position
  var count: Int
  /// Whether it has as many events as a run may have: more are likely to follow.
  var isFull: Bool
}

/// Reads runs of lanes that came from other nodes out of this node's log, one after the other.
final class OwnRuns: Sendable {
  private struct Walk {
    var after: Position
    var rest: ArraySlice<Position>
  }

  /// The most unfinished walks that are remembered, 8 bytes an event each.
  static let walkCountMax = 64
  /// How many of a lane's newest events are read where it is not known how far the lane was checked.
  static let recheckCountMax = 1024

  private let log: any LogReader
  private let notary: any Notary
  private let walks = Mutex<[Lane: Walk]>([:])

  init(log: any LogReader, notary: any Notary) {
    self.log = log
    self.notary = notary
  }

  /// The next run of a lane after a position of this log; nil where there is none. `after` is nil where it is not known
  /// what was checked: then it is the newest run.
  ///
  /// A run is a path along the back-pointers, as at its origin. Where the origin has lost what it had sent, the run ends
  /// before that fork, or begins behind it.
  func next(of lane: Lane, after: Position?) throws -> OwnRun? {
    let known = walks.withLock { $0.removeValue(forKey: lane) }
    var rest = known.flatMap { $0.after == after ? $0.rest : nil } ?? []
    if rest.isEmpty { rest = try positions(of: lane, after: after)[...] }
    var run: [(record: Record, position: Position)] = []
    var byteCount = 0
    var isForked = false
    while let position = rest.first, run.count < RunContent.countMax, byteCount < RunContent.byteCountMax {
      guard let record = try log.entry(at: position)?.record else {
        // Pruned or set aside: a run cannot go on across it.
        guard run.isEmpty else { break }
        rest.removeFirst()
        continue
      }
      if let last = run.last, last.record.header.point != record.header.previous {
        run.removeAll { $0.record.header.point > record.header.previous }
        isForked = !run.isEmpty
        if isForked { break }
        byteCount = 0
      }
      run.append((record, position))
      byteCount += record.bytes.count
      rest.removeFirst()
    }
    guard let first = run.first?.record.header, let last = run.last else { return nil }
    var content = RunContent(of: lane, after: first.previous)
    for (record, _) in run { content.add(record) }
    if !isForked, !rest.isEmpty {
      walks.withLock { walks in
        if walks.count >= Self.walkCountMax { walks = [:] }
        walks[lane] = Walk(after: last.position, rest: rest)
      }
    }
    return OwnRun(
      run: LaneRun(lane: lane, after: first.previous, through: last.record.header.point),
      digest: notary.digest(of: content.bytes), position: last.position, count: run.count,
      isFull: content.isFull)
  }

  private func positions(of lane: Lane, after: Position?) throws -> [Position] {
    var positions: [Position] = []
    var next = try log.laneHead(lane)?.position ?? .start
    while next > after ?? .start, after != nil || positions.count < Self.recheckCountMax {
      // What was pruned is gone, and all before it.
      guard let entry = try log.entry(at: next) else { break }
      positions.append(next)
      next = entry.previousInLane
    }
    positions.reverse()
    return positions
  }
}
