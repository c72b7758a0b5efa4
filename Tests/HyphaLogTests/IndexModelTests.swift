import Foundation
import HyphaCore
import HyphaLog
import Synchronization
import Testing

@testable import HyphaLogLMDB

/// A log in an array, whose oldest entries can go.
final class ArrayLog: IndexedLog {
  struct Contents {
    var entries: [LogEntry] = []
    var first = 1
    /// Reading this position fails.
    var damaged: UInt64?
  }

  let identity = LogIdentity(id: EventID(high: 9, low: .random(in: 1...UInt64.max)), node: "hq")
  let contents = Mutex(Contents())

  func head() throws -> Position { contents.withLock { Position(rawValue: UInt64($0.entries.count)) } }

  func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, keepsPages: Bool, _ body: (EntryView) throws -> Bool
  ) throws {
    let (entries, damaged) = contents.withLock { contents in
      let low = max(Int(range.lowerBound.rawValue), contents.first)
      let high = min(Int(clamping: range.upperBound.rawValue), contents.entries.count)
      return (low <= high ? Array(contents.entries[low - 1...high - 1]) : [], contents.damaged)
    }
    for entry in order == .forward ? entries : entries.reversed() {
      if entry.position.rawValue == damaged { throw HyphaError(.logInvalid, "damaged at \(entry.position)") }
      guard try entry.withView(body) else { return }
    }
  }

  func append(_ records: [Record]) {
    contents.withLock { contents in
      for record in records {
        let position = Position(rawValue: UInt64(contents.entries.count) + 1)
        contents.entries.append(
          LogEntry(
            position: position, appendedAt: Timestamp(microseconds: 1_000 + position.rawValue),
            source: .stated,
            previousInStream: .start, previousInLane: .start, record: record))
      }
    }
  }
}

/// Makes events whose parts are drawn from a few, so that questions have answers; every lane and stream is sound.
struct RecordSource {
  var generator: SeededGenerator
  var authors: [Author]
  var ids: [EventID] = []
  static let types: [EventTypeName] = ["opened", "closed", "seen"]

  init(seed: UInt64) {
    generator = SeededGenerator(seed: seed)
    authors = ["ana", "bob", "cy"].flatMap { agent in
      [Channel.persistent, .alert].map { Author(agent, channel: $0) }
    }
  }

  mutating func pick<Value>(_ values: [Value]) -> Value {
    values[Int(generator.next() % UInt64(values.count))]
  }

  mutating func next() throws -> Record {
    let index = Int(generator.next() % UInt64(authors.count))
    let type = pick(Self.types)
    let addressee: AgentID? = generator.chance(0.3) ? pick(["ana", "bob"]) : nil
    if generator.chance(0.002) { authors[index].beginEpoch() }
    return try dressed(authors[index].next(type: type, to: addressee))
  }

