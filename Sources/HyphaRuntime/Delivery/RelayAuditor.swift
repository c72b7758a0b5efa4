import HyphaCore
import HyphaLog
import HyphaTransport
import Synchronization

/// Has what came by way of other nodes confirmed by its origin: ``RelayAudit`` with the log and the keys that it needs.
///
/// What comes straight from its origin's node is not looked at: the link proves who sends.
final class RelayAuditor: Sendable {
  /// The most events that are read from the log for the questions of one turn.
  static let turnCountMax = 2 * RunContent.countMax

  private let runs: OwnRuns
  private let routes: RouteTable
  private let notary: any Notary
  private let audit: Mutex<RelayAudit>

  init(log: any LogReader, routes: RouteTable, notary: any Notary) throws {
    runs = OwnRuns(log: log, notary: notary)
    self.routes = routes
    self.notary = notary
    let heads = try log.laneHeads().filter { lane, _ in
      routes.isRelayed(lane) && !routes.hasLeft(originOf: lane)
    }
    audit = Mutex(RelayAudit(heads: heads.mapValues(\.position)))
  }

  /// How many events no origin has confirmed yet, and how many lanes were contradicted, both since the start.
  var counts: (unchecked: UInt64, contradicted: Int) {
    audit.withLock { ($0.uncheckedCount, $0.contradicted.count) }
  }

  /// Whether a node has still to confirm events of its own that came here by way of others, or such are on their way into the log.
  func awaits(_ node: NodeID) -> Bool {
    audit.withLock { audit in audit.openLanes.contains { routes.node(of: $0.agent) == node } }
  }

  /// Events are given to the log. It shows them before ``took(_:from:)`` is called: until then nobody takes them for confirmed.
  func submitted(_ taken: [Courier.Taken]) {
    audit.withLock { audit in for taken in taken { audit.submitted(taken.lane) } }
  }

  /// The log has not taken events that it was given.
  func failed(_ taken: [Courier.Taken]) {
    audit.withLock { audit in for taken in taken { audit.settled(taken.lane) } }
  }

  /// Events that were ``submitted(_:)`` are committed, the first at `first` and the others right behind it.
  func took(_ taken: [Courier.Taken], from first: Position) {
    var end = first.rawValue
    for taken in taken {
      let before = Position(rawValue: end - 1)
      end += UInt64(taken.records.count)
      let last = Position(rawValue: end - 1)
      let isWatched = taken.isCopy || routes.isRelayed(taken.lane)
      let hasOrigin = isWatched && !routes.hasLeft(originOf: taken.lane)
      audit.withLock {
        if isWatched {
          $0.took(taken.lane, at: last, count: taken.records.count, before: before, hasOrigin: hasOrigin)
        }
        $0.settled(taken.lane)
      }
    }
  }

  /// The questions that are due, each with the node that it is for.
  ///
  /// - Throws: what reading the log throws; the lane then waits.
  func questions(now: Timestamp) throws -> [(node: NodeID, question: ControlMessage)] {
    var asked: [NodeID: [LaneRun]] = [:]
    var count = 0
    let due = audit.withLock { $0.due(now: now, upTo: ControlMessage.runCountMax) }
    for turn in due {
      guard count < Self.turnCountMax, let origin = routes.node(of: turn.lane.agent) else { break }
      let own = try turn.again ?? runs.next(of: turn.lane, after: turn.after)
      audit.withLock { $0.asked(turn.lane, own, now: now) }
      guard let own else { continue }
      count += own.count
      asked[origin, default: []].append(own.run)
    }
    return asked.sorted { $0.key < $1.key }.map { ($0.key, .vouch(runs: $0.value)) }
  }

  /// Takes what an origin has signed, whoever brings it. That it does not know a run holds for the moment, and for who has asked:
  /// it is taken from the origin alone.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` where it did not sign that, or it is not of its own lanes.
  func take(_ voucher: RunVoucher, from node: NodeID, now: Timestamp) throws -> [RelayAudit.Finding] {
    guard notary.hasSigned(voucher.origin, voucher.statement, voucher.signature) else {
      throw HyphaError(
        .invalidInput, "what node '\(voucher.origin)' is to have signed does not have its signature")
    }
    guard voucher.entries.allSatisfy({ routes.node(of: $0.run.lane.agent) == voucher.origin }) else {
      throw HyphaError(.invalidInput, "node '\(voucher.origin)' vouches for lanes of other nodes")
    }
    let entries = voucher.entries.filter { $0.verdict != .unknown || node == voucher.origin }
    return audit.withLock { audit in entries.compactMap { audit.answered($0, now: now) } }
  }
}
