import HyphaCore
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// The machine alone: `root` ← `lead` ← `a`, `b`; `root` ← `c`, all on one node; deadline 10 s, redelivery 1 s.
@Suite struct AlertTrackerTests {
  private static let start: UInt64 = 1_000_000_000

  /// A tracker and the log that it observes.
  private struct Bench {
    var tracker: AlertTracker
    var entries: [(record: Record, isStated: Bool)] = []
    private var sequence: UInt64 = 0

    init(dutyCountMax: Int = AlertTracker.dutyCountMax) throws { tracker = try Self.fresh(dutyCountMax) }

    static func fresh(_ dutyCountMax: Int = AlertTracker.dutyCountMax) throws -> AlertTracker {
      let agents: [(AgentID, AgentID?)] = [
        ("root", nil), ("lead", "root"), ("a", "lead"), ("b", "lead"), ("c", "root"), ("d", "lead"),
      ]
      let topology = try Topology(
        name: "small", nodes: [NodeSpec(id: "x")],
        agents: agents.map { id, supervisor in
          AgentSpec(
            id: id, kind: "k", node: "x", reportsTo: supervisor,
            subscribes: ["a", "b", "c"].contains(id)
              ? [Subscription(type: "fire.Alarm"), Subscription(type: "fire.Drill", subjects: "north.>")] : []
          )
        })
      return AlertTracker(
        AlertAudience(topology, of: ["fire.Alarm", "fire.Drill"], on: "x"),
        settings: AlertSettings(deadline: .seconds(10), redelivery: .seconds(1)), dutyCountMax: dutyCountMax
      ) { topology.agent($0)?.reportsTo }
    }

    /// Appends an event to the log and lets the tracker observe it; returns its id.
    @discardableResult
    mutating func append<E: Event>(
      _ event: E, by agent: AgentID, to addressee: AgentID? = nil, because cause: EventID = .none,
      at seconds: Double, isStated: Bool = true, id: EventID? = nil
    ) throws -> EventID {
      sequence += 1
      let time = Timestamp(microseconds: start + UInt64(seconds * 1e6))
      let id = id ?? EventID(time: time, random: sequence << 20)
      var payload: [UInt8] = []
      try event.encode(into: &payload)
      let header = RecordHeader(
        id: id, time: time, channel: .alert, agent: agent, epoch: 1, sequence: sequence, previous: .start,
        addressee: addressee, type: E.eventType, subject: event.subject, causation: cause, correlation: id,
        authority: Authority(principal: agent))
      let record = try Record(header, payload: payload)
      entries.append((record, isStated))
      tracker.observe(record, at: Position(rawValue: UInt64(entries.count)), isStated: isStated)
      return id
    }

    mutating func alarm(to addressee: AgentID? = nil, at seconds: Double) throws -> EventID {
      try append(FireAlarm(), by: "d", to: addressee, at: seconds)
    }

    mutating func answer(_ id: EventID, by agent: AgentID, at seconds: Double) throws {
      try append(AlertAcknowledged(), by: agent, to: "d", because: id, at: seconds)
    }

    mutating func due(_ seconds: Double) -> [AlertTracker.Action] {
      tracker.due(now: Timestamp(microseconds: AlertTrackerTests.start + UInt64(seconds * 1e6)))
    }

    /// What is due, without what is only sent again.
    mutating func told(_ seconds: Double) -> [AlertTracker.Action] {
      due(seconds).filter { if case .redeliver = $0 { false } else { true } }
    }
  }

  private struct FireAlarm: Event {
    static let eventType: EventTypeName = "fire.Alarm"
    static let channel = Channel.alert
  }

  private struct FireDrill: Event {
    static let eventType: EventTypeName = "fire.Drill"
    static let channel = Channel.alert
    var place: Subject
    var subject: Subject { place }
  }

  private func escalated(_ alert: EventID, _ names: [AgentID], step: Int, count: Int = 1) -> AlertEscalated {
    AlertEscalated(alert: alert, type: "fire.Alarm", agent: "d", unanswered: names, step: step, count: count)
  }

  @Test func `an alert is open until each whom it is for has answered`() throws {
    var bench = try Bench()
    let id = try bench.alarm(at: 0)
    #expect(bench.tracker.open[id]?.duties.map(\.holder) == ["a", "b", "c"])
    try bench.answer(id, by: "b", at: 0.1)
    try bench.answer(id, by: "b", at: 0.2)
    try bench.answer(id, by: "lead", at: 0.2)
    #expect(bench.tracker.open[id]?.duties.map(\.holder) == ["a", "c"], "who is not asked cannot answer")
    try bench.answer(id, by: "a", at: 0.3)
    try bench.answer(id, by: "c", at: 0.4)
    #expect(bench.tracker.open.isEmpty && bench.tracker.waitingCount == 0)
    #expect(bench.due(100).isEmpty)
  }

