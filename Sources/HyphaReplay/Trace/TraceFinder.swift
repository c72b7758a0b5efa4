public import HyphaCore
public import HyphaLog

extension CausalTrace {
  /// Follows an event's causes to the first one, and its effects to the last.
  ///
  /// With an index each step costs some lookups in each log; without one, a scan.
  ///
  /// - Parameters:
  ///   - id: the event.
  ///   - logs: where to look; with those of a whole deployment nothing is missing.
  ///   - limit: the most events; those of fewer steps come first.
  ///   - progress: told how many events there are so far, after every 65,536 entries that are looked at or more often; what it
  ///     throws ends it.
  /// - Throws: ``HyphaError/Code/invalidInput`` when none of the logs has the event;
  ///   ``HyphaError/Code/logInvalid`` where one is damaged.
  public init(
    of id: EventID, in logs: [any LogReader], limit: Int = 10_000, progress: (Int) throws -> Void = { _ in }
  ) throws {
    let limit = max(limit, 1)
    var growth = Growth(limit: limit, history: try HistoryWatch(over: logs))
    guard let copies = try Self.copies(of: id, in: logs, { try progress(0) }) else {
      throw HyphaError(
        .invalidInput, try Self.absence(of: id, from: logs),
        remedy: "give the logs of the whole deployment; 'hypha replay --event \(id)' looks for it")
    }
    var chain = [copies]
    var seen: Set<EventID> = [id]
    var missing: EventID?
    while let cause = chain.last?.first?.entry.record.header.causation, cause != .none {
      // A circle of false causes must not go on for ever.
      guard seen.insert(cause).inserted else { break }
      let count = chain.count
      guard let copies = try Self.copies(of: cause, in: logs, { try progress(count) }) else {
        missing = cause
        break
      }
      guard chain.count < limit else {
        growth.cut()
        break
      }
      chain.append(copies)
    }
    for copies in chain.reversed() { for copy in copies { growth.add(copy) } }
    growth.beginEffects(of: id)
    while let causes = growth.nextCauses() {
      for log in logs {
        let query = LogQuery.effects(of: causes)
        var cursor: LogCursor?
        repeat {
          try progress(growth.count)
          let page = try log.page(of: query, after: cursor)
          for entry in page.entries { growth.add(Found(node: log.identity.node, entry: entry)) }
          cursor = page.next
        } while cursor != nil && !growth.isCut
      }
    }
    let loss = try missing.flatMap { try Self.loss(of: $0, from: logs) }
    self = growth.trace(focus: id, missing: missing, loss)
  }

  /// That no log has an event, and where it may have been.
  private static func absence(of id: EventID, from logs: [any LogReader]) throws -> String {
    let problem =
      logs.count == 1
      ? "the log of \(logs[0].identity.node) does not have the event \(id)"
      : "none of the \(logs.count) logs has the event \(id)"
    return try problem + (loss(of: id, from: logs).map { "; it \($0)" } ?? "")
  }

  /// Which gaps may have had an event that no log has, in words; nil where none can. An id tells its time, and a log takes an event
  /// when it is stated or later, so what it has taken before has none of it.
  private static func loss(of id: EventID, from logs: [any LogReader]) throws -> String? {
    let isTimed = id.high >> 12 & 0xF == 7
    let stated = Timestamp(microseconds: (id.high >> 16) * 1_000)
    let places = try logs.flatMap { log in
      try log.gaps().filter { gap in
        guard isTimed, let next = try log.read(after: gap.range.upperBound, limit: 1, byteLimit: 0).first
        else {
          return true
        }
        return stated <= next.appendedAt
      }.map { gap in
        let what = gap.kind == .pruned ? "pruned" : "lost"
        return
          "\(what) with positions \(gap.range.lowerBound) to \(gap.range.upperBound) of \(log.identity.node)"
      }
    }
    guard let first = places.first else { return nil }
    return "may have been \(first)\(places.count > 1 ? ", or in \(places.count - 1) more gaps" : "")"
  }

  /// An entry and whose log it stands in.
  fileprivate struct Found {
    var node: NodeID
    var entry: LogEntry

    func copy(_ history: HistoryWatch) -> Copy {
      Copy(
        node: node, position: entry.position, appendedAt: entry.appendedAt, source: entry.source,
        isOfPast: entry.source.isImported || history.isHistory(entry, of: node))
    }
  }

  private static func copies(
    of id: EventID, in logs: [any LogReader], _ checkpoint: () throws -> Void
  ) throws -> [Found]? {
    let found = try logs.compactMap { log in
      try entry(withID: id, in: log, checkpoint).map { Found(node: log.identity.node, entry: $0) }
    }
    return found.isEmpty ? nil : found
  }