  /// An event with the same place and payload, and an id, a subject, a cause and a conversation that are drawn.
  mutating func dressed(_ plain: Record) throws -> Record {
    var header = plain.header
    let id = EventID(high: generator.next(), low: generator.next())
    let subjects = ["a", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", "b.x.c", "a.\(generator.next() % 50).z"]
    let cause =
      generator.chance(0.6) && !ids.isEmpty
      ? ids[ids.count - 1 - Int(generator.next() % UInt64(min(ids.count, 20)))] : .none
    header.causation = cause
    header.correlation = cause == .none ? id : pick(Array(ids[max(0, ids.count - 30)...]))
    header = RecordHeader(
      id: id, time: header.time, channel: header.channel, agent: header.agent, epoch: header.epoch,
      sequence: header.sequence, previous: header.previous, addressee: header.addressee, type: header.type,
      subject: try Subject(pick(subjects)), contentType: .bytes, causation: header.causation,
      correlation: header.correlation, authority: header.authority)
    ids.append(id)
    return try Record(header, payload: plain.payload)
  }

  /// A query that some events match.
  mutating func query(_ headers: [RecordHeader]) throws -> LogQuery {
    var query = LogQuery()
    let sample = pick(headers)
    for _ in 0...generator.next() % 2 {
      switch generator.next() % 11 {
      case 0: query.event = sample.id
      case 1: query.causes = (0..<3).map { _ in pick(headers).causation }.filter { $0 != .none } + [sample.id]
      case 2: query.correlation = sample.correlation
      case 3: query.agent = sample.agent
      case 4: query.stream = sample.stream
      case 5: query.lane = sample.lane
      case 6: query.types = generator.chance(0.5) ? [sample.type] : ["seen", "opened", "none"]
      case 7: query.subject = try Pattern(pick(["a.b.>", "a.*.c", "a.b", ">", "*.x.*", "a.b.c.d.*", "zz.>"]))
      case 8: query.channel = pick([.persistent, .alert, .realtime])
      case 9: query.fromSequence = sample.sequence
      default: query.subject = try Pattern(sample.subject.text)
      }
    }
    query.order = generator.chance(0.5) ? .forward : .backward
    return query
  }
}

extension LogQuery {
  /// What the query means, said once more.
  func wants(_ entry: LogEntry) -> Bool {
    let header = entry.record.header
    return (event == nil || header.id == event)
      && (causes.isEmpty || causes.contains(header.causation) && header.causation != .none)
      && (correlation == nil || header.correlation == correlation) && (agent == nil || header.agent == agent)
      && (stream == nil || header.stream == stream)
      && (fromSequence == nil || header.sequence >= fromSequence!)
      && (lane == nil || header.lane == lane) && (types.isEmpty || types.contains(header.type))
      && (subject == nil || subject!.matches(header.subject)) && (channel == nil || header.channel == channel)
      && (positions == nil || positions!.contains(entry.position))
      && (times == nil || times!.contains(entry.appendedAt))
  }
}

/// The index against a plain array: any lag, any merges, restarts and prunes in between.
struct IndexModelTests {
  let directory = NSTemporaryDirectory() + "hypha-index-\(UUID().uuidString)"
  var place: DataDirectory { DataDirectory(path: directory) }

  static let settings = LogIndexSettings(
    runSpanCount: 64, mergeCount: 4, mapByteCount: 1 << 26, mapByteCountMax: 1 << 30)

  @Test func `the index answers as the array does, at any lag`() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try place.create()
    let seed = SeededGenerator.seed
    var source = RecordSource(seed: seed)
    let log = ArrayLog()
    var builder = try IndexBuilder(
      place.openIndex(for: log, settings: Self.settings), log: log, settings: Self.settings)
    for round in 0..<150 {
      log.append(try (0..<Int(source.generator.next() % 90)).map { _ in try source.next() })
      let head = try log.head()
      let lag = source.generator.next() % 40
      let goal = Position(rawValue: head.rawValue - min(lag, head.rawValue))
      while try builder.collect(upTo: goal) {}
      if source.generator.chance(0.4) { try builder.writeRest() }
      if source.generator.chance(0.1) {
        // Another process goes on.
        let store = try place.openIndex(for: log, settings: Self.settings)
        builder = try IndexBuilder(store, log: log, settings: Self.settings)
      }
      if source.generator.chance(0.05) {
        log.contents.withLock { $0.first += ($0.entries.count - $0.first) / 2 }
        try builder.dropPruned()
      }
      let entries = log.contents.withLock { Array($0.entries[($0.first - 1)...]) }
      guard let first = entries.first?.position, round % 3 == 0 else { continue }
      let headers = entries.map(\.record.header)
      for _ in 0..<12 {
        let query = try source.query(headers)
        guard !query.termGroups.isEmpty else { continue }
        let low = first.rawValue + source.generator.next() % UInt64(entries.count)
        let range = Position(rawValue: low)...Position(rawValue: low + source.generator.next() % 2_000)
        let limit = 1 + Int(source.generator.next() % 60)
        let answer = try builder.store.positions(
          withAllOf: query.termGroups, in: range, query.order, limit: limit)
        guard let answer else {
          #expect(range.lowerBound > builder.through, "HYPHA_SEED=\(seed)")
          continue
        }
        #expect(answer.positions.count <= limit)
        // From the end at which the answer begins, what it covers is whole.
        if query.order == .forward { #expect(answer.covered.lowerBound == range.lowerBound) }
        if query.order == .backward {
          #expect(answer.covered.upperBound == min(range.upperBound, builder.through))
        }
        if answer.positions.count < limit {
          let whole = range.lowerBound...min(range.upperBound, builder.through)
          #expect(answer.covered == whole, "HYPHA_SEED=\(seed)")
        }
        let known = Set(answer.positions)
        #expect(known.count == answer.positions.count)
        let ordered =
          query.order == .forward ? answer.positions.sorted() : answer.positions.sorted().reversed()
        #expect(ordered == answer.positions)
        for entry in entries where answer.covered.contains(entry.position) && query.wants(entry) {
          #expect(known.contains(entry.position), "\(query) at \(entry.position), HYPHA_SEED=\(seed)")
        }
        for position in answer.positions { #expect(answer.covered.contains(position)) }
      }
    }
    #expect(builder.through > .start)
  }

  @Test func `full runs are merged, pieces replaced, and gone runs dropped`() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try place.create()
    var source = RecordSource(seed: 4)
    let log = ArrayLog()
    let store = try place.openIndex(for: log, settings: Self.settings)
    let builder = try IndexBuilder(store, log: log, settings: Self.settings)
    func spans() throws -> [UInt64] {
      try store.runs(store.environment.beginReading()).map(\.spanCount)
    }
    for _ in 0..<20 {
      log.append(try [source.next()])
      _ = try builder.collect(upTo: log.head())
      try builder.writeRest()
    }
    #expect(try spans() == [17, 1, 1, 1])
    log.append(try (0..<300).map { _ in try source.next() })
    while try builder.collect(upTo: log.head()) {}
    #expect(try spans() == [256, 64])
    log.contents.withLock { $0.first = 257 }
    try builder.dropPruned()
    #expect(try spans() == [64])
    #expect(
      try store.meta(store.environment.beginReading()).covered == Position(
        rawValue: 257)...Position(rawValue: 320))
  }

