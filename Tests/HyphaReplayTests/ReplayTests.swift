import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaReplay
import Synchronization
import Testing

/// One order, once each, and a filter that changes neither.
@Suite struct ReplayTests {
  struct Shown: Hashable {
    var node: NodeID
    var entry: LogEntry
  }

  private func all(
    _ logs: [any LogReader], _ filter: EntryFilter = EntryFilter(), _ range: ReplayRange = .all
  ) throws -> [Shown] {
    var replay = try Replay(of: logs, filter: filter, range: range)
    var shown: [Shown] = []
    try replay.look()
    try replay.visit {
      shown.append(Shown(node: $0.node, entry: try $0.entry.entry())); return true
    }
    return shown
  }

  private func filter(_ world: World, _ random: inout SeededGenerator) -> EntryFilter {
    var filter = EntryFilter()
    let some = world.stated.randomElement(using: &random)!.header
    let other = world.stated.randomElement(using: &random)!.header
    if random.chance(0.3) { filter.types = [some.type] }
    if random.chance(0.3) { filter.subject = ["case.>", "load", "case.*"].randomElement(using: &random)! }
    if random.chance(0.2) { filter.channel = some.channel }
    if random.chance(0.2) { filter.correlation = some.correlation }
    if random.chance(0.1) { filter.cause = some.causation }
    if random.chance(0.1) { filter.event = some.id }
    if random.chance(0.3) { filter.streams.append(.init(agent: some.agent, channel: some.channel)) }
    if random.chance(0.2) { filter.streams.append(.init(agent: other.agent, epoch: 1)) }
    if random.chance(0.3) {
      let patterns: [Pattern] = [
        "work.>", "*.Alarm", (try? Pattern(some.type.text)) ?? ">", "work", ">", "*.*",
      ]
      filter.excludedTypes = Set((0..<2).compactMap { _ in patterns.randomElement(using: &random) })
    }
    if random.chance(0.3) { filter.since = min(some.time, other.time) }
    if random.chance(0.3) { filter.until = max(some.time, other.time) }
    if random.chance(0.2) { filter.fromSequence = some.sequence }
    if random.chance(0.2) { filter.throughSequence = other.sequence }
    return filter
  }

  /// What the filter says, without its code.
  private func passes(_ header: RecordHeader, _ filter: EntryFilter) -> Bool {
    if let event = filter.event, header.id != event { return false }
    if let cause = filter.cause, cause != .none, header.causation != cause { return false }
    if filter.cause == EventID.none { return false }
    if !filter.types.isEmpty && !filter.types.contains(header.type) { return false }
    if filter.excludedTypes.contains(where: { $0.matches(Subject(unchecked: header.type.text)) }) {
      return false
    }
    if let subject = filter.subject, !subject.matches(header.subject) { return false }
    if let channel = filter.channel, header.channel != channel { return false }
    if let correlation = filter.correlation, header.correlation != correlation { return false }
    if let since = filter.since, header.time < since { return false }
    if let until = filter.until, header.time >= until { return false }
    if let sequence = filter.fromSequence, header.sequence < sequence { return false }
    if let sequence = filter.throughSequence, header.sequence > sequence { return false }
    return filter.streams.isEmpty
      || filter.streams.contains {
        $0.agent == header.agent && ($0.epoch ?? header.epoch) == header.epoch
          && ($0.channel ?? header.channel) == header.channel
      }
  }

