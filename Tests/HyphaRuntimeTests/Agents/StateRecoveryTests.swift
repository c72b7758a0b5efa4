import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// One step of a walk, as few bytes.
private struct Step: Event {
  static let eventType: EventTypeName = "test.Step"
  var number: UInt64

  func encode(into payload: inout [UInt8]) throws {
    withUnsafeBytes(of: number.littleEndian) { payload.append(contentsOf: $0) }
  }

  static func decode(from payload: UnsafeRawBufferPointer) throws -> Step {
    guard payload.count == 8 else { throw HyphaError(.invalidPayload, "a step of \(payload.count) bytes") }
    return Step(number: payload.loadUnaligned(as: UInt64.self))
  }
}

/// Remembers how many steps there were, and a hash of their order.
private actor Walker: Agent {
  struct State: Codable, Equatable {
    var count = 0
    var hash: UInt64 = 0
  }
  static let handles = Handlers(Walker.self).on(Note.self) { agent, note, context in
    try await context.publish(Step(number: UInt64(note.text.utf8.count)))
  }
  static let publishes: [any Event.Type] = [Step.self]
  static let evolves = Evolution(State.self).on(Step.self) { state, step in
    applied.withLock { $0?(step) }
    state.fold(step.number)
  }
  /// Told of each step that a state evolves by.
  static let applied = Mutex<(@Sendable (Step) -> Void)?>(nil)
  var state = State()
}

extension Walker.State {
  fileprivate mutating func fold(_ number: UInt64) {
    count += 1
    hash = hash &* 31 &+ number
  }
}

/// A log that knows how many entries of its agents it has given out, and whether a visit of it is at work.
private final class WatchedLog: LogReader {
  struct Counts {
    var visitCount = 0
    var lookCount = 0
    /// The entries that count, less those that states have evolved by.
    var heldCount = 0
    var heldCountMax = 0
    var isVisiting = false
    /// Whether a state has evolved while a visit was at work.
    var hasMixed = false
  }

  private let log: any LogReader
  private let counts = Mutex(Counts())
  /// Whether visits of it fail behind this place.
  let brokenBehind = Mutex<Position?>(nil)

  init(_ log: any LogReader) { self.log = log }

  var seen: Counts { counts.withLock { $0 } }

  func evolved() {
    counts.withLock { counts in
      counts.heldCount -= 1
      counts.hasMixed = counts.hasMixed || counts.isVisiting
    }
  }

  func visit(_ range: ClosedRange<Position>, _ order: ReadOrder, _ body: (EntryView) throws -> Bool) throws {
    counts.withLock { ($0.visitCount, $0.isVisiting) = ($0.visitCount + 1, true) }
    defer { counts.withLock { $0.isVisiting = false } }
    try log.visit(range, order) { entry in
      if let last = brokenBehind.withLock({ $0 }), entry.position > last {
        throw HyphaError(.logInvalid, "position \(entry.position) is damaged")
      }
      counts.withLock { counts in
        counts.lookCount += 1
        guard entry.record.type.elementsEqual(Step.eventType.text.utf8) else { return }
        counts.heldCount += 1
        counts.heldCountMax = max(counts.heldCountMax, counts.heldCount)
      }
      return try body(entry)
    }
  }

  var identity: LogIdentity { log.identity }
  var headObservers: HeadObservers? { log.headObservers }
  func head() throws -> Position { try log.head() }
  func confirmPresence() throws { try log.confirmPresence() }
  func entry(at position: Position) throws -> LogEntry? { try log.entry(at: position) }
  func gaps() throws -> [LogGap] { try log.gaps() }
  func laneHead(_ lane: Lane) throws -> LaneHead? { try log.laneHead(lane) }
  func laneHeads() throws -> [Lane: LaneHead] { try log.laneHeads() }
  func streamHead(_ stream: StreamID) throws -> StreamHead? { try log.streamHead(stream) }
  func streamHeads() throws -> [StreamID: StreamHead] { try log.streamHeads() }
  func heads() throws -> LogHeads { try log.heads() }
  func cursor(_ key: CursorKey) throws -> Cursor? { try log.cursor(key) }
  func cursors() throws -> [CursorKey: Cursor] { try log.cursors() }
  func snapshot(of agent: AgentID) throws -> [UInt8]? { try log.snapshot(of: agent) }
}

