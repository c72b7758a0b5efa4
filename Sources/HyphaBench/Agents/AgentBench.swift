import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import HyphaTransport
import Synchronization

/// Agents of one node, in this process: what a node gives between them, beside the bare parts below it.
public struct AgentBench: Sendable {
  /// What can be measured alone.
  public enum Part: String, CaseIterable, Sendable {
    case local, steps, asks, shared, idle, recovery
  }

  /// What is to be measured, and for how long.
  public struct Settings: Sendable {
    /// How long each figure is measured.
    public var duration: Duration
    /// Where to make the directory to measure in.
    public var directory: String
    /// Whether to see only that everything runs.
    public var isQuick: Bool
    /// The only part that is wanted; nil for all.
    public var only: Part?
    /// The command, with its first words, that runs ``AgentBenchChild``; nil leaves out what needs another process.
    public var childCommand: [String]?

    /// Settings by their parts.
    public init(
      duration: Duration, directory: String, isQuick: Bool, only: Part? = nil, childCommand: [String]? = nil
    ) {
      (self.duration, self.directory, self.isQuick) = (duration, directory, isQuick)
      (self.only, self.childCommand) = (only, childCommand)
    }
  }

  let settings: Settings
  let progress: @Sendable (String) -> Void

  /// A bench that tells what it measures now.
  public init(_ settings: Settings, progress: @escaping @Sendable (String) -> Void) {
    self.settings = settings
    self.progress = progress
  }

  /// Measures all, and gives each row as soon as it is measured.
  public func run(_ take: @Sendable (BenchRow) throws -> Void) async throws {
    try Disk.makeDirectory(settings.directory)
    defer { Disk.remove(settings.directory) }
    for part in Part.allCases where settings.only == nil || settings.only == part {
      for row in try await rows(of: part) { try take(row) }
    }
  }

  private func rows(of part: Part) async throws -> [BenchRow] {
    switch part {
    case .local:
      progress("local: realtime events from one agent to another")
      return [try await localRow()]
    case .steps:
      progress("steps: consume, process, produce")
      return [try await stepRow(), try await ringRow()]
    case .asks:
      progress("asks: one after the other")
      return try await askRows()
    case .shared:
      progress("shared: values that are read")
      return [try await sharedRow()]
    case .idle:
      progress("idle: agents that wait")
      return try await idleRows()
    case .recovery: return try await recoveryRows()
    }
  }

  /// How many slices a figure is measured in; the first one warms up.
  private static let sliceCount = 10
  private static let patienceNanoseconds: UInt64 = 30_000_000_000

  private var sliceNanoseconds: UInt64 {
    max(1_000_000, settings.duration.wholeMicroseconds * 1000 / UInt64(Self.sliceCount))
  }

  /// What a counter gains in each slice, a second. What goes by commits comes in leaps, so a slice lasts until something
  /// has come; but not for longer than ``patienceNanoseconds``.
  private func rates(_ count: () -> Int) async throws -> Spread {
    var rates: [Double] = []
    for slice in 0...Self.sliceCount {
      let (began, first) = (Monotonic.nanoseconds(), count())
      var (gained, lasted): (Int, UInt64) = (0, 0)
      repeat {
        try await Task.sleep(nanoseconds: sliceNanoseconds)
        (gained, lasted) = (count() - first, Monotonic.nanoseconds() - began)
      } while gained == 0 && lasted < Self.patienceNanoseconds
      if slice > 0 { rates.append(Double(gained) * 1e9 / Double(lasted)) }
    }
    return Spread(rates) ?? Spread(0)
  }

  // MARK: Rows

  private func localRow() async throws -> BenchRow {
    let board = AgentBoard()
    let ours = try await withNode(
      "local", board, [("blaster", TickBlaster.self, []), ("sink", TickSink.self, [])]
    ) { _, _ in
      try await rates { board.taken.load(ordering: .relaxed) }
    }
    let bare = try await bareQueueRates()
    return BenchRow(
      "local-rate", "1 → 1 in one node, typed value, realtime", .eventsPerSecond, ours: ours,
      bare: bare.median,
      ratios: Spread(ours.median / max(1, bare.median)), goal: .localRate)
  }