  @Test func `only those answer whose subscriptions cover the subject, and never the author`() throws {
    var bench = try Bench()
    try bench.append(FireDrill(place: "south.hall"), by: "d", at: 0)
    #expect(bench.tracker.open.isEmpty, "it is for nobody")
    let id = try bench.append(FireDrill(place: "north.hall"), by: "a", at: 0)
    #expect(bench.tracker.open[id]?.duties.map(\.holder) == ["b", "c"])
  }

  @Test func `it is sent again after 1, 2, 4 and at most 30 seconds`() throws {
    var bench = try Bench()
    try bench.append(
      AlertDeadlineSet(alert: EventID(high: 7, low: 7), withinMicroseconds: 3_600_000_000), by: "d", at: 0)
    try bench.append(FireAlarm(), by: "d", to: "a", at: 0, id: EventID(high: 7, low: 7))
    var times: [Int] = []
    for tenth in 0..<2000 {
      for action in bench.due(Double(tenth) / 10) {
        #expect(action == .redeliver(position: 2, holders: ["a"]))
        times.append(tenth)
      }
    }
    // A moment is 25 ms long, and is looked at every 100 ms here.
    let waits = zip(times, [0] + times).map { $0 - $1 }
    #expect(waits.prefix(6).map { ($0 + 5) / 10 } == [1, 2, 4, 8, 16, 30], "\(waits)")
    #expect(waits.dropFirst(5).allSatisfy { (300...301).contains($0) })
  }