@Suite(.serialized) struct StateRecoveryTests {
  /// Writes events of agents whose states are to come back, each after the others of its lane.
  private struct Writer {
    let log: MemoryLog
    var sequences: [AgentID: UInt64] = [:]
    var ends: [Lane: LanePoint] = [:]
    var wanted: [AgentID: Walker.State] = [:]
    var batch = LogBatch()

    init() throws { log = try memoryLog().0 }

    mutating func record(_ agent: AgentID, to addressee: AgentID? = nil, type: EventTypeName = Step.eventType)
      throws -> Record
    {
      let sequence = (sequences[agent] ?? 0) + 1
      sequences[agent] = sequence
      let lane = Lane(
        agent: agent, channel: .persistent, target: addressee.map { .addressee($0) } ?? .type(type))
      var payload: [UInt8] = []
      try Step(number: sequence).encode(into: &payload)
      let id = EventID(high: sequence, low: SeededGenerator.fingerprint(of: agent.text))
      let record = try Record(
        RecordHeader(
          id: id, time: Timestamp(microseconds: sequence), channel: .persistent, agent: agent, epoch: 1,
          sequence: sequence, previous: ends[lane] ?? .start, addressee: addressee, type: type, subject: "s",
          contentType: .bytes, correlation: id, authority: Authority(principal: agent)), payload: payload)
      ends[lane] = record.point
      if type == Step.eventType { wanted[agent, default: .init()].fold(sequence) }
      return record
    }

    mutating func add(_ record: Record, source: EntrySource = .stated) {
      batch.appends.append(.init(record, source: source))
      if batch.appends.count == 1_000 { commit() }
    }

    mutating func commit() {
      log.submit(batch) { result in #expect(throws: Never.self) { try result.get() } }
      batch = LogBatch()
    }
  }

  private func restore(_ agent: AgentID, _ log: any LogReader) throws -> StateRestoration<Walker>.Restored {
    try StateRestoration<Walker>.restore(Walker.State(), from: nil, of: agent, in: log, epoch: 2)
  }

  private func watching<Value>(_ log: WatchedLog, _ body: () async throws -> Value) async rethrows -> Value {
    Walker.applied.withLock { $0 = { _ in log.evolved() } }
    defer { Walker.applied.withLock { $0 = nil } }
    return try await body()
  }

  @Test func `a state comes back from a long log with one page of it in memory, and no visit kept`()
    async throws
  {
    var writer = try Writer()
    for number in 1...10_000 {
      // Between two of its events others lie, of its own and of others.
      writer.add(try writer.record("a", type: number.isMultiple(of: 3) ? "test.Other" : Step.eventType))
      if number.isMultiple(of: 5) { writer.add(try writer.record("b", type: "test.Other")) }
    }
    writer.commit()
    let log = WatchedLog(writer.log)
    let found = try await watching(log) { try restore("a", log) }
    #expect(found.state == writer.wanted["a"] && found.replayedCount == 6_667)
    let seen = log.seen
    #expect(seen.heldCountMax <= LogPageLimits.standard.entryCountMax, "\(seen)")
    #expect(seen.heldCount == 0 && !seen.hasMixed, "\(seen)")
    #expect(seen.lookCount == 11_999, "each entry up to its last is looked at once: \(seen)")
  }