  private func stepRow() async throws -> BenchRow {
    let board = AgentBoard()
    let ours = try await withNode(
      "steps", board,
      [
        ("source", JobSource.self, []),
        ("stepper", JobStepper.self, [Subscription(type: BenchJob.eventType)]),
      ]
    ) { _, _ in try await rates { board.taken.load(ordering: .relaxed) } }
    return BenchRow(
      "step-rate", "persistent consume, process, produce; state and cursor synced", .eventsPerSecond,
      ours: ours,
      goal: .stepRate)
  }

  /// The same where no event is without a step: what one agent makes another takes.
  private func ringRow() async throws -> BenchRow {
    let board = AgentBoard()
    let ours = try await withNode(
      "ring", board, JobPasser.ring.map { ($0, JobPasser.self as any Agent.Type, [Subscription]()) }
    ) { _, _ in try await rates { board.taken.load(ordering: .relaxed) } }
    return BenchRow(
      "ring-rate", "the same over \(JobPasser.ring.count) agents that pass jobs in a ring", .eventsPerSecond,
      ours: ours, goal: .stepRate)
  }

  private func askRows() async throws -> [BenchRow] {
    let board = AgentBoard()
    let ours = try await withNode(
      "asks", board, [("asker", BenchAsker.self, []), ("answerer", BenchAnswerer.self, [])]
    ) { _, _ in
      try await rates { board.taken.load(ordering: .relaxed) }
    }
    let latencies = board.latencies.withLock { $0 }.sorted()
    func latency(_ share: Double) -> Spread { Spread((latencies.quantile(share) ?? 0) / 1e9) }
    return [
      BenchRow("ask-rate", "one after the other in one node", .eventsPerSecond, ours: ours),
      BenchRow("ask-p50", "round trip in one node", .seconds, ours: latency(0.5), goal: .askLatency),
      BenchRow("ask-p99", "round trip in one node", .seconds, ours: latency(0.99)),
    ] + [try await repeatedAskRow(asked: latency(0.5))]
  }

  /// The same question again and again, once it is ambient: beside one that its agent answers.
  private func repeatedAskRow(asked: Spread) async throws -> BenchRow {
    let board = AgentBoard()
    board.isWarm.store(false, ordering: .releasing)
    var policy = ObserverPolicy()
    policy.node = Self.node
    try await withNode(
      "copies", board, [("asker", BenchRepeatedAsker.self, []), ("answerer", BenchAnswerer.self, [])],
      observer: policy
    ) { _, log in
      var patience = 1_000
      while try AnswerReading.newest(in: log).isEmpty {
        patience -= 1
        guard patience > 0 else {
          throw HyphaError(.failed, "the question has not become ambient", remedy: "run the bench again")
        }
        try await Task.sleep(nanoseconds: 20_000_000)
      }
      board.isWarm.store(true, ordering: .releasing)
      _ = try await rates { board.taken.load(ordering: .relaxed) }
    }
    let latencies = board.latencies.withLock { $0 }.sorted()
    let local = Spread((latencies.quantile(0.5) ?? 0) / 1e9)
    return BenchRow(
      "ask-copy-p50", "the same question again, answered from a copy; beside it one that is asked", .seconds,
      ours: local, bare: asked.median, ratios: Spread(local.median / max(asked.median, 1e-9)))
  }

  private func sharedRow() async throws -> BenchRow {
    let board = AgentBoard()
    let ours = try await withNode(
      "shared", board,
      [
        ("sharer", BenchSharer.self, []),
        ("reader", BenchReader.self, [Subscription(type: BenchShared.eventType)]),
      ]
    ) { _, _ in try await rates { board.taken.load(ordering: .relaxed) } }
    return BenchRow(
      "shared-rate", "reads of a shared value by its key, shared by an agent of the same node",
      .eventsPerSecond,
      ours: ours)
  }