  private static func entry(withID id: EventID, in log: any LogReader, _ checkpoint: () throws -> Void) throws
    -> LogEntry?
  {
    var cursor: LogCursor?
    repeat {
      try checkpoint()
      let page = try log.page(of: .event(id), after: cursor, limits: LogPageLimits(entryCountMax: 1))
      if let found = page.entries.first { return found }
      cursor = page.next
    } while cursor != nil
    return nil
  }
}

/// Collects events step by step, then puts them in order. Pure.
private struct Growth {
  private struct Node {
    var record: Record
    var copies: [CausalTrace.Copy]
    var effects: [Int] = []
  }

  private var nodes: [Node] = []
  private var places: [EventID: Int] = [:]
  private var askedCount = 0
  private let limit: Int
  private let history: HistoryWatch
  private(set) var isCut = false
  /// How many events there are.
  var count: Int { nodes.count }

  init(limit: Int, history: HistoryWatch) { (self.limit, self.history) = (limit, history) }

  /// Something was left out.
  mutating func cut() { isCut = true }

  mutating func add(_ found: CausalTrace.Found) {
    let header = found.entry.record.header
    let copy = found.copy(history)
    if let place = places[header.id] {
      if !nodes[place].copies.contains(copy) { nodes[place].copies.append(copy) }
      return
    }
    guard nodes.count < limit else {
      isCut = true
      return
    }
    places[header.id] = nodes.count
    if let cause = places[header.causation] { nodes[cause].effects.append(nodes.count) }
    nodes.append(Node(record: found.entry.record, copies: [copy]))
  }

  /// From now on what follows from `id` is asked for, and not what else its causes have led to.
  mutating func beginEffects(of id: EventID) { askedCount = places[id] ?? nodes.count }

  mutating func nextCauses() -> [EventID]? {
    guard !isCut, askedCount < nodes.count else { return nil }
    let asked = nodes[askedCount...].prefix(LogQuery.causeCountMax)
    askedCount += asked.count
    return asked.map(\.record.header.id)
  }

  func trace(focus: EventID, missing: EventID?, _ loss: String?) -> CausalTrace {
    var steps: [CausalTrace.Step] = []
    var focusPlace = 0
    var waiting: [(node: Int, depth: Int, parent: Int?)] = [(0, 0, nil)]
    while let next = waiting.popLast() {
      let node = nodes[next.node]
      let copies = node.copies.sorted {
        ($0.source == .stated ? 0 : 1, $0.appendedAt, $0.node) < (
          $1.source == .stated ? 0 : 1, $1.appendedAt, $1.node
        )
      }
      if node.record.header.id == focus { focusPlace = steps.count }
      let delays = next.parent.map {
        Self.delays(from: steps[$0], to: node.record.header, on: copies.first?.node)
      }
      let inOrder = node.effects.sorted {
        let (left, right) = (nodes[$0].record.header, nodes[$1].record.header)
        return (left.time, left.id) < (right.time, right.id)
      }
      waiting += inOrder.reversed().map { ($0, next.depth + 1, steps.count) }
      steps.append(
        .init(record: node.record, copies: copies, depth: next.depth, parent: next.parent, delays: delays))
    }
    return CausalTrace(
      steps: steps, focus: focusPlace, isComplete: !isCut, missingCause: missing, missingCauseLoss: loss)
  }

  private static func delays(
    from cause: CausalTrace.Step, to effect: RecordHeader, on node: NodeID?
  ) -> CausalTrace.Delays {
    let begin = cause.record.header.time
    let total = max(.zero, effect.time.since(begin))
    // An agent sees an event once its node's log has it; where that log is not here, travel and handling are not told apart. Nor are
    // they where it has handled the event elsewhere, and came with it; what it had not handled then, has travelled so long.
    let arrival = cause.copies.first { $0.node == node } ?? cause.copies.first
    let isTimed = arrival.map { $0.isTimed(before: effect) } ?? false
    let travel = isTimed ? min(total, max(.zero, arrival?.appendedAt.since(begin) ?? .zero)) : .zero
    var hopCount = 0
    if case .received(let hops)? = arrival?.source { hopCount = Int(hops) }
    return .init(travel: travel, handling: total - travel, total: total, hopCount: hopCount)
  }
}

extension CausalTrace.Copy {
  /// Whether its time says when an agent could see the event that had it lead to an effect.
  fileprivate func isTimed(before effect: RecordHeader) -> Bool {
    !isOfPast || (!source.isImported && appendedAt <= effect.time)
  }
}
