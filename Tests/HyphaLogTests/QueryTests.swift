import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization
import Testing

extension EventLog {
  /// Appends records that a node stated, a few in a batch.
  func append(_ records: [Record], upTo batchCount: Int = 50) async throws {
    var rest = records[...]
    while !rest.isEmpty {
      _ = try await append(LogBatch(appends: rest.prefix(batchCount).map { .init($0) }))
      rest = rest.dropFirst(batchCount)
    }
  }
}

extension LogReader {
  /// All pages of a query, one after the other, and how many there were.
  func pages(of query: LogQuery, limits: LogPageLimits) throws -> (entries: [LogEntry], count: Int) {
    var entries: [LogEntry] = []
    var cursor: LogCursor?
    var count = 0
    repeat {
      let page = try page(of: query, after: cursor, limits: limits)
      #expect(page.entries.count <= limits.entryCountMax && page.examinedCount <= limits.examinedCountMax)
      entries += page.entries
      // Through its text, as it travels.
      cursor = try page.next.map { try LogCursor($0.description) }
      count += 1
    } while cursor != nil
    return (entries, count)
  }
}

/// Queries on every backend, held against a plain filter.
struct QueryTests {
  @Test(arguments: Backend.allCases)
  func `pages together are what a filter of the whole log gives`(_ backend: Backend) async throws {
    let seed = SeededGenerator.seed
    var source = RecordSource(seed: seed)
    let home = backend.makeHome()
    let log = try home.open()
    defer { log.close() }
    var entries: [LogEntry] = []
    for _ in 0..<6 {
      home.time.set(microseconds: home.time.microseconds() + 1_000)
      try await log.append((0..<300).map { _ in try source.next() })
      entries = try log.read(after: .start, limit: .max, byteLimit: .max)
      for _ in 0..<25 {
        var query = try source.query(entries.map(\.record.header))
        if source.generator.chance(0.2) {
          let low = 1 + source.generator.next() % UInt64(entries.count)
          query.positions = Position(rawValue: low)...Position(rawValue: low + source.generator.next() % 900)
        }
        if source.generator.chance(0.2) {
          query.times = source.pick(entries).appendedAt..<Timestamp(rawValue: UInt64.max)
        }
        let limits = LogPageLimits(
          entryCountMax: 1 + Int(source.generator.next() % 40),
          byteCountMax: source.generator.chance(0.2) ? 500 : 1 << 20,
          examinedCountMax: 1 + Int(source.generator.next() % 400))
        let wanted = entries.filter { query.wants($0) }
        let found = try log.pages(of: query, limits: limits).entries
        #expect(
          found.map(\.position) == (query.order == .forward ? wanted : wanted.reversed()).map(\.position),
          "\(query), HYPHA_SEED=\(seed)")
        #expect(found.allSatisfy { found in wanted.contains { $0 == found } })
      }
    }
  }

  @Test(arguments: Backend.allCases, [ReadOrder.forward, .backward])
  func `pages stay what they were while the log grows`(_ backend: Backend, _ order: ReadOrder) async throws {
    var source = RecordSource(seed: 6)
    let log = try backend.makeHome().open()
    defer { log.close() }
    try await log.append((0..<500).map { _ in try source.next() })
    var query = LogQuery()
    query.agent = "ana"
    query.order = order
    let whole = try log.page(of: query, limits: LogPageLimits(entryCountMax: 10_000))
    #expect(whole.next == nil && whole.entries.count > 50)
    var found: [LogEntry] = []
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor, limits: LogPageLimits(entryCountMax: 7))
      found += page.entries
      cursor = page.next
      try await log.append([source.next()])
    } while cursor != nil
    #expect(found == whole.entries)
  }

  @Test(arguments: Backend.allCases)
  func `an event is found by its id, and no other`(_ backend: Backend) async throws {
    var source = RecordSource(seed: 7)
    let log = try backend.makeHome().open()
    defer { log.close() }
    #expect(try log.entry(withID: EventID(high: 1, low: 1)) == nil)
    let records = try (0..<300).map { _ in try source.next() }
    try await log.append(records)
    for record in records { #expect(try log.entry(withID: record.header.id)?.record == record) }
    #expect(try log.entry(withID: EventID(high: 1, low: 1)) == nil)
  }

  @Test(arguments: Backend.allCases)
  func `a causal tree holds what followed from an event, and stops at its limit`(_ backend: Backend)
    async throws
  {
    var source = RecordSource(seed: 8)
    let log = try backend.makeHome().open()
    defer { log.close() }
    let records = try (0..<400).map { _ in try source.next() }
    try await log.append(records)
    for root in records.prefix(40) {
      var wanted: Set<EventID> = [root.header.id]
      for record in records where wanted.contains(record.header.causation) { wanted.insert(record.header.id) }
      let tree = try log.causalTree(of: root.header.id)
      #expect(Set(tree.nodes.map(\.entry.record.header.id)) == wanted && tree.isComplete)
      #expect(tree.nodes.count == wanted.count)
      for (index, node) in tree.nodes.enumerated() {
        guard let parent = node.parent else {
          #expect(index == 0 && node.depth == 0)
          continue
        }
        #expect(parent < index && tree.nodes[parent].depth == node.depth - 1)
        #expect(tree.nodes[parent].entry.record.header.id == node.entry.record.header.causation)
      }
      let cut = try log.causalTree(of: root.header.id, limit: 3)
      #expect(cut.nodes.count == min(3, wanted.count) && cut.isComplete == (wanted.count <= 3))
    }
    #expect(try log.causalTree(of: EventID(high: 3, low: 3)).nodes.isEmpty)
  }

  @Test(arguments: Backend.allCases)
  func `a stream that repairs put out of order is read whole`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    defer { log.close() }
    // Sequences 1 to 60 in six lanes; the lanes arrive one after the other.
    var author = Author("far")
    let records = try (0..<60).map { _ in try author.next(type: RecordSource.types[Int(author.sequence % 3)])
    }
    let arrivals = RecordSource.types.flatMap { type in records.filter { $0.header.type == type } }
    for record in arrivals {
      _ = try await log.append(LogBatch(appends: [.init(record, source: .received(hops: 1))]))
    }
    var query = LogQuery()
    query.stream = records[0].header.stream
    query.fromSequence = 21
    let found = try log.pages(of: query, limits: LogPageLimits(entryCountMax: 7)).entries
    #expect(found.map(\.record) == arrivals.filter { $0.header.sequence >= 21 })
    #expect(try log.read(stream: records[0].header.stream, from: 21).map(\.record) == Array(records[20...]))
  }

  @Test func `a cursor is refused with another query, another log, or another text`() async throws {
    var source = RecordSource(seed: 9)
    let log = try Backend.memory.makeHome().open()
    try await log.append((0..<20).map { _ in try source.next() })
    let limits = LogPageLimits(entryCountMax: 3)
    var query = LogQuery()
    let cursor = try #require(try log.page(of: query, limits: limits).next)
    let copy = try JSONDecoder().decode(LogCursor.self, from: JSONEncoder().encode(cursor))
    #expect(copy == cursor)
    query.order = .backward
    expectError(.invalidInput, "another query", "begin again") { _ = try log.page(of: query, after: cursor) }
    let other = try MemoryLog(
      store: MemoryLogStore(identity: LogIdentity(id: EventID(high: 4, low: 4), node: "hq")), time: TestTime()
    )
    expectError(.invalidInput, "another log") { _ = try other.page(of: LogQuery(), after: cursor) }
    for text in ["", "1-f-3-2-0", "2-f-1-2-0", "1-f-1-2-zz", "1-x-1-2-0", "1-f-1-2", "1-b-1-2-0"] {
      expectError(.invalidInput, "is no cursor") { _ = try LogCursor(text) }
    }
    var many = LogQuery()
    many.causes = Array(repeating: EventID(high: 1, low: 1), count: LogQuery.causeCountMax + 1)
    expectError(.invalidInput, "causes", "at a time") { _ = try log.page(of: many) }
  }
}
