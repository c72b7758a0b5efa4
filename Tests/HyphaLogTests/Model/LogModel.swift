import HyphaCore
import HyphaLog

/// What a log promises, said with plain arrays: it shares no code with any log, only the words of their protocol.
///
/// It is given what a log was given, in the order in which the log says that it was committed, and is asked the same
/// questions. Nothing in it is clever; most answers are filters of one array.
struct LogModel {
  /// What a log must say of a batch.
  enum Verdict: Equatable {
    case taken(CommitReceipt)
    /// It was committed before; the receipt is that of the first time.
    case repeated(CommitReceipt)
    /// It is a conflict, and nothing of it is in the log.
    case refused
  }

  /// What a batch says of an event, whoever says it and when.
  private struct Statement: Equatable {
    let channel: Channel
    let agent: AgentID
    let addressee: AgentID?
    let type: EventTypeName
    let schemaVersion: UInt16
    let subject: Subject
    let contentType: ContentType
    let payload: [UInt8]

    init(_ record: Record) {
      let header = record.header
      (channel, agent, addressee, type) = (header.channel, header.agent, header.addressee, header.type)
      (schemaVersion, subject, contentType) = (header.schemaVersion, header.subject, header.contentType)
      payload = Array(record.payload)
    }
  }

  private struct Writer: Hashable {
    let agent: AgentID
    let channel: Channel
  }

  /// The entries of a stream: where they stand, and the highest sequence up to each.
  private struct Stream {
    var positions: [Int] = []
    var highest: [UInt64] = []
  }

  /// Every entry that there ever was; that at position p is at p - 1.
  private(set) var entries: [LogEntry] = []
  /// What is there of them, oldest first.
  private(set) var present: [LogEntry] = []
  /// The positions that are gone, in ascending order, with something between any two.
  private(set) var gone: [ClosedRange<Position>] = []
  private(set) var cursors: [CursorKey: Cursor] = [:]
  private(set) var snapshots: [AgentID: [UInt8]] = [:]
  /// Where each lane's entries stand.
  private var lanes: [Lane: [Int]] = [:]
  private var streams: [StreamID: Stream] = [:]
  /// The newest epoch of which there is an event.
  private var epochs: [Writer: UInt64] = [:]
  private var keys: [IdempotencyKey: (receipt: CommitReceipt, statements: [Statement])] = [:]
  private var lastTime = Timestamp.zero

  // MARK: Changes

  /// What becomes of a batch that the log takes in hand at `now`.
  mutating func apply(_ batch: LogBatch, at now: Timestamp) -> Verdict {
    let statements = batch.idempotencyKey == nil ? [] : batch.appends.map { Statement($0.record) }
    if let key = batch.idempotencyKey, let kept = keys[key] {
      return kept.statements == statements ? .repeated(kept.receipt) : .refused
    }
    for (stream, expected) in batch.expectedSequences where lastSequence(of: stream) != expected {
      return .refused
    }
    let before = (count: entries.count, time: lastTime, epochs: epochs)
    let time = max(now, Timestamp(rawValue: lastTime.rawValue + 1))
    for append in batch.appends {
      guard isNext(append) else {
        while entries.count > before.count { takeBack() }
        (lastTime, epochs) = (before.time, before.epochs)
        return .refused
      }
      lastTime = max(time, Timestamp(rawValue: lastTime.rawValue + 1))
      add(append)
    }
    cursors.merge(batch.cursors) { $1 }
    snapshots.merge(batch.snapshots) { $1 }
    let first = Position(rawValue: UInt64(before.count) + 1)
    func receipt(isRepeated: Bool) -> CommitReceipt {
      CommitReceipt(first: first, count: batch.appends.count, time: time, isRepeated: isRepeated)
    }
    if let key = batch.idempotencyKey { keys[key] = (receipt(isRepeated: true), statements) }
    return .taken(receipt(isRepeated: false))
  }

  /// Whether an event continues its lane, and its stream where this node's agent states it.
  private func isNext(_ append: LogBatch.Append) -> Bool {
    let header = append.record.header
    let end = laneHead(header.lane)?.point ?? .start
    // A later activation may not know the last that was sent: it goes on from before.
    let continues = header.previous == end || header.epoch > end.epoch && header.previous < end
    guard continues, header.point > end else { return false }
    guard append.source == .stated else { return true }
    return header.epoch >= newestEpoch(of: header.agent, on: header.channel)
      && header.sequence == lastSequence(of: header.stream) + 1
  }

  private mutating func add(_ append: LogBatch.Append) {
    let header = append.record.header
    let position = entries.count + 1
    let entry = LogEntry(
      position: Position(rawValue: UInt64(position)), appendedAt: lastTime, source: append.source,
      previousInStream: Position(rawValue: UInt64(streams[header.stream]?.positions.last ?? 0)),
      previousInLane: Position(rawValue: UInt64(lanes[header.lane]?.last ?? 0)), record: append.record)
    entries.append(entry)
    present.append(entry)
    let highest = max(lastSequence(of: header.stream), header.sequence)
    lanes[header.lane, default: []].append(position)
    streams[header.stream, default: Stream()].positions.append(position)
    streams[header.stream, default: Stream()].highest.append(highest)
    let writer = Writer(agent: header.agent, channel: header.channel)
    epochs[writer] = max(epochs[writer] ?? 0, header.epoch)
  }

