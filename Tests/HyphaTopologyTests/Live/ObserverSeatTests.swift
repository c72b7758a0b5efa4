import HyphaCore
import HyphaTopology
import Testing

/// The observer as a node has it: a fold of the log.
@Suite struct ObserverSeatTests {
  /// Two branches of three agents each.
  private func topology(_ change: (inout ObserverPolicy) -> Void = { _ in }) throws -> Topology {
    var policy = ObserverPolicy()
    policy.node = "x"
    change(&policy)
    var agents = [AgentSpec(id: "root", kind: "k", node: "x")]
    for branch in ["left", "right"] {
      let supervisor = AgentID(unchecked: branch)
      agents.append(AgentSpec(id: supervisor, kind: "k", node: "x", reportsTo: "root"))
      for number in 1...3 {
        agents.append(
          AgentSpec(
            id: AgentID(unchecked: "\(branch)-\(number)"), kind: "k", node: branch == "left" ? "x" : "y",
            reportsTo: supervisor))
      }
    }
    return try Topology(
      name: "t", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")], agents: agents, observer: policy)
  }

  private func id(_ number: UInt64) -> EventID { EventID(high: 1, low: number) }

  /// A report as a node's meter makes it.
  private func report(_ flows: [(AgentID, AgentID, Int)]) -> FlowReported {
    let meter = FlowMeter()
    for (from, to, count) in flows {
      let lane = Lane(agent: from, channel: .persistent, target: .addressee(to))
      meter.counter(of: lane) { [to] }.add(count)
    }
    return meter.report(by: "x")!
  }

  private func changes(_ seat: ObserverSeat) -> [LinksChanged] {
    seat.pending.compactMap { if case .changed(let event) = $0.content { event } else { nil } }
  }

  @Test func `a worn path becomes a link, with its evidence`() throws {
    var seat = try ObserverSeat(topology())
    seat.take(report([("left-1", "right-1", 3)]), id(1), correlation: id(1))
    let change = try #require(changes(seat).first)
    #expect(seat.pending.count == 1 && seat.pending[0].cause == id(1))
    #expect(change.version == 2 && change.changes.count == 1)
    let made = try #require(change.changes[0].promoted)
    #expect(made.link == DirectLink("left-1", "right-1") && made.kind == .agents)
    #expect(change.changes[0].cause == .earned && change.changes[0].credit >= change.changes[0].threshold)
    #expect(change.changes[0].ledgerAfter == change.changes[0].ledgerBefore - 10)
  }

  @Test func `the same entries give the same answers, and those in the log are not given again`() throws {
    var generator = SeededGenerator(seed: 7)
    let topology = try topology { $0.charge = 2 }
    let names = topology.agents.map(\.id)
    let reports = (0..<40).map { _ in
      report(
        (0..<5).compactMap { _ in
          let (from, to) = (names.randomElement(using: &generator)!, names.randomElement(using: &generator)!)
          return from == to ? nil : (from, to, Int.random(in: 1...6, using: &generator))
        } + [("left-1", "right-2", 1)])
    }
    var live = try ObserverSeat(topology)
    for (number, report) in reports.enumerated() {
      live.take(report, id(UInt64(number)), correlation: id(UInt64(number)))
    }
    let all = live.pending
    #expect(all.count > 5)
    func confirm(_ answer: ObserverSeat.Answer, _ seat: inout ObserverSeat) {
      if case .changed(let event) = answer.content { seat.confirm(event, cause: answer.cause) }
    }
    // A node that restarts when some of the answers were stated; behind all reports, or each behind its own.
    for (statedCount, isLate) in [(0, false), (1, false), (1, true), (3, true), (all.count, false)] {
      var again = try ObserverSeat(topology)
      for (number, report) in reports.enumerated() {
        again.take(report, id(UInt64(number)), correlation: id(UInt64(number)))
        guard !isLate else { continue }
        for answer in all.prefix(statedCount) where answer.cause == id(UInt64(number)) {
          confirm(answer, &again)
        }
      }
      if isLate { for answer in all.prefix(statedCount) { confirm(answer, &again) } }
      #expect(again.pending == Array(all.dropFirst(statedCount)), "\(statedCount) stated")
      #expect(again.observer.topologyHash == live.observer.topologyHash)
      #expect(again.version == live.version)
    }
  }

  @Test func `a seat that goes on from a snapshot decides as the one that made it`() throws {
    var generator = SeededGenerator(seed: 11)
    let topology = try topology {
      $0.charge = 2
      $0.memory = 64
    }
    let names = topology.agents.map(\.id)
    var live = try ObserverSeat(topology)
    var resumed = live
    for number in 0..<UInt64(300) {
      let flows = (0..<6).compactMap { _ -> (AgentID, AgentID, Int)? in
        let (from, to) = (names.randomElement(using: &generator)!, names.randomElement(using: &generator)!)
        return from == to ? nil : (from, to, Int.random(in: 1...4, using: &generator))
      }
      let report = report(flows + [("left-1", "right-1", 1)])
      live.take(report, id(number), correlation: id(number))
      resumed.take(report, id(number), correlation: id(number))
      #expect(resumed.pending == live.pending && resumed.observer.ledger == live.observer.ledger, "\(number)")
      for answer in live.pending where Bool.random(using: &generator) {
        if case .changed(let event) = answer.content {
          live.confirm(event, cause: answer.cause)
          resumed.confirm(event, cause: answer.cause)
        }
      }
      // Through the bytes that a log keeps, into a seat that has seen nothing.
      let bytes = try JSON.encode(live.snapshot)
      resumed = try ObserverSeat(topology)
      try resumed.resume(JSON.decode(ObserverSeat.Snapshot.self, from: bytes))
      #expect(resumed.observer.topologyHash == live.observer.topologyHash, "\(number)")
    }
    #expect(live.version > 10)
    let other = try ObserverSeat(
      Topology(name: "o", nodes: [NodeSpec(id: "x")], agents: [topology.agents[0]]))
    var small = other
    #expect(throws: HyphaError.self) { try small.resume(live.snapshot) }
  }

  @Test func `what the log says is so, whoever has decided it`() throws {
    var first = try ObserverSeat(topology())
    first.take(report([("left-1", "right-1", 3)]), id(1), correlation: id(1))
    let event = try #require(changes(first).first)
    // Another seat has seen other reports, and learns of the change from the log.
    var other = try ObserverSeat(topology())
    other.take(report([("left-2", "right-2", 3)]), id(2), correlation: id(2))
    other.confirm(event, cause: id(1))
    #expect(other.observer.links.count == 2 && other.version == 2)
    #expect(changes(other).isEmpty, "its own decision came to nothing")
  }

  @Test func `pin, forbid, retire, freeze and revert are answered, each with what has changed`() throws {
    var seat = try ObserverSeat(topology())
    let link = DirectLink("left-1", "right-1")
    func ask(_ rule: LinkRule, _ number: UInt64) -> ObserverSeat.Answer.Content {
      seat.take(RuleAsked(rule: rule), id(number), correlation: id(number))
      return seat.pending.last!.content
    }
    var live = LiveTopology(try topology())
    func follow(_ content: ObserverSeat.Answer.Content) {
      if case .changed(let event) = content { live.apply(event, at: Timestamp(microseconds: 5)) }
    }
    follow(ask(.pin(link), 1))
    #expect(live.links[link]?.isPinned == true && live.version == 2)
    follow(ask(.freeze, 2))
    #expect(live.isFrozen)
    seat.take(report([("left-2", "right-2", 50)]), id(3), correlation: id(3))
    #expect(seat.pending.count == 2, "a frozen topology stays as it is")
    follow(ask(.thaw, 4))
    follow(ask(.forbid(link), 5))
    #expect(live.links.isEmpty && live.forbidden == [link] && !live.isFrozen)
    guard case .refused(let refused) = ask(.pin(link), 6) else {
      Issue.record("a forbidden link was pinned")
      return
    }
    #expect(
      refused.reason == "invalidTopology: the link of 'left-1' and 'right-1' is forbidden; allow it first")
    follow(ask(.allow(link), 7))
    follow(ask(.pin(DirectLink("left-3", "right-3")), 8))
    follow(ask(.revert(version: 2, links: [link]), 9))
    #expect(Set(live.links.keys) == [link], "\(live.links)")
    guard case .refused(let unknown) = ask(.pin(DirectLink("left-1", "nobody")), 10) else {
      Issue.record("a link to nobody was pinned")
      return
    }
    #expect(unknown.reason.contains("agent 'nobody', which does not exist"))
  }

