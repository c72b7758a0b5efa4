import Glibc
import HyphaCore
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import HyphaTransport
import Synchronization

extension AgentBench {
  /// Event-sourced agents without a snapshot that begin on a long log, each time in a process of its own: one to which an eighth of
  /// the events belong, beside the same on a log a tenth as long; and many to which all belong, beside one that has as many.
  func recoveryRows() async throws -> [BenchRow] {
    guard let child = settings.childCommand else { return [] }
    let counts =
      settings.isQuick
      ? (large: 100_000, small: 10_000, agents: 100) : (large: 10_000_000, small: 1_000_000, agents: 1_000)
    func write(_ name: String, _ count: Int, agents: Int) async throws -> String {
      progress("recovery: writing \(count) events of \(agents) agents")
      let path = "\(settings.directory)/\(name)"
      // Appenders share the agents, and each states as much as the others.
      let log = try OwnLog(path, .grouped(min(8, agents), streams: agents))
      try await log.append(eventCount: count)
      _ = try await log.waitUntilIndexed()
      log.close()
      return path
    }
    func recover(_ path: String, _ agentCount: Int, _ eventCount: Int) throws -> [Recovering] {
      defer { Disk.remove(path) }
      return try (0..<(settings.isQuick ? 1 : 3)).map { _ in
        progress("recovery: \(eventCount) events into \(agentCount) agents")
        return try Recovering(child, path, agentCount, eventCount)
      }
    }
    let large = try await recover(write("large", counts.large, agents: 8), 1, counts.large / 8)
    let small = try await recover(write("small", counts.small, agents: 8), 1, counts.small / 8)
    let many = try await recover(
      write("many", counts.small, agents: counts.agents), counts.agents, counts.small)
    let one = try await recover(write("one", counts.small, agents: 1), 1, counts.small)
    func row(
      _ name: String, _ workload: String, _ unit: BenchUnit, _ ours: [Recovering], _ bare: [Recovering],
      goal: BenchGoal? = nil, _ figure: (Recovering) -> Double
    ) -> BenchRow {
      let ours = Spread(ours.map(figure)) ?? Spread(.nan)
      let bare = Spread(bare.map(figure)) ?? Spread(.nan)
      return BenchRow(
        name, workload, unit, ours: ours, bare: bare.median, ratios: Spread(ours.median / bare.median),
        goal: goal)
    }
    let share = "an agent with an eighth of \(counts.large) events; bare: of \(counts.small)"
    let all = "\(counts.agents) agents with \(counts.small) events; bare: one"
    return [
      row("recovery-memory", share, .bytes, large, small, goal: .recoveryMemory) { $0.byteCount },
      row("recovery-time", share, .seconds, large, small) { $0.seconds },
      row("recovery-together", all, .seconds, many, one, goal: .recoveryTogether) { $0.seconds },
    ]
  }
}

/// What a child says of having begun agents.
private struct Recovering {
  let seconds: Double
  /// The most memory of its own that the process was seen to have.
  let byteCount: Double

  init(_ command: [String], _ directory: String, _ agentCount: Int, _ eventCount: Int) throws {
    let words = try ChildProcess.output(of: command + ["recover", directory, "\(agentCount)"])
      .split(separator: " ")
    guard words.count == 3, let count = Int(words[0]), count >= eventCount,
      let nanoseconds = Double(words[1]), let byteCount = Double(words[2])
    else {
      throw HyphaError(
        .failed, "the bench's child process could not begin \(agentCount) agents on \(directory)",
        remedy: "see what it has printed above")
    }
    (seconds, self.byteCount) = (nanoseconds / 1e9, max(1, byteCount))
  }
}

/// What the bench of agents runs in another process: `recover DIR COUNT`.
public enum AgentBenchChild {
  /// Begins so many agents on a log, and ends without a word to the log; prints how many events their states have evolved by, the
  /// nanoseconds until all had begun, and the most memory of its own that the process was seen to have.
  ///
  /// - Throws: what opening the log and starting the node throw; `HyphaError` with the code `usage` for other words.
  public static func run(_ words: [String]) async throws {
    guard words.count == 3, let agentCount = Int(words[2]), agentCount > 0 else {
      throw HyphaError(.usage, "'\(words.joined(separator: " "))' is nothing to do for the bench's child")
    }
    let node: NodeID = "bench"
    let specs = try (0..<agentCount).map {
      AgentSpec(id: try AgentID("agent-\($0)"), kind: BenchLedger.kind, node: node, reportsTo: "boss")
    }
    let topology = try Topology(
      name: "recovery", nodes: [NodeSpec(id: node)],
      agents: [AgentSpec(id: "boss", kind: BenchIdler.kind, node: node)] + specs)
    let kinds = try KindRegistry([BenchIdler.self, BenchLedger.self])
    let began = Monotonic.nanoseconds()
    let scheduler = SystemScheduler()
    let log = try LMDBLog(directory: words[1], node: node, settings: .standard, time: scheduler)
    let network = MemoryNetwork(scheduler: scheduler, seed: 1)
    let running = try Node(
      .init(topology: topology, node: node, kinds: kinds, linkPatience: .zero), log: log,
      transport: network.transport(for: Node.linkPlan(of: node, in: topology)), scheduler: scheduler)
    try await running.start()
    while BenchLedger.begunCount.load(ordering: .acquiring) < agentCount {
      try await Task.sleep(for: .microseconds(500), clock: .suspending)
    }
    let nanoseconds = Monotonic.nanoseconds() - began
    BenchLedger.sample()
    let (count, peak) = (
      BenchLedger.eventCount.load(ordering: .relaxed), BenchLedger.peak.load(ordering: .relaxed)
    )
    print("\(count) \(nanoseconds) \(peak)")
    fflush(nil)
    // The agents have not come to their first commit, so the next process finds the log as it was.
    exit(0)
  }
}

/// Adds up its own readings, and waits when it begins.
actor BenchLedger: Agent {
  static let kind = "bench-ledger"
  static let publishes: [any Event.Type] = [Reading.self]
  static let evolves = Evolution(Sums.self).on(Reading.self) { state, reading in
    state.count += 1
    state.sum &+= reading.number
    if eventCount.add(1, ordering: .relaxed).newValue.isMultiple(of: 4_096) { sample() }
  }

  struct Sums: Codable, Sendable {
    var count = 0
    var sum: UInt64 = 0
  }

  static let eventCount = Atomic<Int>(0)
  static let begunCount = Atomic<Int>(0)
  static let peak = Atomic<Int>(0)

  static func sample() { peak.max(ProcessMemory.ownByteCount, ordering: .relaxed) }

  var state = Sums()

  func start(in context: Context) async throws {
    Self.begunCount.add(1, ordering: .releasing)
    try await Task.sleep(for: .seconds(3_600), clock: .suspending)
  }
}