  @Test func `what came lane by lane comes back in order, with a bounded part of it in memory`() async throws
  {
    for seed in seeds(2) {
      var random = SeededGenerator(seed: seed)
      var writer = try Writer()
      var lanes: [[Record]] = Array(repeating: [], count: 40)
      for _ in 0..<8_000 {
        let lane = Int(random.next() % 40)
        lanes[lane].append(try writer.record("a", to: lane == 0 ? nil : AgentID("peer-\(lane)")))
      }
      // Each lane in its order; some go far ahead of others.
      while let lane = lanes.indices.filter({ !lanes[$0].isEmpty }).randomElement(using: &random) {
        let count = min(lanes[lane].count, Int(random.next() % 1_000) + 1)
        for record in lanes[lane].prefix(count) { writer.add(record, source: .received(hops: 2)) }
        lanes[lane].removeFirst(count)
      }
      writer.commit()
      var query = LogQuery()
      query.agent = "a"
      var merge = try LaneMerge(writer.log, query, after: LanePoint(epoch: 1, sequence: 7))
      var last: UInt64 = 7
      while let entry = try merge.next() {
        #expect(entry.record.sequence == last + 1, "HYPHA_SEED=\(seed)")
        last = entry.record.sequence
        guard last.isMultiple(of: 64) else { continue }
        #expect(merge.heldCount <= LaneMerge.entryCountMax, "HYPHA_SEED=\(seed)")
      }
      #expect(last == 8_000 && merge.heldCount == 0, "HYPHA_SEED=\(seed)")
      let found = try restore("a", writer.log)
      #expect(found.state == writer.wanted["a"], "HYPHA_SEED=\(seed)")
    }
  }

  /// A runner's part that a pass needs.
  private final class Seat: StateRestoring {
    let restoration: Mutex<StateRestoration<Walker>?>
    let tail: StateTail?

    init(_ agent: AgentID, _ log: any LogReader) throws {
      let restoration = try StateRestoration<Walker>(Walker.State(), from: nil, of: agent, in: log, epoch: 2)
      tail = restoration.tail
      self.restoration = Mutex(restoration)
    }

    func restoreState(by entry: LogEntry) {
      restoration.withLock { if (try? $0?.take(entry)) != true { $0 = nil } }
    }
    func endRestoring(hasAll: Bool) { restoration.withLock { if hasAll { $0?.end() } else { $0 = nil } } }

    /// What the agent goes on with: it reads for itself where nothing is left of the pass.
    func state(of agent: AgentID, _ log: any LogReader) throws -> Walker.State {
      var own =
        try restoration.withLock({ $0 })
        ?? StateRestoration<Walker>(Walker.State(), from: nil, of: agent, in: log, epoch: 2)
      try own.read(log)
      return own.restored.state
    }
  }