  @Test func `under suggest nothing changes until an operator approves`() throws {
    var seat = try ObserverSeat(topology { $0.mode = .suggest })
    let link = DirectLink("left-1", "right-1")
    seat.take(report([("left-1", "right-1", 3)]), id(1), correlation: id(1))
    guard case .suggested(let suggested)? = seat.pending.first?.content else {
      Issue.record("nothing was suggested")
      return
    }
    #expect(suggested.changes.first?.promoted?.link == link && seat.observer.links.isEmpty)
    #expect(Array(seat.suggestions.keys) == [link])
    seat.take(RuleAsked(rule: .approve(link)), id(2), correlation: id(2))
    #expect(changes(seat).count == 1 && seat.observer.links.count == 1 && seat.suggestions.isEmpty)
    seat.take(RuleAsked(rule: .approve(link)), id(3), correlation: id(3))
    guard case .refused? = seat.pending.last?.content else {
      Issue.record("what is not suggested was approved")
      return
    }
  }

  @Test(arguments: ObserverPolicy.Mode.allCases)
  func `what is found is stated once, under every mode, and a restart states nothing again`(
    _ mode: ObserverPolicy.Mode
  ) throws {
    let topology = try topology {
      $0.mode = mode
      $0.kinds = []
    }
    var seat = try ObserverSeat(topology)
    let reports = (0..<3).map { _ in report([("left-1", "right-1", 200), ("left-2", "left-1", 5)]) }
    seat.take(reports[0], id(0), correlation: id(0))
    #expect(seat.findingsDue == nil, "too few to say")
    seat.take(reports[1], id(1), correlation: id(1))
    let found = try #require(seat.findingsDue)
    let topic = Finding.Topic(.hotPair, "left-1", other: "right-1")
    #expect(found.began == [Finding(topic, .traffic(events: 400, of: 410))] && found.ended == [])
    seat.confirm(found)
    #expect(seat.findingsDue == nil)
    seat.take(reports[2], id(2), correlation: id(2))
    #expect(seat.findingsDue == nil, "it goes on")
    // The log once more, and a snapshot of it.
    var again = try ObserverSeat(topology)
    for number in 0..<3 {
      again.take(reports[number], id(UInt64(number)), correlation: id(UInt64(number)))
      if number == 1 { again.confirm(found) }
    }
    #expect(again.findingsDue == nil && again.statedFindings == seat.statedFindings)
    var resumed = try ObserverSeat(topology)
    try resumed.resume(JSON.decode(ObserverSeat.Snapshot.self, from: JSON.encode(seat.snapshot)))
    #expect(resumed.findingsDue == nil && resumed.statedFindings == seat.statedFindings)
    // A link serves it.
    if mode == .auto {
      resumed.take(RuleAsked(rule: .pin(DirectLink("left-1", "right-1"))), id(9), correlation: id(9))
      resumed.take(reports[0], id(10), correlation: id(10))
      #expect(resumed.findingsDue == FindingsChanged(began: [], ended: [topic]))
    }
  }

