import HyphaCore
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// asks-before-it-begins, rejoin-keeps-replicated: what the machine decides, answer by answer.
@Suite struct RejoinMachineTests {
  private let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))
  private let log = EventID(high: 1, low: 1)
  private func at(_ milliseconds: UInt64) -> Timestamp { Timestamp(microseconds: milliseconds * 1000) }
  private func point(_ sequence: UInt64) -> LanePoint { LanePoint(epoch: 1, sequence: sequence) }

  private func machine(_ replicas: [NodeID], level: Int, isWaived: Bool = false) -> RejoinMachine {
    RejoinMachine(
      "x", ReplicationSettings(nodes: replicas, level: level), isWaived: isWaived, now: at(0))
  }

  private func nothing(_ machine: inout RejoinMachine, by node: NodeID, isFresh: Bool = false) {
    machine.told([], by: node, log: log, through: isFresh ? 0 : 7, isFull: false, now: at(0))
  }

  @Test func `it begins when as many have answered as one of any n must be among`() {
    var machine = machine(["p", "q", "r"], level: 2)
    #expect(machine.due(now: at(0), isSettled: true).map(\.node) == ["p", "q", "r"])
    nothing(&machine, by: "p")
    #expect(machine.findings(now: at(10_000), isSettled: true) == nil, "q and r may have it")
    #expect(machine.waiting.nodes == ["q", "r"] && machine.waiting.neededCount == 2)
    nothing(&machine, by: "stranger")
    #expect(machine.findings(now: at(10_000), isSettled: true) == nil)
    nothing(&machine, by: "r")
    let findings = machine.findings(now: at(10_000), isSettled: true)
    #expect(findings?.isProven == true && findings?.silent == ["q"] && findings?.lanes.isEmpty == true)
  }

  @Test
  func `an empty log proves nothing where not all have answered, and a first start needs no more than all`() {
    var machine = machine(["p", "q"], level: 2)
    nothing(&machine, by: "p", isFresh: true)
    #expect(machine.findings(now: at(60_000), isSettled: true) == nil, "q may have what p has lost, too")
    nothing(&machine, by: "q", isFresh: true)
    #expect(machine.findings(now: at(60_000), isSettled: true)?.isProven == false)
  }

  @Test func `who is told to wait for nobody, and whose replicas prove nothing, waits for a while`() {
    for (level, isWaived) in [(2, true), (0, false)] {
      var machine = machine(["p", "q"], level: level, isWaived: isWaived)
      #expect(machine.findings(now: at(4999), isSettled: true) == nil)
      #expect(machine.findings(now: at(5000), isSettled: true)?.isProven == false)
    }
  }

  @Test func `it takes the longest that any has, and is not done before the log has it`() throws {
    var machine = machine(["p", "q"], level: 1)
    machine.told([(lane, point(1))], by: "p", log: log, through: 5, isFull: false, now: at(0))
    machine.told([(lane, point(3))], by: "q", log: log, through: 5, isFull: false, now: at(0))
    let due = machine.due(now: at(0), isSettled: true)
    #expect(due.map(\.node) == ["q"] && due.map(\.question) == [.fetch(lane: lane, after: .start)])
    let records = try (1...3).map { try record(UInt64($0)) }
    #expect(
      machine.received(records, of: lane, after: .start, from: "p", now: at(1)).taken.isEmpty,
      "p was not asked")
    #expect(machine.received(records, of: lane, after: .start, from: "q", now: at(1)).taken == records)
    #expect(machine.due(now: at(2), isSettled: false).isEmpty)
    #expect(machine.findings(now: at(2), isSettled: false) == nil)
    // The other end is held against the log.
    let check = machine.due(now: at(3), isSettled: true)
    #expect(check.map(\.node) == ["p"] && check.map(\.question) == [.fetch(lane: lane, after: .start)])
    #expect(machine.findings(now: at(3), isSettled: true) == nil)
    #expect(machine.received(records, of: lane, after: .start, from: "p", now: at(4)).check == records[0])
    let found = machine.findings(now: at(4), isSettled: true)
    let findings = try #require(found)
    #expect(findings.lanes == [lane: point(3)] && findings.epoch == 1 && findings.forks.isEmpty)
    #expect(findings.answered.map(\.laneCount) == [1, 1])
  }

  @Test func `what differs is told as a fork, and not taken`() throws {
    var machine = machine(["p", "q"], level: 1)
    for node in ["p", "q"] as [NodeID] {
      machine.told([(lane, point(1))], by: node, log: log, through: 5, isFull: false, now: at(0))
    }
    let (mine, other) = (try record(1), try record("a", .persistent, 1, time: 2_000_000))
    _ = machine.due(now: at(0), isSettled: true)
    #expect(machine.received([mine], of: lane, after: .start, from: "p", now: at(1)).taken == [mine])
    _ = machine.due(now: at(1), isSettled: true)
    let check = machine.received([other], of: lane, after: .start, from: "q", now: at(2))
    #expect(check.taken.isEmpty && check.check == other)
    machine.contradicted(other)
    let found = machine.findings(now: at(3), isSettled: true)
    let forks = try #require(found).forks
    #expect(forks.map(\.fork.other.event) == [other.id] && forks.map(\.fork.kept.event) == [mine.id])
  }

  @Test func `who does not answer any more does not count, and its part comes from others`() throws {
    var machine = machine(["p", "q", "r"], level: 2)
    machine.told([(lane, point(2))], by: "p", log: log, through: 5, isFull: false, now: at(0))
    machine.told([(lane, point(1))], by: "q", log: log, through: 5, isFull: false, now: at(0))
    #expect(machine.due(now: at(0), isSettled: true).map(\.node).first == "r")
    var asked: [(node: NodeID, question: ControlMessage)] = []
    for time in stride(from: UInt64(100), through: 4000, by: 100) {
      asked = machine.due(now: at(time), isSettled: true).filter {
        if case .fetch = $0.question { $0.node == "q" } else { false }
      }
      if !asked.isEmpty { break }
    }
    #expect(asked.count == 1)
    #expect(machine.waiting.nodes == ["p", "r"])
    _ = machine.received([try record(1)], of: lane, after: .start, from: "q", now: at(4000))
    #expect(machine.findings(now: at(9000), isSettled: true) == nil, "one answer of two")
  }

  /// A node that has stated some events, of which each was on n of m replicas before it left; some answer, late or never.
  @Test func `on every seed what was on n replicas is found by m − n + 1 answers`() throws {
    for seed in seeds(1000) {
      var random = SeededGenerator(seed: seed, name: "rejoin")
      let count = Int.random(in: 1...5, using: &random)
      let level = Int.random(in: 1...count, using: &random)
      let nodes = (0..<count).map { NodeID(unchecked: "r\($0)") }
      let records = try (1...30).map { try record(UInt64($0)) }
      // Each has a beginning of the lane.
      let has = Dictionary(
        uniqueKeysWithValues: nodes.map { ($0, Int.random(in: 0...30, using: &random)) })
      let left = has.values.sorted(by: >)[level - 1]
      let answering = Array(nodes.shuffled(using: &random).prefix(count - level + 1))
      var machine = machine(nodes, level: level)
      var (log, now): ([Record], UInt64) = ([], 0)
      var findings: RejoinMachine.Findings?
      while findings == nil, now < 60_000 {
        now += 100
        for (node, question) in machine.due(now: at(now), isSettled: true)
        where answering.contains(node) && random.chance(0.7) {
          let end = has[node] ?? 0
          switch question {
          case .copies:
            let heads = end > 0 ? [(lane, point(UInt64(end)))] : []
            machine.told(heads, by: node, log: self.log, through: 9, isFull: false, now: at(now))
          case .fetch(_, let after):
            let part = records.prefix(end).drop { $0.point <= after }.prefix(
              Int.random(in: 1...9, using: &random))
            log += machine.received(Array(part), of: lane, after: after, from: node, now: at(now)).taken
          default: break
          }
        }
        findings = machine.findings(now: at(now), isSettled: true)
      }
      #expect(findings?.isProven == true, "HYPHA_SEED=\(seed): it never begins")
      #expect(log == Array(records.prefix(log.count)) && log.count >= left, "HYPHA_SEED=\(seed)")
    }
  }
}