  private func seats(_ agents: [AgentID], _ log: any LogReader) throws -> [(AgentID, Seat, StatePass.Member)]
  {
    try agents.map { agent in
      let seat = try Seat(agent, log)
      return (agent, seat, (agent, try #require(seat.tail), seat))
    }
  }

  @Test func `many agents' states come back by one pass over the log`() async throws {
    var writer = try Writer()
    let agents = try (0..<100).map { try AgentID("agent-\($0)") }
    for number in 0..<6_000 { writer.add(try writer.record(agents[number * 7 % 100])) }
    writer.commit()
    let log = WatchedLog(writer.log)
    let seats = try seats(agents, log)
    let pass = try #require(try StatePass(log, for: seats.map(\.2)) { false })
    try await watching(log) { () async throws in
      await pass.run()
      for (agent, seat, _) in seats { #expect(try seat.state(of: agent, log) == writer.wanted[agent]) }
    }
    let seen = log.seen
    #expect(seen.lookCount == 6_000 && seen.heldCount == 0, "\(seen)")
    #expect(seen.heldCountMax <= StatePass.entryCountMax && !seen.hasMixed, "\(seen)")
  }

  @Test func `a pass that comes to damage, or is not needed any more, leaves each agent to itself`()
    async throws
  {
    var writer = try Writer()
    for number in 0..<3_000 { writer.add(try writer.record(number < 2_000 ? "early" : "late")) }
    writer.commit()
    let log = WatchedLog(writer.log)
    var seats = try seats(["early", "late"], log)
    log.brokenBehind.withLock { $0 = Position(rawValue: 2_500) }
    await (try #require(try StatePass(log, for: seats.map(\.2)) { false })).run()
    #expect(try seats[0].1.state(of: "early", log) == writer.wanted["early"], "its events are whole")
    #expect(throws: HyphaError.self) { try seats[1].1.state(of: "late", log) }
    log.brokenBehind.withLock { $0 = nil }
    seats = try self.seats(["early", "late"], log)
    await (try #require(try StatePass(log, for: seats.map(\.2)) { true })).run()
    for (agent, seat, _) in seats { #expect(try seat.state(of: agent, log) == writer.wanted[agent]) }
  }

  @Test func `a pass is made where it reads less than all would, with an index and without`() {
    func tail(_ first: UInt64, _ last: UInt64, _ count: UInt64) -> StateTail {
      StateTail(
        point: .start, positions: Position(rawValue: first)...Position(rawValue: last), countMax: count)
    }
    func range(_ tails: [StateTail], indexed: UInt64) -> ClosedRange<UInt64>? {
      StatePass.range(tails, indexedThrough: Position(rawValue: indexed)).map {
        $0.lowerBound.rawValue...$0.upperBound.rawValue
      }
    }
    let dense = [tail(1, 1_000_000, 500_000), tail(10, 999_999, 400_000)]
    let sparse = [tail(1, 1_000_000, 50), tail(5, 999_000, 40)]
    #expect(range(dense, indexed: 1_000_000) == 1...1_000_000)
    #expect(range(sparse, indexed: 1_000_000) == nil, "the index finds these few")
    #expect(range(sparse, indexed: 0) == 1...1_000_000, "each would look at all of the log")
    #expect(range(sparse, indexed: 999_990) == nil)
    #expect(range([dense[0]], indexed: 0) == nil && range([], indexed: 0) == nil)
  }

  @Test func `agents of one node that are killed at any moment come back by one pass with their states`()
    throws
  {
    let workers = try (0..<4).map { try AgentID("walker-\($0)") }
    let topology = try Topology(
      name: "walks", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(
          id: "writer", kind: "writer", node: "x", reportsTo: "root",
          settings: .object([
            "texts": .array((0..<40).map { .string(String(repeating: "x", count: $0 % 11)) })
          ])),
      ]
        + workers.map {
          AgentSpec(
            id: $0, kind: Walker.kind, node: "x", reportsTo: "root",
            subscribes: [Subscription(type: "test.Note")])
        })
    for seed in seeds(6) {
      let deployment = SimulatedDeployment(
        topology, kinds: try KindRegistry(BuiltInKinds.all + [HyphaRuntimeTests.Writer.self, Walker.self]),
        seed: seed)
      try deployment.start()
      var random = SeededGenerator(seed: seed)
      var passCount = 0
      for _ in 0..<8 {
        deployment.run(for: .microseconds(Int64(random.next() % 1_500)))
        deployment.kill("x")
        try deployment.start("x")
        let node = try #require(deployment.node("x"))
        if node.state.withLock({ $0.statePass != nil }) { passCount += 1 }
      }
      #expect(deployment.runToEnd(limit: .seconds(60)))
      let log = try deployment.reader(of: "x")
      var wanted: [AgentID: Walker.State] = [:]
      try log.scan { entry in
        guard entry.record.type == Step.eventType else { return true }
        wanted[entry.record.agent, default: .init()].fold(try Step.decode(entry.record).number)
        return true
      }
      for worker in workers {
        #expect(wanted[worker]?.count == 40, "HYPHA_SEED=\(seed)")
        #expect(
          try deployment.state(of: worker, Walker.self, in: log) == wanted[worker], "HYPHA_SEED=\(seed)")
      }
      #expect(passCount > 0, "HYPHA_SEED=\(seed)")
      try deployment.stop()
    }
  }
}