  @Test(arguments: [false, true])
  func `a replay with a filter is what a filter of the whole replay gives`(isOnDisk: Bool) async throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    var random = SeededGenerator(seed: seed)
    for round in 0..<(isOnDisk ? 3 : 10) {
      let world = try World(
        seed: seed &+ UInt64(round), nodeCount: .random(in: 1...4, using: &random), isOnDisk: isOnDisk)
      try await world.run(eventCount: isOnDisk ? 150 : 300)
      let whole = try all(world.logs)
      for _ in 0..<12 {
        let filter = filter(world, &random)
        let kept = try all(world.logs, filter)
        #expect(kept == whole.filter { passes($0.entry.record.header, filter) }, "seed \(seed), \(filter)")
      }
    }
  }

  @Test func `from the end on, all that comes is shown once, and nothing of what was there`() async throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    for round in 0..<10 {
      let world = try World(seed: seed &+ UInt64(round), nodeCount: 1 + round % 4)
      try await world.run(eventCount: 100)
      let heads = try world.logs.map { try $0.head() }
      var replay = try Replay(of: world.logs, range: ReplayRange(from: .end))
      var shown: [EventID] = []
      for _ in 0..<3 {
        try replay.look()
        while let next = try replay.next() { shown.append(next.entry.record.id) }
        try await world.run(eventCount: 50)
      }
      try replay.look()
      while let next = try replay.next() { shown.append(next.entry.record.id) }
      var expected: Set<EventID> = []
      for (log, head) in zip(world.logs, heads) {
        for entry in try log.read(after: head, limit: .max, byteLimit: .max) {
          expected.insert(entry.record.id)
        }
      }
      #expect(shown.count == expected.count && Set(shown) == expected, "seed \(seed) round \(round)")
    }
    expectError(.usage, "ends at the end by itself") {
      _ = try Replay(of: try World(seed: 1, nodeCount: 1).logs, range: ReplayRange(to: .end))
    }
  }

  @Test func `each event comes once, and none before its cause, whatever the clocks say`() async throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    for round in 0..<20 {
      let world = try World(seed: seed &+ UInt64(round), nodeCount: 2 + round % 4)
      try await world.run(eventCount: 300)
      let shown = try all(world.logs)
      #expect(shown.count == world.stated.count)
      var seen: Set<EventID> = []
      for event in shown.map(\.entry.record.header) {
        #expect(event.causation == .none || seen.contains(event.causation), "seed \(seed) round \(round)")
        #expect(seen.insert(event.id).inserted)
      }
      // With their copies, all entries come, and what is no copy is what came before.
      var entries: Set<String> = []
      var first: [EventID] = []
      var replay = try Replay(of: world.logs)
      try replay.look()
      try replay.visitAll { replayed, isCopy in
        entries.insert("\(replayed.node) \(replayed.entry.position)")
        if !isCopy { first.append(replayed.entry.record.id) }
        return true
      }
      #expect(first == shown.map(\.entry.record.header.id), "seed \(seed) round \(round)")
      #expect(entries.count == (try world.logs.reduce(0) { $0 + Int(try $1.head().rawValue) }))
      // The same of each log is the log's own order.
      for log in world.logs {
        #expect(try all([log]).map(\.entry.position.rawValue) == Array(1..<(try log.head().rawValue + 1)))
      }
    }
  }

  @Test func `logs take turns by the time that their events state`() async throws {
    let world = try World(seed: 7, nodeCount: 3)
    try await world.run(eventCount: 200)
    let shown = try all(world.logs)
    // Clocks of nodes that know nothing of each other may read the same.
    for (before, after) in zip(shown, shown.dropFirst()) {
      #expect(
        (before.entry.record.header.time, before.node) < (after.entry.record.header.time, after.node))
      #expect(before.entry.source == .stated)
    }
    // In whichever order they are given.
    #expect(try all(world.logs.reversed()) == shown)
  }

  @Test(arguments: [(1, false), (3, false), (1, true), (3, true)])
  func `who looks again while it is written gets every event once`(nodeCount: Int, isOnDisk: Bool)
    async throws
  {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    let world = try World(seed: seed, nodeCount: nodeCount, isOnDisk: isOnDisk)
    let logs: [any LogReader] = world.logs
    try await world.run(eventCount: 50)
    let isDone = Flag()
    let follower = Task.detached {
      var random = SeededGenerator(seed: seed)
      var replay = try Replay(of: logs)
      var shown: [RecordHeader] = []
      while true {
        let isLast = isDone.isRaised
        try replay.look()
        // Sometimes only a few are taken, and the rest after another look.
        var left = random.chance(0.5) ? Int.random(in: 1...40, using: &random) : .max
        let isDry = try replay.visit { replayed in
          shown.append(try replayed.entry.record.header())
          left -= 1
          return left > 0
        }
        if isLast && isDry { return shown }
        await Task.yield()
      }
    }
    try await world.run(eventCount: isOnDisk ? 300 : 2_000)
    try await world.settle()
    isDone.raise()
    let shown = try await follower.value
    #expect(shown.map(\.id).sorted() == world.stated.map(\.header.id).sorted(), "seed \(seed)")
    var seen: Set<EventID> = []
    for event in shown {
      #expect(event.causation == .none || seen.contains(event.causation), "seed \(seed)")
      seen.insert(event.id)
    }
  }

  @Test func `a range is the part of the whole between its ends`() async throws {
    let world = try World(seed: 3, nodeCount: 2)
    try await world.run(eventCount: 200)
    let whole = try all(world.logs)
    let (early, late) = (whole[50].entry.record.header.time, whole[120].entry.record.header.time)
    #expect(
      try all(world.logs, EntryFilter(), ReplayRange(from: .time(early), to: .time(late)))
        == whole.filter { ($0.entry.record.header.time >= early && $0.entry.record.header.time < late) })
    #expect(
      try all(world.logs, EntryFilter(), ReplayRange(from: .sequence(5), to: .sequence(9)))
        == whole.filter { (5...9).contains($0.entry.record.header.sequence) })
    let one = try all([world.logs[0]])
    let positions = ReplayRange(
      from: .position(Position(rawValue: 10)), to: .position(Position(rawValue: 20)))
    #expect(try all([world.logs[0]], EntryFilter(), positions) == Array(one[9...19]))
    var replay = try Replay(of: [world.logs[0]], range: positions)
    try replay.look()
    #expect(!replay.isOver && replay.leftCount == 11)
    try replay.visit { _ in true }
    #expect(replay.isOver && replay.leftCount == 0)
    expectError(.usage, "a place in one log", "name one node") {
      _ = try Replay(of: world.logs, range: positions)
    }
    expectError(.usage, "no log") { _ = try Replay(of: []) }
    expectError(.usage, "of one node") { _ = try Replay(of: [world.logs[0], world.logs[0]]) }
    for (from, to, words) in [
      (.sequence(9), .sequence(8), "sequence 9 lies behind sequence 8"),
      (
        .time(Timestamp(microseconds: 1_700_000_001_000_000)),
        .time(Timestamp(microseconds: 1_700_000_000_000_000)),
        "2023-11-14T22:13:21.000000Z is later than 2023-11-14T22:13:20.000000Z"
      ),
      (
        .position(Position(rawValue: 2)), .position(Position(rawValue: 1)),
        "position 2 lies behind position 1"
      ),
    ] as [(ReplayRange.Bound, ReplayRange.Bound, String)] {
      expectError(.usage, words, "go forward") {
        _ = try Replay(of: [world.logs[0]], range: ReplayRange(from: from, to: to))
      }
      // One place alone is a range.
      _ = try Replay(of: [world.logs[0]], range: ReplayRange(from: from, to: from))
    }
    expectError(.usage, "lies behind") {
      _ = try Replay(
        of: [world.logs[0]],
        range: ReplayRange(from: .position(Position(rawValue: 3)), to: .position(Position(rawValue: 2))))
    }
  }

  @Test func `who throws in the middle goes on behind what was shown`() async throws {
    struct Enough: Error {}
    let world = try World(seed: 5, nodeCount: 2)
    try await world.run(eventCount: 100)
    for logs in [[world.logs[0]], world.logs] {
      let whole = try all(logs)
      var replay = try Replay(of: logs)
      var shown: [Shown] = []
      try replay.look()
      while true {
        do {
          try replay.visit {
            shown.append(Shown(node: $0.node, entry: try $0.entry.entry()))
            if shown.count.isMultiple(of: 7) { throw Enough() }
            return true
          }
          break
        } catch is Enough {}
      }
      #expect(shown == whole)
    }
  }

  @Test func `who is shown an event holds no pages of its log, however long that takes`() async throws {
    let world = try World(seed: 3, nodeCount: 1, isOnDisk: true)
    try await world.run(eventCount: 200)
    let directory = try #require(world.logs[0] as? LMDBLog).directory
    var replay = try Replay(of: world.logs)
    try replay.look()
    var shownCount = 0
    try replay.visit { _ in
      shownCount += 1
      // The index may read meanwhile, on its own thread.
      let own = UInt64(pthread_self())
      let marks = try LMDBRetention().readers(of: directory).filter { $0.thread == own }
      #expect(marks.allSatisfy { $0.commit == nil }, "\(marks)")
      return true
    }
    #expect(shownCount > 100)
  }

  @Test func `all that stands before a damaged entry is shown before that is said`() async throws {
    let world = try World(seed: 3, nodeCount: 1, isOnDisk: true)
    try await world.run(eventCount: 200)
    let directory = try #require(world.logs[0] as? LMDBLog).directory
    let whole = try all(world.logs)
    world.logs[0].close()
    let file = URL(fileURLWithPath: directory + "/log/data.mdb")
    var data = try Data(contentsOf: file)
    var place = data.startIndex
    while let found = data.range(of: Data(#"{"n": 77}"#.utf8), in: place..<data.endIndex) {
      data[found.lowerBound] ^= 1
      place = found.upperBound
    }
    try data.write(to: file)
    let damaged = try #require(whole.first { $0.entry.record.payload.elementsEqual(#"{"n": 77}"#.utf8) })
    var replay = try Replay(of: [try LMDBLogReader(directory: directory)])
    try replay.look()
    var shown: [Position] = []
    for _ in 1...2 {
      #expect(throws: HyphaError.self) {
        try replay.visit {
          shown.append($0.entry.position)
          return true
        }
      }
    }
    #expect(shown == whole.map(\.entry.position).filter { $0 < damaged.entry.position })
  }
}

/// Something that one task tells another.
final class Flag: Sendable {
  private let state = Atomic<Bool>(false)
  var isRaised: Bool { state.load(ordering: .acquiring) }
  func raise() { state.store(true, ordering: .releasing) }
}
