import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What a node owes to supervisors who oversee its agents afterwards; with nothing to do where there are none.
final class OversightDesk: Sendable {
  let maker: Mutex<DigestMaker?>
  /// Whether there is anything to do.
  let isInUse: Bool
  private let isDone: Atomic<Bool>

  /// Whether nothing will come of it any more: of a node that leaves all is told.
  var isClosed: Bool { isDone.load(ordering: .relaxed) }

  func close() { isDone.store(true, ordering: .relaxed) }

  /// The most entries that are looked at in one go: some milliseconds.
  static var scanCountMax: UInt64 { 16_384 }

  /// How long before a digest is due the node counts as having something to do: nobody stops it in between for having
  /// nothing.
  static var notice: Duration { .seconds(2) }

  init(_ topology: Topology, node: NodeID, departed: Set<AgentID> = [], now: Timestamp) {
    let maker = DigestMaker(topology, on: node, departed: departed, now: now)
    isInUse = maker != nil
    isDone = Atomic(maker == nil)
    self.maker = Mutex(maker)
  }

  /// 1 where a digest is to come soon.
  func openCount(now: Timestamp) -> Int {
    isInUse && maker.withLock { $0?.isDue(within: Self.notice, now: now) ?? false } ? 1 : 0
  }
}

/// Oversight after the event: digests of what agents of this node have published.
extension Node {
  /// Goes on where the digests in the log have ended.
  ///
  /// - Throws: what reading the log throws.
  func restoreOversight() throws {
    guard desks.oversight.isInUse else { return }
    var query = LogQuery()
    query.agent = configuration.node.author
    query.types = [OversightDigest.eventType]
    query.order = .backward
    let ruleCount = topology.oversight.count { $0.mode == .after }
    var newest: [[String]: (digest: OversightDigest, time: Timestamp)] = [:]
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for record in page.entries.map(\.record) {
        let digest = try record.withPayload { try OversightDigest.decode(from: $0) }
        let key = [digest.by.text, digest.type.text]
        if newest[key] == nil { newest[key] = (digest, record.time) }
      }
      cursor = newest.count < ruleCount ? page.next : nil
    } while cursor != nil
    desks.oversight.maker.withLock { [newest] in $0?.resume(Array(newest.values)) }
  }

  /// Looks at what the log has taken, and states the digests that are due, again and again.
  func lookAfterOversight() {
    guard !desks.oversight.isClosed else { return }
    let isLast = topology.isLeaving(routes.node)
    do {
      let digests = try desks.oversight.maker.withLock { maker -> [OversightDigest] in
        let head = try log.head()
        guard var made = maker else { return [] }
        defer { maker = made }
        try Self.scan(log, through: head, for: &made)
        // What is told of must be all that there is up to its end.
        guard made.through == head else { return [] }
        if isLast { desks.oversight.close() }
        return made.due(now: now(), isLast: isLast)
      }
      for digest in digests { state(own: digest, to: digest.by, because: nil) }
    } catch {
      note(error)
    }
  }

  /// Shows the maker the next entries of the log.
  private static func scan(_ log: any LogReader, through head: Position, for maker: inout DigestMaker) throws
  {
    guard maker.through < head else { return }
    let last = min(head.rawValue, maker.through.rawValue + OversightDesk.scanCountMax)
    let end = Position(rawValue: last)
    try log.visit(maker.through.next...end, .forward) { entry in
      let header = try entry.record.header()
      // What an agent that was moved here has stated elsewhere counted there.
      if entry.source == .stated, maker.counts(header.type) {
        maker.take(header.type, by: header.agent, id: header.id, at: entry.position)
      }
      return true
    }
    maker.advance(to: end)
  }
}