  @Test func `past its deadline it goes to each supervisor above those who have not answered, and up`() throws
  {
    var bench = try Bench()
    let id = try bench.alarm(at: 0)
    try bench.answer(id, by: "b", at: 1)
    #expect(bench.told(9.99).isEmpty)
    let first = bench.told(10.03)
    #expect(
      first == [
        .escalate(escalated(id, ["a"], step: 1), to: "lead", correlation: id),
        .escalate(escalated(id, ["c"], step: 1), to: "root", correlation: id),
      ])
    #expect(bench.told(15).isEmpty, "what is on its way is not decided again")
    let toLead = try bench.append(
      escalated(id, ["a"], step: 1), by: "d", to: "lead", because: id, at: 10.04)
    try bench.append(escalated(id, ["c"], step: 1), by: "d", to: "root", because: id, at: 10.04)
    #expect(bench.tracker.open[id]?.duties.map(\.holder) == ["lead", "root"])
    #expect(bench.told(20).isEmpty, "each has the whole time from when it was told")
    let second = bench.told(20.1)
    #expect(
      second == [
        .escalate(escalated(id, ["a"], step: 2), to: "root", correlation: id),
        .giveUp(
          AlertUnanswered(alert: id, type: "fire.Alarm", agent: "d", unanswered: ["c"], step: 1),
          correlation: id),
      ])
    try bench.append(
      AlertUnanswered(alert: id, type: "fire.Alarm", agent: "d", unanswered: ["c"], step: 1), by: "d",
      because: id, at: 20.2)
    // Late, and yet an answer: of `lead`, on behalf of `a`.
    try bench.answer(toLead, by: "lead", at: 20.3)
    #expect(bench.tracker.open[id]?.isGivenUp == true && bench.tracker.waitingCount == 0)
    #expect(bench.tracker.givenUpCount == 1 && bench.due(1000).isEmpty)
    try bench.answer(id, by: "c", at: 2000)
    #expect(bench.tracker.open.isEmpty && bench.tracker.givenUpCount == 0)
  }

  @Test func `a supervisor answers for those below it at once`() throws {
    var bench = try Bench()
    let id = try bench.alarm(at: 0)
    try bench.answer(id, by: "c", at: 1)
    #expect(
      bench.told(10.1) == [.escalate(escalated(id, ["a", "b"], step: 1), to: "lead", correlation: id)])
    let told = try bench.append(
      escalated(id, ["a", "b"], step: 1), by: "d", to: "lead", because: id, at: 10.2)
    try bench.answer(told, by: "lead", at: 11)
    #expect(bench.tracker.open.isEmpty && bench.told(100).isEmpty)
  }

  @Test func `an escalation that cannot be stated is decided anew`() throws {
    var bench = try Bench()
    let id = try bench.alarm(to: "a", at: 0)
    let first = bench.told(10.1)
    #expect(first.count == 1)
    bench.tracker.failed(id, now: Timestamp(microseconds: Self.start + 10_100_000))
    #expect(bench.told(11).isEmpty)
    #expect(bench.told(11.2) == first)
  }

  @Test func `an operator's acknowledgement by hand settles all of it`() throws {
    var bench = try Bench()
    let id = try bench.alarm(at: 0)
    try bench.append(
      AlertAcknowledged(by: "ana"), by: "d", because: EventID(high: 1, low: 1), at: 1, isStated: true)
    #expect(bench.tracker.open.count == 1, "that was another one")
    try bench.append(AlertAcknowledged(by: "ana"), by: "a", because: id, at: 1, isStated: false)
    #expect(bench.tracker.open.count == 1, "only the node of the alert's agent takes operators' words")
    try bench.append(AlertAcknowledged(by: "ana", note: "a drill"), by: "d", because: id, at: 1)
    #expect(bench.tracker.open.isEmpty)
  }

  @Test func `an answer that overtakes the commit of its alert counts`() throws {
    var bench = try Bench()
    let id = EventID(high: 9, low: 9)
    try bench.answer(id, by: "a", at: 0)
    try bench.append(FireAlarm(), by: "d", to: "a", at: 0, id: id)
    #expect(bench.tracker.open.isEmpty)
  }

  @Test func `beyond its bound alerts are not followed, and supervisors are told of all of them at once`()
    throws
  {
    var bench = try Bench(dutyCountMax: 4)
    let kept = try bench.alarm(at: 0)
    let first = try bench.alarm(at: 0.1)
    _ = try bench.alarm(to: "c", at: 0.2)
    #expect(bench.tracker.open.count == 2, "what still fits is followed")
    _ = try bench.alarm(at: 0.3)
    #expect(
      bench.told(0.4) == [
        .escalate(escalated(first, ["a", "b"], step: 1, count: 2), to: "lead", correlation: first),
        .escalate(escalated(first, ["c"], step: 1, count: 2), to: "root", correlation: first),
      ])
    let next = try bench.alarm(at: 0.5)
    #expect(bench.told(0.6).isEmpty && bench.told(1.5).count == 2, "once a second")
    for agent in ["a", "b", "c"] as [AgentID] { try bench.answer(kept, by: agent, at: 2) }
    #expect(bench.tracker.open[next] == nil && bench.tracker.open.count == 1)
    let again = try bench.alarm(at: 3)
    #expect(bench.tracker.open[again] != nil, "room that becomes free is used")
  }

  @Test func `alerts without an answer are remembered up to a bound`() throws {
    var bench = try Bench()
    var ids: [EventID] = []
    for number in 0...AlertTracker.givenUpCountMax {
      let id = try bench.append(FireAlarm(), by: "d", to: "root", at: Double(number) / 1000)
      ids.append(id)
      try bench.append(
        AlertUnanswered(alert: id, type: "fire.Alarm", agent: "d", unanswered: ["root"], step: 0), by: "d",
        because: id, at: 20)
    }
    #expect(bench.tracker.givenUpCount == AlertTracker.givenUpCountMax)
    #expect(bench.tracker.open[ids[0]] == nil && bench.tracker.open[ids[1]] != nil)
  }

  /// Any life, cut anywhere: a snapshot and the entries behind it give what all entries give.
  @Test func `a snapshot and what follows it in the log give the same open alerts as the whole log`() throws {
    for seed in seeds(300) {
      var random = SeededGenerator(seed: seed, name: "alerts")
      var bench = try Bench()
      var snapshots: [AlertTracker.Snapshot] = []
      var asked: [(EventID, AgentID)] = []
      var now = 0.0
      for _ in 0..<Int.random(in: 5...60, using: &random) {
        now += Double.random(in: 0...4, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0:
          let to = [AgentID?.none, "a", "root", "lead"].randomElement(using: &random) ?? nil
          let id = try bench.alarm(to: to, at: now)
          asked += bench.tracker.open[id]?.duties.map { (id, $0.holder) } ?? []
        case 1:
          guard let (id, agent) = asked.randomElement(using: &random) else { continue }
          try bench.answer(id, by: agent, at: now)
        case 2:
          guard let id = bench.tracker.open.keys.sorted().randomElement(using: &random) else { continue }
          try bench.append(AlertAcknowledged(by: "ana"), by: "d", because: id, at: now)
        case 3:
          snapshots.append(bench.tracker.snapshot(through: Position(rawValue: UInt64(bench.entries.count))))
        default:
          for action in bench.told(now) {
            switch action {
            case .escalate(let event, let supervisor, _):
              let id = try bench.append(event, by: "d", to: supervisor, because: event.alert, at: now)
              asked.append((id, supervisor))
            case .giveUp(let event, _): try bench.append(event, by: "d", because: event.alert, at: now)
            case .redeliver: break
            }
          }
        }
      }
      for snapshot in snapshots {
        let read = try JSON.decode(AlertTracker.Snapshot.self, from: JSON.encode(snapshot))
        var tracker = try Bench.fresh()
        tracker.restore(read)
        for (index, entry) in bench.entries.enumerated() where index >= snapshot.through {
          tracker.observe(entry.record, at: Position(rawValue: UInt64(index + 1)), isStated: entry.isStated)
        }
        func essence(_ tracker: AlertTracker) -> [[String]] {
          tracker.open.values.sorted { $0.id < $1.id }.map { alert in
            ["\(alert.id)"]
              + alert.duties.map { "\($0.holder) \($0.unanswered) \($0.step) \($0.dueAt) \($0.isGivenUp)" }
          }
        }
        #expect(essence(tracker) == essence(bench.tracker), "HYPHA_SEED=\(seed)")
        #expect(tracker.givenUpCount == bench.tracker.givenUpCount, "HYPHA_SEED=\(seed)")
      }
    }
  }
}