  private mutating func takeBack() {
    let header = entries.removeLast().record.header
    present.removeLast()
    lanes[header.lane]?.removeLast()
    if lanes[header.lane]?.isEmpty == true { lanes[header.lane] = nil }
    streams[header.stream]?.positions.removeLast()
    streams[header.stream]?.highest.removeLast()
    if streams[header.stream]?.positions.isEmpty == true { streams[header.stream] = nil }
  }

  /// Entries go, with the keys that were committed with the last of them. Heads stay.
  ///
  /// - Parameter gone: all positions that are gone now, those that were before among them.
  mutating func prune(leaving gone: [ClosedRange<Position>]) {
    self.gone = gone
    present = present.filter { !isGone($0.position) }
    keys = keys.filter { !isGone($0.value.receipt.last) }
  }

  // MARK: Answers

  var head: Position { Position(rawValue: UInt64(entries.count)) }
  /// The last position that is gone.
  var prunedThrough: Position { gone.last?.upperBound ?? .start }
  /// How many entries are gone.
  var goneCount: Int { entries.count - present.count }

  func isGone(_ position: Position) -> Bool { gone.contains { $0.contains(position) } }

  func entry(at position: Position) -> LogEntry? {
    guard position > .start, position <= head, !isGone(position) else { return nil }
    return entries[Int(position.rawValue) - 1]
  }

  func laneHead(_ lane: Lane) -> LaneHead? {
    guard let positions = lanes[lane], let last = positions.last else { return nil }
    let newest = entries[last - 1]
    return LaneHead(
      point: newest.record.header.point, position: newest.position, count: UInt64(positions.count))
  }

  func streamHead(_ stream: StreamID) -> StreamHead? {
    guard let facts = streams[stream], let last = facts.positions.last else { return nil }
    return StreamHead(
      sequence: lastSequence(of: stream), position: Position(rawValue: UInt64(last)),
      count: UInt64(facts.positions.count))
  }

  /// The newest epoch of an agent on a channel of which there was an event; 0 where there was none.
  func newestEpoch(of agent: AgentID, on channel: Channel) -> UInt64 {
    epochs[Writer(agent: agent, channel: channel)] ?? 0
  }

  func lastSequence(of stream: StreamID) -> UInt64 { streams[stream]?.highest.last ?? 0 }

  var heads: LogHeads {
    LogHeads(
      position: head,
      lanes: Dictionary(uniqueKeysWithValues: lanes.keys.map { ($0, laneHead($0)) }).compactMapValues { $0 },
      streams: Dictionary(uniqueKeysWithValues: streams.keys.map { ($0, streamHead($0)) })
        .compactMapValues { $0 })
  }

  /// What is there of a lane behind a point.
  func positions(of lane: Lane, after point: LanePoint) -> [Position] {
    present(lanes[lane] ?? []).filter { $0.record.header.point > point }.map(\.position)
  }

  /// What is there of a stream from a sequence on, in the order of the sequence, and of the log where two claim one.
  func entries(of stream: StreamID, from sequence: UInt64) -> [LogEntry] {
    present(streams[stream]?.positions ?? []).filter { $0.record.header.sequence >= sequence }
      .sorted { ($0.record.header.sequence, $0.position) < ($1.record.header.sequence, $1.position) }
  }

  private func present(_ positions: [Int]) -> [LogEntry] {
    positions.compactMap { entry(at: Position(rawValue: UInt64($0))) }
  }

  /// What a query finds, in its order.
  func entries(matching query: LogQuery) -> [LogEntry] {
    let low = max(query.positions?.lowerBound.rawValue ?? 1, 1)
    let high = min(query.positions?.upperBound.rawValue ?? .max, head.rawValue)
    guard low <= high else { return [] }
    let found = entries[(Int(low) - 1)..<Int(high)].filter { query.wants($0) && !isGone($0.position) }
    return query.order == .forward ? found : found.reversed()
  }

  /// The last position whose entry was taken before a time; what is gone counts as taken with the one before it.
  func position(before time: Timestamp) -> Position {
    let last = present.last { $0.appendedAt < time }?.position ?? .start
    return gone.first { $0.lowerBound == last.next }?.upperBound ?? last
  }

  /// The events that follow from `root`, those of fewer steps first, up to `limit` of them; each behind its cause, as
  /// depth and entry.
  func causalTree(of root: EventID, limit: Int) -> [(depth: Int, entry: LogEntry)] {
    guard let first = present.first(where: { $0.record.header.id == root }) else { return [] }
    var chosen = [first.position]
    var depths = [root: 0]
    var causes: Set<EventID> = [root]
    for depth in 1... where !causes.isEmpty {
      var effects: Set<EventID> = []
      for entry in present where causes.contains(entry.record.header.causation) {
        let id = entry.record.header.id
        guard depths[id] == nil, chosen.count < limit else { continue }
        depths[id] = depth
        effects.insert(id)
        chosen.append(entry.position)
      }
      causes = effects
      if effects.isEmpty { break }
    }
    var tree: [(depth: Int, entry: LogEntry)] = []
    let children = Dictionary(grouping: chosen.sorted().compactMap { entry(at: $0) }) {
      $0.record.header.causation
    }
    func visit(_ entry: LogEntry) {
      tree.append((depths[entry.record.header.id] ?? 0, entry))
      for child in children[entry.record.header.id] ?? [] where child.position != first.position {
        visit(child)
      }
    }
    visit(first)
    return tree
  }
}
