import HyphaCore
import HyphaLog

/// Batches of every kind that a log may be offered, drawn from a seed: most are sound, some are not, and what becomes of
/// each is for the model to say.
struct ModelTraffic {
  /// An agent of this node or, from one epoch to the next, of another.
  private struct Writer {
    var author: Author
    var source = EntrySource.stated
  }

  /// An agent of another node, whose events come lane by lane, some lanes later than others, and one lane never.
  private struct Remote {
    var author: Author
    var parked: [Lane: [Record]] = [:]
  }

  private(set) var source: RecordSource
  private var writers: [Writer]
  private var remotes: [Remote]
  /// Batches that came under keys lately.
  private var keyed: [LogBatch] = []
  private var keyCount = 0

  init(seed: UInt64) {
    source = RecordSource(seed: seed)
    writers = (0..<24).map {
      Writer(author: Author(AgentID(slug: "agent-\($0)"), channel: $0 % 3 == 0 ? .alert : .persistent))
    }
    remotes = (0..<8).map {
      Remote(author: Author(AgentID(slug: "remote-\($0)"), channel: $0 % 2 == 0 ? .alert : .persistent))
    }
  }

  /// How many of `range` by chance.
  mutating func count(in range: ClosedRange<Int>) -> Int { .random(in: range, using: &source.generator) }
  mutating func chance(_ share: Double) -> Bool { source.generator.chance(share) }
  mutating func pick<Value>(_ values: some RandomAccessCollection<Value>) -> Value {
    // Whoever picks has something to pick from.
    values[values.index(values.startIndex, offsetBy: count(in: 0...values.count - 1))]
  }
  mutating func query(like entry: LogEntry) throws -> LogQuery { try source.query([entry.record.header]) }

  /// Forgets what was drawn and did not come into the log: everyone goes on where the model says that the log ends.
  mutating func goOn(behind model: LogModel) {
    for index in writers.indices { writers[index].author.goOn(behind: model) }
    for index in remotes.indices {
      remotes[index].parked = [:]
      remotes[index].author.goOn(behind: model)
    }
  }

  /// The next batch for a log that is like `model`, but for what is still on its way to it.
  mutating func next(_ model: LogModel) throws -> LogBatch {
    if chance(0.04), let again = try repeated() { return again }
    var batch = LogBatch()
    let kind = count(in: 0...99)
    if kind < 66 {
      try write(count(in: 0...12), to: &batch, model)
    } else if kind < 86 {
      try take(to: &batch)
    } else if kind < 91 {
      try writeInAnOldEpoch(to: &batch, model)
    } else {
      try spoil(&batch, model)
    }
    if chance(0.25) {
      let key = CursorKey(agent: pick(writers).author.agent, channel: pick([.persistent, .alert]))
      let through = count(in: Int(model.prunedThrough.rawValue)...model.entries.count)
      batch.cursors[key] = Cursor(
        position: Position(rawValue: UInt64(through)), handledCount: UInt64(keyCount))
    }
    if chance(0.04) {
      batch.snapshots[pick(writers).author.agent] = [UInt8](
        repeating: UInt8(count(in: 0...255)), count: count(in: 0...6_000))
    }
    for _ in 0..<(chance(0.15) ? count(in: 1...2) : 0) {
      let author = pick(writers).author
      let stream = StreamID(agent: author.agent, epoch: author.epoch, channel: author.channel)
      batch.expectedSequences[stream] = model.lastSequence(of: stream) + (chance(0.2) ? 1 : 0)
    }
    batch.priority = chance(0.05) ? .urgent : chance(0.3) ? .intake : .normal
    if chance(0.1) {
      keyCount += 1
      batch.idempotencyKey = try IdempotencyKey("key-\(keyCount)")
      keyed.append(batch)
      if keyed.count > 40 { keyed.removeFirst() }
    }
    return batch
  }

  private mutating func write(_ eventCount: Int, to batch: inout LogBatch, _ model: LogModel) throws {
    let index = count(in: 0...writers.count - 1)
    var writer = writers[index]
    defer { writers[index] = writer }
    if chance(0.03) {
      writer.author.beginEpoch()
      writer.source = chance(0.3) ? .received(hops: UInt8(count(in: 1...3))) : .stated
      // An activation that has lost what the one before has sent last.
      for lane in writer.author.ends.keys.sorted(by: { "\($0)" < "\($1)" }) where chance(0.1) {
        let before = model.positions(of: lane, after: .start).suffix(5).compactMap { model.entry(at: $0) }
        writer.author.ends[lane] = before.isEmpty ? nil : pick(before).record.header.point
      }
    }
    for _ in 0..<eventCount {
      let record = try next(of: &writer.author)
      batch.appends.append(.init(record, source: writer.source))
    }
  }