  @Test func `a stretch of the log without entries is covered as well`() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try place.create()
    var source = RecordSource(seed: 6)
    let log = ArrayLog()
    log.append(try [source.next()])
    let builder = try IndexBuilder(
      place.openIndex(for: log, settings: Self.settings), log: log, settings: Self.settings)
    log.append(try (0..<400).map { _ in try source.next() })
    log.contents.withLock { $0.first = 390 }
    while try builder.collect(upTo: log.head()) {}
    try builder.writeRest()
    let answer = try builder.store.positions(
      withAllOf: [[.agent("ana"), .agent("bob"), .agent("cy")]],
      in: Position(rawValue: 1)...Position(rawValue: 401), .forward, limit: 100)
    #expect(answer?.positions.map(\.rawValue) == Array(390...401))
  }

  @Test func `a log that cannot be read leaves the index where it was`() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try place.create()
    var source = RecordSource(seed: 5)
    let log = ArrayLog()
    log.append(try (0..<200).map { _ in try source.next() })
    log.contents.withLock { $0.damaged = 100 }
    let builder = try IndexBuilder(
      place.openIndex(for: log, settings: Self.settings), log: log, settings: Self.settings)
    #expect(throws: HyphaError.self) { while try builder.collect(upTo: log.head()) {} }
    #expect(builder.through == Position(rawValue: 64))
    log.contents.withLock { $0.damaged = nil }
    while try builder.collect(upTo: log.head()) {}
    try builder.writeRest()
    #expect(builder.through == Position(rawValue: 200))
    let entries = log.contents.withLock { $0.entries }
    for entry in entries {
      let answer = try builder.store.positions(
        withAllOf: [[.event(entry.record.header.id)]], in: Position(rawValue: 1)...Position(rawValue: 200),
        .forward,
        limit: 10)
      #expect(answer?.positions == [entry.position])
    }
  }

  @Test func `the pace waits under load, writes when idle, and never lets a trickle wait for long`() {
    var pace = IndexPace(idleDelay: .milliseconds(50), restDelayMax: .seconds(1))
    let start = ContinuousClock.now
    #expect(pace.next(hasRest: false, hasMoved: true, now: start) == .rest)
    #expect(pace.next(hasRest: true, hasMoved: true, now: start) == .lookAgain(IndexPace.lookInterval))
    #expect(
      pace.next(hasRest: true, hasMoved: false, now: start + .milliseconds(45))
        == .lookAgain(.milliseconds(5)))
    #expect(pace.next(hasRest: true, hasMoved: false, now: start + .milliseconds(50)) == .write)
    var now = start
    var writeCount = 0
    for _ in 0..<300 {
      now += .milliseconds(10)
      if pace.next(hasRest: true, hasMoved: true, now: now) == .write { writeCount += 1 }
    }
    #expect(writeCount == 2)
    #expect([pace.failed(), pace.failed()] == [.milliseconds(100), .milliseconds(200)])
  }
}
