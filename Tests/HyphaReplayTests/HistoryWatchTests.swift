import HyphaCore
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaReplay

/// What a node's log took of before, when an agent was moved to it.
@Suite struct HistoryWatchTests {
  private static let second: UInt64 = 1_000_000

  private func record(
    _ number: UInt64, _ agent: AgentID, _ type: EventTypeName, to addressee: AgentID? = nil, at time: UInt64,
    sequence: UInt64 = 1, cause: UInt64 = 0, payload: [UInt8] = Array("{}".utf8)
  ) throws -> Record {
    try Record(
      RecordHeader(
        id: EventID(high: 2, low: number), time: Timestamp(microseconds: time), channel: .persistent,
        agent: agent, epoch: 1, sequence: sequence,
        previous: LanePoint(epoch: sequence > 1 ? 1 : 0, sequence: sequence - 1), addressee: addressee,
        type: type,
        subject: "s", causation: cause == 0 ? .none : EventID(high: 2, low: cause),
        correlation: EventID(high: 2, low: 1), authority: Authority(principal: agent)), payload: payload)
  }

  /// Bo is moved from x to y: ordered at the 15th second, there at the 20th, with what it was told at the 10th and said at the 11th,
  /// which y took at the 17th. What is stated from there on travels 5 ms; what cy states before the order does, too, and comes late.
  private func logs() async throws -> [MemoryLog] {
    let clock = World.SkewedTime()
    let second = Self.second
    let logs = try ["x", "y"].enumerated().map { number, name in
      let identity = LogIdentity(id: EventID(high: 1, low: UInt64(number)), node: try NodeID(name))
      return try MemoryLog(store: MemoryLogStore(identity: identity), time: clock)
    }
    func append(_ log: Int, _ record: Record, at time: UInt64, received: Bool = false) async throws {
      clock.set(time)
      let append = LogBatch.Append(record, source: received ? .received(hops: 1) : .stated)
      _ = try await logs[log].append(LogBatch(appends: [append]))
    }
    let past = try record(1, "ana", "Past", to: "bo", at: 10 * second)
    let said = try record(2, "bo", "Said", to: "cy", at: 11 * second, cause: 1)
    try await append(0, past, at: 10 * second)
    try await append(0, said, at: 11 * second + 300)
    let order = try record(
      3, "hypha.node.x", AgentMoved.eventType, at: 15 * second,
      payload: Array(JSON.encode(AgentMoved(move: 1, agent: "bo", from: "x", to: "y"))))
    try await append(0, order, at: 15 * second)
    try await append(1, order, at: 15 * second + 5_000, received: true)
    for record in [past, said] { try await append(1, record, at: 17 * second, received: true) }
    try await append(
      1,
      record(
        4, "hypha.node.y", AgentArrived.eventType, at: 20 * second,
        payload: Array(JSON.encode(AgentArrived(move: 1, agent: "bo", node: "y", epoch: 2)))), at: 20 * second
    )
    let late = try record(5, "dee", "Late", to: "bo", at: 14 * second)
    try await append(0, late, at: 21 * second)
    try await append(1, late, at: 22 * second, received: true)
    let new = try record(6, "ana", "New", to: "bo", at: 23 * second, sequence: 2)
    try await append(0, new, at: 23 * second)
    try await append(1, new, at: 23 * second + 5_000, received: true)
    return logs
  }

  @Test func `what a node took of the past has no travel time, and a pair counts once over several logs`()
    async throws
  {
    let logs = try await logs()
    var statistics = LogStatistics(isOfSeveralLogs: true, history: try HistoryWatch(over: logs))
    for log in logs {
      var replay = try Replay(of: [log])
      try replay.look()
      try replay.visit {
        statistics.add($0.entry, of: $0.node)
        return true
      }
    }
    let travel = statistics.channels[Int(Channel.persistent.rawValue)].travel
    // The order, the late one and the new one.
    #expect(travel.count == 3 && travel.maximum == 8 * Self.second && travel.percentile(0.5) ?? 0 < 6_000)
    #expect(statistics.entryCount == 11)
    let pairs = statistics.pairs.top(9, by: { $0.agent < $1.agent }).map {
      "\($0.key.agent) \($0.key.target) \($0.count)"
    }
    #expect(
      Set(pairs) == [
        "ana bo 2", "bo cy 1", "dee bo 1", "hypha.node.x #hypha.AgentMoved 1",
        "hypha.node.y #hypha.AgentArrived 1",
      ])
  }

  @Test func `a span ends when logs had its event, not when that came with a moved agent`() async throws {
    let logs = try await logs()
    let trace = try CausalTrace(of: EventID(high: 2, low: 2), in: logs)
    #expect(trace.steps.map { $0.lastAppendedAt.microseconds } == [10 * Self.second, 11 * Self.second + 300])
    #expect(trace.steps[1].copies.map(\.isOfPast) == [false, true])
    func ends(_ text: String) throws -> [String] {
      text.split(separator: "\"endTimeUnixNano\":\"").dropFirst().map {
        String($0.prefix { $0.isNumber }.dropLast(9))
      }
    }
    #expect(try ends(String(decoding: trace.bytes(as: .otlp), as: UTF8.self)) == ["10", "11"])
    // Of the new node's log alone nobody knows how long they were on their way.
    let alone = try CausalTrace(of: EventID(high: 2, low: 2), in: [logs[1]])
    #expect(alone.steps.map { $0.lastAppendedAt } == alone.steps.map { $0.record.header.time })
    #expect(alone.steps[1].delays?.travel == .zero && alone.steps[1].delays?.handling == .seconds(1))
    let spans = try ends(export([logs[1]], .otlp, history: HistoryWatch(over: logs)))
    #expect(spans == ["15", "10", "11", "20", "22", "23"])
  }
}