  private mutating func next(of author: inout Author) throws -> Record {
    let type = pick(RecordSource.types)
    let addressee: AgentID? = chance(0.3) ? pick(["ana", "bob"]) : nil
    let payload = [UInt8](
      repeating: UInt8(count(in: 0...9)), count: count(in: 0...(chance(0.03) ? 5_000 : 40)))
    return try source.dressed(author.next(type: type, to: addressee, payload: payload))
  }

  private mutating func take(to batch: inout LogBatch) throws {
    let index = count(in: 0...remotes.count - 1)
    var remote = remotes[index]
    defer { remotes[index] = remote }
    if chance(0.03) { remote.author.beginEpoch() }
    for _ in 0..<count(in: 0...10) {
      let record = try next(of: &remote.author)
      let lane = record.header.lane
      if lane.target != .type("seen") { remote.parked[lane, default: []].append(record) }
    }
    for lane in remote.parked.keys.sorted(by: { "\($0)" < "\($1)" }) where chance(0.6) {
      let parked = remote.parked[lane] ?? []
      let number = count(in: 0...parked.count)
      for record in parked.prefix(number) { batch.appends.append(.init(record, source: .received(hops: 1))) }
      remote.parked[lane] = Array(parked.dropFirst(number))
    }
  }

  /// A process that does not know that its agent has been started again.
  private mutating func writeInAnOldEpoch(to batch: inout LogBatch, _ model: LogModel) throws {
    let present = pick(writers).author
    guard present.epoch > 1 else { return }
    var old = Author(
      present.agent, epoch: UInt64(count(in: 1...Int(present.epoch) - 1)), channel: present.channel)
    old.sequence = model.lastSequence(
      of: StreamID(agent: old.agent, epoch: old.epoch, channel: old.channel))
    let type = EventTypeName(stringLiteral: "old\(old.epoch)")
    let head = model.laneHead(old.lane(type: type))?.point
    // A batch that was repeated in the next epoch has taken the lane there: nothing of this one can follow.
    if let head, head.epoch > old.epoch { return }
    old.ends[old.lane(type: type)] = head
    batch.appends.append(.init(try source.dressed(old.next(type: type))))
  }

  /// Events of which the last one is there already, or lies behind a gap in its lane or in its stream.
  private mutating func spoil(_ batch: inout LogBatch, _ model: LogModel) throws {
    try write(count(in: 1...4), to: &batch, model)
    guard let last = batch.appends.last else { return }
    let header = last.record.header
    var spoiled = last
    switch count(in: 0...3) {
    case 0: break
    case 1:
      if !model.present.isEmpty { spoiled = .init(pick(model.present).record, source: last.source) }
    case 2:
      let missing = LanePoint(epoch: header.epoch, sequence: header.sequence + 1)
      spoiled.record = try event(
        header.agent, header.epoch, header.sequence + 2, after: missing, channel: header.channel,
        type: header.type, to: header.addressee)
    default:
      spoiled.record = try event(
        header.agent, header.epoch, header.sequence + 5, after: header.point, channel: header.channel,
        type: header.type, to: header.addressee)
    }
    batch.appends.append(spoiled)
  }

  /// A batch under a key that came before: to the letter, said anew in another epoch, or another one.
  private mutating func repeated() throws -> LogBatch? {
    guard !keyed.isEmpty else { return nil }
    var batch = pick(keyed)
    switch count(in: 0...2) {
    case 0: break
    case 1:
      batch.expectedSequences = [:]
      for index in batch.appends.indices {
        var header = batch.appends[index].record.header
        header.id = EventID(high: source.generator.next(), low: source.generator.next())
        header.epoch += 1
        batch.appends[index].record = try Record(header, payload: batch.appends[index].record.payload)
      }
    default:
      if batch.appends.popLast() == nil { return nil }
    }
    return batch
  }
}

extension Author {
  /// Takes its epoch, its sequence and the ends of its lanes from the model.
  fileprivate mutating func goOn(behind model: LogModel) {
    epoch = max(epoch, model.newestEpoch(of: agent, on: channel))
    sequence = model.lastSequence(of: StreamID(agent: agent, epoch: epoch, channel: channel))
    for lane in ends.keys { ends[lane] = model.laneHead(lane)?.point }
  }
}