  private func idleRows() async throws -> [BenchRow] {
    let count = settings.isQuick ? 1000 : 100_000
    let agents = (0..<count).map {
      (AgentID(unchecked: "idle\($0)"), BenchIdler.self as any Agent.Type, [Subscription]())
    }
    let before = ProcessMemory.residentByteCount
    let began = Monotonic.nanoseconds()
    var seconds = 0.0
    var byteCount = 0.0
    try await withNode("idle", AgentBoard(), agents) { _, _ in
      seconds = Double(Monotonic.nanoseconds() - began) / 1e9
      byteCount = Double(max(0, ProcessMemory.residentByteCount - before)) / Double(count)
    }
    return [
      BenchRow(
        "idle-start", "\(count) agents on a new log", .seconds, ours: Spread(seconds), goal: .idleStart),
      BenchRow("idle-memory", "\(count) agents, each", .bytes, ours: Spread(byteCount)),
    ]
  }

  /// A locked queue between two threads, element by element: the bare part of a hand-over.
  private func bareQueueRates() async throws -> Spread {
    let queue = BareQueue()
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await onThread(niceValue: 0) { queue.fill() } }
      group.addTask { try await onThread(niceValue: 0) { queue.drain() } }
      let spread = try await rates { queue.taken.load(ordering: .relaxed) }
      queue.isOver.store(true, ordering: .relaxed)
      try await group.waitForAll()
      return spread
    }
  }

  // MARK: The node

  private static let node: NodeID = "bench"

  /// The kinds of its agents.
  static let kinds: [any Agent.Type] = [
    TickBlaster.self, TickSink.self, JobSource.self, JobStepper.self, JobPasser.self, BenchAsker.self,
    BenchRepeatedAsker.self, BenchAnswerer.self, BenchSharer.self, BenchReader.self, BenchIdler.self,
    PacedSource.self,
  ]

  /// Runs a node with these agents below a boss while `body` is called.
  ///
  /// - Parameter own: settings that the first of them gets beside the number of the board.
  func withNode<Result>(
    _ name: String, _ board: AgentBoard,
    _ agents: [(id: AgentID, kind: any Agent.Type, subscribes: [Subscription])],
    settings own: [String: JSONValue] = [:], observer: ObserverPolicy = ObserverPolicy(),
    _ body: (Topology, LMDBLog) async throws -> Result
  ) async throws -> Result {
    let node = Self.node
    let number = AgentBoard.register(board)
    defer { AgentBoard.forget(number) }
    let specs =
      [AgentSpec(id: "boss", kind: BenchIdler.kind, node: node)]
      + agents.enumerated().map { place, agent in
        let board: [String: JSONValue] = ["board": .integer(Int64(number))]
        return AgentSpec(
          id: agent.id, kind: agent.kind.kind, node: node, reportsTo: "boss", subscribes: agent.subscribes,
          settings: .object(place == 0 ? board.merging(own) { $1 } : board))
      }
    let topology = try Topology(name: name, nodes: [NodeSpec(id: node)], agents: specs, observer: observer)
    let scheduler = SystemScheduler()
    let log = try LMDBLog(
      directory: "\(settings.directory)/\(name)", node: node, settings: .standard, time: scheduler)
    let network = MemoryNetwork(scheduler: scheduler, seed: 1)
    let running = try Node(
      .init(topology: topology, node: node, kinds: try KindRegistry(Self.kinds), linkPatience: .zero),
      log: log,
      transport: network.transport(for: Node.linkPlan(of: node, in: topology)), scheduler: scheduler)
    try await running.start()
    do {
      let result = try await body(topology, log)
      board.isOver.store(true, ordering: .relaxed)
      await running.stop()
      log.close()
      return result
    } catch {
      board.isOver.store(true, ordering: .relaxed)
      await running.stop()
      log.close()
      throw error
    }
  }
}

/// A bounded queue under a lock, between two threads.
private final class BareQueue: Sendable {
  let taken = Atomic<Int>(0)
  let isOver = Atomic<Bool>(false)
  private let queue = Mutex<[Int]>([])

  func fill() {
    var number = 0
    while !isOver.load(ordering: .relaxed) {
      let isFull = queue.withLock { queue in
        if queue.count < 1024 { queue.append(number) }
        return queue.count >= 1024
      }
      number += isFull ? 0 : 1
      if isFull { Monotonic.sleep(nanoseconds: 1000) }
    }
  }

  func drain() {
    while !isOver.load(ordering: .relaxed) {
      let count = queue.withLock { queue in
        defer { queue.removeAll(keepingCapacity: true) }
        return queue.count
      }
      taken.add(count, ordering: .relaxed)
    }
  }
}