  @Test func `a report of agents that are not there changes nothing`() throws {
    var seat = try ObserverSeat(topology())
    seat.take(report([("nobody", "right-1", 100), ("left-1", "left-1", 100)]), id(1), correlation: id(1))
    var wild = report([("left-1", "right-1", 1)])
    wild.flows = [0, 7, 100, -1, 1, 5, 1, 0, -4, 0]
    seat.take(wild, id(2), correlation: id(2))
    #expect(seat.pending.isEmpty && seat.observer.eventCount == 0)
  }
}

/// Who sends to whom, counted for the observer.
@Suite struct FlowMeterTests {
  private func lane(_ from: AgentID, _ to: AgentID) -> Lane {
    Lane(agent: from, channel: .persistent, target: .addressee(to))
  }

  @Test func `a report has each pair once, and begins anew`() {
    let meter = FlowMeter()
    #expect(meter.report(by: "x") == nil)
    meter.counter(of: lane("a", "b")) { ["b"] }.add(2)
    meter.counter(of: lane("b", "a")) { ["a"] }.add(1)
    meter.counter(of: lane("a", "b")) { ["never asked"] }.add(3)
    let report = meter.report(by: "x")
    #expect(report?.pairs == [.init(from: "a", to: "b", count: 5), .init(from: "b", to: "a", count: 1)])
    #expect(meter.report(by: "x") == nil)
  }

  @Test func `a lane to many counts as one broadcast an event`() {
    let meter = FlowMeter()
    let many = (0...FlowMeter.audienceMax).map { AgentID(unchecked: "a\($0)") }
    meter.counter(of: Lane(agent: "x", channel: .realtime, target: .type("t"))) { many }.add(7)
    let report = meter.report(by: "x")
    #expect(report?.pairs == [] && report?.broadcastCount == 7)
  }

  @Test func `what has no room in a report is in the next one`() {
    let meter = FlowMeter()
    let count = 3 * FlowMeter.pairCountMax / 2
    for number in 0..<count {
      let (from, to) = (AgentID(unchecked: "a\(number)"), AgentID(unchecked: "b\(number)"))
      meter.counter(of: lane(from, to)) { [to] }.add(1)
    }
    let (first, second) = (meter.report(by: "x")?.pairs ?? [], meter.report(by: "x")?.pairs ?? [])
    #expect(first.count == FlowMeter.pairCountMax && second.count == count - first.count)
    #expect(Set(first + second).count == count)
    #expect(meter.report(by: "x") == nil)
    meter.counter(of: lane("a0", "b0")) { ["b0"] }.add(2 * FlowMeter.pairEventCountMax + 1)
    let rest = (0..<3).compactMap { _ in meter.report(by: "x")?.pairs.first?.count }
    #expect(rest == [FlowMeter.pairEventCountMax, FlowMeter.pairEventCountMax, 1])
  }
}
