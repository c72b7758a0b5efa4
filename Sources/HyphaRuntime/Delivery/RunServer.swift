import HyphaCore
import HyphaLog
import HyphaTransport
import Synchronization

/// Says, with this node's signature, what runs of its own agents' lanes have: to nodes that got them from others.
final class RunServer: Sendable {
  private struct Place: Hashable {
    let lane: Lane
    let point: LanePoint
  }

  /// The most events that are read for one answer; runs that do not fit are left out, and asked for again.
  static let answerCountMax = 4 * RunContent.countMax
  /// The most unfinished walks that are remembered, and the most positions of one of them, 8 bytes each: those of some
  /// answers, so that a lane of any length is asked about in parts.
  static let walkMax = (count: 64, positionCount: 4 * RunContent.countMax)

  private let log: any LogReader
  private let routes: RouteTable
  private let notary: any Notary
  /// What follows in a lane after the run that was asked for last.
  private let walks = Mutex<[Place: ArraySlice<Position>]>([:])

  init(log: any LogReader, routes: RouteTable, notary: any Notary) {
    self.log = log
    self.routes = routes
    self.notary = notary
  }

  /// The answer to a question of `node`, which has greeted. A run of a lane that does not go there, or that cannot be read, is one
  /// that is not known: the others are answered all the same.
  ///
  /// - Parameter tell: takes why nothing is said of a run.
  func answer(_ runs: [LaneRun], for node: NodeID, tell: (String) -> Void = { _ in }) -> ControlMessage {
    var entries: [RunVoucher.Entry] = []
    var leftCount = Self.answerCountMax
    for run in runs where leftCount > 0 {
      var verdict = RunVoucher.Verdict.unknown
      if routes.node(of: run.lane.agent) == routes.node, routes.plan(of: run.lane).nodes.contains(node) {
        do {
          verdict = try self.verdict(on: run, &leftCount)
        } catch {
          tell("\(error)")
        }
      } else {
        tell("lane \(run.lane) does not go from '\(routes.node)' to '\(node)'")
      }
      entries.append(.init(run: run, verdict: verdict))
    }
    return .vouched(RunVoucher(origin: routes.node, entries: entries, sign: notary.sign))
  }

  private func verdict(on run: LaneRun, _ leftCount: inout Int) throws -> RunVoucher.Verdict {
    let place = Place(lane: run.lane, point: run.after)
    if let known = walks.withLock({ $0.removeValue(forKey: place) }),
      let verdict = try verdict(on: run, over: known, &leftCount)
    {
      return verdict
    }
    let next = try log.positions(ofLane: run.lane, after: run.after, limit: Self.walkMax.positionCount)
    if let verdict = try verdict(on: run, over: next[...], &leftCount) { return verdict }
    let isBehind = try (log.laneHead(run.lane)?.point ?? .start) < run.through
    return isBehind ? .unknown : .gone
  }

  /// What the events at `positions`, which follow `run.after`, say of the run; nil where they end before it does.
  private func verdict(on run: LaneRun, over positions: ArraySlice<Position>, _ leftCount: inout Int) throws
    -> RunVoucher.Verdict?
  {
    var content = RunContent(of: run.lane, after: run.after)
    var (last, rest) = (run.after, positions)
    while last != run.through, !content.isFull {
      guard let position = rest.popFirst() else { return nil }
      guard let record = try log.entry(at: position)?.record else { return .gone }
      let header = record.header
      // Later than expected: what lies between was removed.
      if header.previous > last { return .gone }
      // There is no event at one of the run's ends. In an epoch that has gone on behind it there never will be: then the
      // digest is of what the lane has, which is not what the asker has.
      guard header.previous == last else {
        return header.point.epoch == last.epoch ? digest(content) : .unknown
      }
      guard header.point <= run.through else {
        return header.point.epoch == run.through.epoch ? digest(content) : .unknown
      }
      content.add(record)
      leftCount -= 1
      last = header.point
    }
    // A run of the asker that is longer than that has not what this lane has, and gets a digest that says so.
    if !rest.isEmpty {
      walks.withLock { walks in
        if walks.count >= Self.walkMax.count { walks = [:] }
        walks[Place(lane: run.lane, point: last)] = rest
      }
    }
    return digest(content)
  }

  private func digest(_ content: RunContent) -> RunVoucher.Verdict {
    .digest(notary.digest(of: content.bytes))
  }
}
