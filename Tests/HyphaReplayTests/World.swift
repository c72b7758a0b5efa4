import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization

/// A deployment's logs as a random run may leave them: nodes whose clocks are apart, events that reach other nodes
/// after a while and alerts before their own node has them, causes and conversations.
final class World {
  /// A clock that is off.
  final class SkewedTime: TimeSource {
    private let now = Atomic<UInt64>(0)
    func microseconds() -> UInt64 { now.load(ordering: .relaxed) }
    func set(_ time: UInt64) { now.store(time, ordering: .relaxed) }
  }

  struct Event {
    var record: Record
    var destination: Int
  }

  let logs: [any EventLog]
  private let directory: String?
  private let times: [SkewedTime]
  private let skews: [Int64]
  private var clocks: [HybridClock]
  private var random: SeededGenerator
  private var now: UInt64 = 1_700_000_000_000_000
  private var sequences: [StreamID: UInt64] = [:]
  private var ends: [Lane: LanePoint] = [:]
  /// What is on its way to each node, by the node it comes from: lanes keep their order.
  private var underWay: [[[Record]]]
  /// What each node's log has, by which its agents may be moved.
  private var known: [[RecordHeader]]
  private(set) var stated: [Record] = []

  static let agentCount = 6
  static let types: [EventTypeName] = ["work.Begun", "work.Done", "load.Alarm"]
  static let subjects: [Subject] = ["case.1", "case.2.part", "load", "case.3"]

  /// - Parameter isOnDisk: whether the logs are LMDB's, with an index; else in memory.
  init(seed: UInt64, nodeCount: Int, isOnDisk: Bool = false) throws {
    var random = SeededGenerator(seed: seed)
    let times = (0..<nodeCount).map { _ in SkewedTime() }
    self.times = times
    for time in times { time.set(now) }
    let directory = NSTemporaryDirectory() + "hypha-replay-\(UUID().uuidString)"
    self.directory = isOnDisk ? directory : nil
    logs = try (0..<nodeCount).map { index in
      let node = try NodeID("n\(index)")
      guard isOnDisk else {
        let store = MemoryLogStore(
          identity: LogIdentity(id: EventID(high: UInt64(index), low: seed), node: node))
        return try MemoryLog(store: store, time: times[index])
      }
      return try LMDBLog(
        directory: "\(directory)/\(node)", node: node,
        settings: LMDBLogSettings(mapByteCount: 1 << 30, niceValue: 0), time: times[index])
    }
    skews = (0..<nodeCount).map { _ in Int64.random(in: -4_000_000...4_000_000, using: &random) }
    self.random = random
    clocks = (0..<nodeCount).map { _ in HybridClock(aheadMax: .seconds(60)) }
    underWay = Array(repeating: Array(repeating: [], count: nodeCount), count: nodeCount)
    known = Array(repeating: [], count: nodeCount)
  }

  deinit {
    for log in logs { log.close() }
    if let directory { try? FileManager.default.removeItem(atPath: directory) }
  }

  func agent(_ index: Int) -> AgentID { AgentID(slug: "agent-\(index)") }
  private func node(of agent: Int) -> Int { agent % logs.count }

  /// Lets so many events be stated, and others arrive meanwhile; at the end some are still on their way.
  func run(eventCount: Int) async throws {
    for _ in 0..<eventCount {
      now += .random(in: 1...200_000, using: &random)
      try await state()
      while random.chance(0.6) { try await arrive() }
    }
  }

  /// Lets everything arrive.
  func settle() async throws {
    while underWay.contains(where: { $0.contains { !$0.isEmpty } }) { try await arrive() }
  }

  private func physical(_ node: Int) -> UInt64 { UInt64(Int64(now) + skews[node]) }

  private func state() async throws {
    let agent = Int.random(in: 0..<Self.agentCount, using: &random)
    let node = node(of: agent)
    let destination = Int.random(in: 0..<Self.agentCount, using: &random)
    let channel: Channel = random.chance(0.3) ? .alert : .persistent
    let time = clocks[node].now(physical: physical(node))
    let id = EventID(time: time, random: random.next())
    // Recent causes are likelier, as in life.
    let cause = random.chance(0.7) ? known[node].suffix(5).randomElement(using: &random) : nil
    let stream = StreamID(agent: self.agent(agent), epoch: 1, channel: channel)
    let lane = Lane(agent: stream.agent, channel: channel, target: .addressee(self.agent(destination)))
    sequences[stream, default: 0] += 1
    let header = RecordHeader(
      id: id, time: time, channel: channel, agent: stream.agent, epoch: 1, sequence: sequences[stream] ?? 0,
      previous: ends[lane] ?? .start, addressee: self.agent(destination),
      type: Self.types.randomElement(using: &random) ?? "T",
      subject: Self.subjects.randomElement(using: &random) ?? "s", causation: cause?.id ?? .none,
      correlation: cause?.correlation ?? id, authority: Authority(principal: stream.agent, grant: "topology"))
    ends[lane] = header.point
    let record = try Record(header, payload: Array(#"{"n": \#(stated.count)}"#.utf8))
    stated.append(record)
    let other = self.node(of: destination)
    let leavesFirst =
      channel == .alert && other != node && random.chance(0.5) && underWay[other][node].isEmpty
    if leavesFirst { try await take(record, at: other) }
    try await append(record, at: node, .stated)
    if other != node && !leavesFirst { underWay[other][node].append(record) }
  }

  private func arrive() async throws {
    let to = Int.random(in: 0..<logs.count, using: &random)
    let from = Int.random(in: 0..<logs.count, using: &random)
    guard !underWay[to][from].isEmpty else { return }
    let record = underWay[to][from].removeFirst()
    try await take(record, at: to)
  }

  private func take(_ record: Record, at node: Int) async throws {
    try clocks[node].observe(record.header.time, physical: physical(node))
    try await append(record, at: node, .received(hops: 1))
  }

  private func append(_ record: Record, at node: Int, _ source: EntrySource) async throws {
    times[node].set(physical(node))
    _ = try await logs[node].append(LogBatch(appends: [.init(record, source: source)]))
    known[node].append(record.header)
  }
}
