import HyphaCore
import Testing

@testable import HyphaTopology

/// The observer's seat goes from node to node, in terms.
@Suite struct SeatStandbyTests {
  private let link = DirectLink("left-1", "right-1")
  private let other = DirectLink("left-2", "right-2")

  /// Two branches of three agents each; the seat on x, its standby on y.
  private func topology(_ change: (inout ObserverPolicy) -> Void = { _ in }) throws -> Topology {
    var policy = ObserverPolicy()
    (policy.node, policy.standby) = ("x", "y")
    change(&policy)
    var agents = [AgentSpec(id: "root", kind: "k", node: "x")]
    for branch in ["left", "right"] {
      let supervisor = AgentID(unchecked: branch)
      agents.append(AgentSpec(id: supervisor, kind: "k", node: "x", reportsTo: "root"))
      for number in 1...3 {
        agents.append(
          AgentSpec(
            id: AgentID(unchecked: "\(branch)-\(number)"), kind: "k", node: "z", reportsTo: supervisor))
      }
    }
    return try Topology(
      name: "t", nodes: ["x", "y", "z"].map { NodeSpec(id: $0) }, agents: agents, observer: policy)
  }

  private func id(_ number: UInt64) -> EventID { EventID(high: 1, low: number) }

  /// What a log has of the topology.
  private enum Entry {
    case report(from: AgentID, to: AgentID, count: Int, EventID)
    case asked(LinkRule, EventID, by: AgentID, UInt64)
    case answered(ObserverSeat.Answer, EventID)
  }

  /// A node of the seat and its log.
  private struct Place {
    var seat: ObserverSeat
    var log: [Entry] = []
    let topology: Topology
    let node: NodeID

    init(_ topology: Topology, _ node: NodeID) throws {
      (self.topology, self.node) = (topology, node)
      seat = try ObserverSeat(topology, at: node)
    }

    mutating func take(_ entry: Entry) {
      log.append(entry)
      Self.give(entry, &seat)
    }

    /// States all that it has decided, and returns it.
    mutating func state() -> [Entry] {
      var stated: [Entry] = []
      while let answer = seat.pending.first {
        let number = UInt64(1_000_000 + log.count) + (node == "x" ? 0 : 1_000_000)
        let entry = Entry.answered(answer, EventID(high: 2, low: number))
        stated.append(entry)
        take(entry)
      }
      return stated
    }

    /// The same seat after a restart.
    var again: ObserverSeat {
      get throws {
        var seat = try ObserverSeat(topology, at: node)
        for entry in log { Self.give(entry, &seat) }
        return seat
      }
    }

    static func give(_ entry: Entry, _ seat: inout ObserverSeat) {
      switch entry {
      case .report(let from, let to, let count, let id):
        let meter = FlowMeter()
        let lane = Lane(agent: from, channel: .persistent, target: .addressee(to))
        meter.counter(of: lane) { [to] }.add(count)
        if let report = meter.report(by: "z") { seat.take(report, id, correlation: id) }
      case .asked(let rule, let id, let author, let sequence):
        seat.take(
          RuleAsked(rule: rule), id, correlation: id, at: (author, LanePoint(epoch: 1, sequence: sequence)))
      case .answered(let answer, let id):
        switch answer.content {
        case .changed(let event):
          seat.confirm(event, cause: answer.cause, id: id, at: Timestamp(microseconds: 7))
        case .suggested(let event): seat.confirm(event, cause: answer.cause)
        case .refused(let event): seat.confirmUnchanged(cause: answer.cause, term: event.term)
        case .superseded(let event): seat.confirm(event, cause: answer.cause)
        }
      }
    }
  }

  @discardableResult private func begin(_ place: inout Place, _ number: UInt64 = 900) -> Bool {
    place.seat.begin(
      because: id(number), correlation: id(number), standing: "down", silentMicroseconds: 5, at: .zero)
  }

  private func changes(_ entries: [Entry]) -> [LinksChanged] {
    entries.compactMap { entry in
      guard case .answered(let answer, _) = entry, case .changed(let event) = answer.content else {
        return nil
      }
      return event
    }
  }

  @Test func `a standby follows: it decides nothing, and has the links that the seat decides`() throws {
    let topology = try topology()
    var (seat, standby) = (try Place(topology, "x"), try Place(topology, "y"))
    let report = Entry.report(from: "left-1", to: "right-1", count: 30, id(1))
    seat.take(report)
    standby.take(report)
    #expect(standby.seat.pending.isEmpty && standby.seat.observer.links.isEmpty)
    let stated = seat.state()
    #expect(changes(stated).map(\.version) == [2])
    for entry in stated { standby.take(entry) }
    #expect(standby.seat.observer.topologyHash == seat.seat.observer.topologyHash)
    #expect(standby.seat.version == 2 && !standby.seat.isActive)
    // What changes cost is paid by both.
    #expect(standby.seat.observer.ledger == seat.seat.observer.ledger)
  }

  @Test(arguments: [(Int64.max, Int64.min), (.min, .max), (1_000_000, 0), (0, 0)])
  func `whatever the other node says that a change has cost, a standby pays no more than it does`(
    before: Int64, after: Int64
  ) throws {
    let topology = try topology()
    var (seat, standby) = (try Place(topology, "x"), try Place(topology, "y"))
    seat.take(.report(from: "left-1", to: "right-1", count: 30, id(1)))
    var event = try #require(changes(seat.state()).first)
    event.changes[0].ledgerBefore = before
    event.changes[0].ledgerAfter = after
    let ledger = standby.seat.observer.ledger
    standby.seat.confirm(event, cause: id(1), id: id(2), at: .zero)
    #expect(standby.seat.observer.links == seat.seat.observer.links)
    let paid = ledger - standby.seat.observer.ledger
    #expect(paid == (before == 1_000_000 ? Int64(topology.observer.charge) : 0))
  }

  @Test func `a standby that takes over goes on from what it has, and answers what nobody has answered`()
    throws
  {
    let topology = try topology()
    var (seat, standby) = (try Place(topology, "x"), try Place(topology, "y"))
    let asked = [
      Entry.asked(.pin(link), id(1), by: "hypha.node.z", 1),
      .asked(.forbid(other), id(2), by: "hypha.node.z", 2),
      .asked(.freeze, id(3), by: "hypha.node.z", 3),
    ]
    seat.take(asked[0])
    for entry in asked { standby.take(entry) }
    for entry in seat.state() { standby.take(entry) }
    #expect(begin(&standby) && !begin(&standby))
    #expect(standby.seat.isActive && standby.seat.term == 2)
    let events = changes(standby.state())
    let first = SeatTerm.firstVersion(of: 2)
    try #require(events.map(\.version) == [first, first + 1, first + 2])
    let begun = try #require(events[0].begun)
    #expect(begun.node == "y" && begun.term == 2 && begun.after == 2 && begun.links.map(\.link) == [link])
    #expect(begun.links[0].state.isPinned && begun.standing == "down")
    #expect(events[1].changes.map(\.rule) == [.forbid(other)] && events[2].changes.map(\.rule) == [.freeze])
    // Everybody comes to the same, in whatever order both lanes come.
    let own = Array(standby.log.suffix(3))
    for entries in [seat.log + own, own + seat.log] {
      var live = LiveTopology(topology)
      for event in changes(entries) { live.apply(event, at: Timestamp(microseconds: 7)) }
      #expect(Set(live.links.keys) == [link] && live.forbidden == [other] && live.isFrozen)
      #expect(live.holder == "y" && live.version == first + 2)
    }
  }

  @Test func `what the older one decides after the newer one began counts no more, and it says so and stops`()
    throws
  {
    let topology = try topology()
    var (seat, standby) = (try Place(topology, "x"), try Place(topology, "y"))
    begin(&standby)
    let newer = standby.state()
    // The seat does not know that, and goes on.
    seat.take(.asked(.pin(link), id(1), by: "hypha.node.x", 1))
    let older = seat.state()
    #expect(changes(older).map(\.version) == [2])
    // Who knows of the newer term does not take it.
    for entry in older { standby.take(entry) }
    #expect(standby.seat.observer.links.isEmpty)
    var live = LiveTopology(topology)
    for event in changes(newer + older) { live.apply(event, at: .zero) }
    #expect(live.links.isEmpty)
    // The rule has come to the standby, too: it answers it again.
    standby.take(.asked(.pin(link), id(1), by: "hypha.node.x", 1))
    let again = standby.state()
    #expect(changes(again).map(\.version) == [SeatTerm.firstVersion(of: 2) + 1])
    for entry in newer { seat.take(entry) }
    #expect(!seat.seat.isActive && seat.seat.observer.links.isEmpty)
    guard case .superseded(let over)? = seat.seat.pending.first?.content else {
      Issue.record("the older one says nothing")
      return
    }
    #expect(over.node == "x" && over.holder == "y" && (over.term, over.newerTerm) == (1, 2))
    #expect((over.keptThrough, over.statedThrough) == (1, 2))
    #expect(seat.state().count == 1)
    for entry in again { seat.take(entry) }
    seat.take(.report(from: "left-2", to: "right-2", count: 50, id(5)))
    #expect(seat.seat.pending.isEmpty)
    #expect(seat.seat.observer.topologyHash == standby.seat.observer.topologyHash)
    // And it takes the seat back in the same way.
    #expect(begin(&seat, 901) && seat.seat.term == 3)
  }

  @Test func `who hears of a later term decides nothing more, before it knows how that began`() throws {
    var seat = try Place(topology(), "x")
    seat.seat.heard(term: 1)
    #expect(seat.seat.isActive)
    seat.take(.asked(.pin(link), id(1), by: "hypha.node.z", 1))
    seat.seat.heard(term: 2)
    #expect(!seat.seat.isActive && seat.seat.pending.isEmpty && seat.seat.observer.links.isEmpty)
    seat.take(.asked(.freeze, id(2), by: "hypha.node.z", 2))
    #expect(seat.seat.pending.isEmpty)
    // It takes that term over when it knows it: the two would take it from each other again and again.
    #expect(!begin(&seat) && seat.seat.pending.isEmpty)
    var standby = try Place(topology(), "y")
    begin(&standby)
    for entry in standby.state() { seat.take(entry) }
    #expect(begin(&seat) && seat.seat.term == 3)
    #expect(changes(seat.state()).compactMap { $0.changes.first?.rule } == [.pin(link), .freeze])
  }

  @Test(arguments: 1...60)
  func `whatever comes when, a restart goes on from the log, and both agree in the end`(
    seed: UInt64
  ) throws {
    var generator = SeededGenerator(seed: seed)
    let topology = try topology { $0.charge = 2 }
    let names = topology.agents.map(\.id)
    var places = [try Place(topology, "x"), try Place(topology, "y")]
    // What each has still to get, a lane of each author.
    var lanes: [[Int: [Entry]]] = [[:], [:]]
    var askedCount: UInt64 = 0
    func tell(_ entry: Entry, _ author: Int, but own: Int? = nil) {
      for place in 0...1 where place != own { lanes[place][author, default: []].append(entry) }
    }
    func give(_ place: Int, _ author: Int) {
      guard let next = lanes[place][author]?.first else { return }
      lanes[place][author]?.removeFirst()
      places[place].take(next)
    }
    for step in 0..<UInt64(400) {
      let place = Int.random(in: 0...1, using: &generator)
      switch Int.random(in: 0..<100, using: &generator) {
      case ..<30:
        let (from, to) = (names.randomElement(using: &generator)!, names.randomElement(using: &generator)!)
        if from != to { tell(.report(from: from, to: to, count: 4, id(step)), 2) }
      case ..<45:
        askedCount += 1
        let (from, to) = (names.randomElement(using: &generator)!, names.randomElement(using: &generator)!)
        let link = DirectLink(from, to)
        let rules: [LinkRule] = [.pin(link), .unpin(link), .forbid(link), .allow(link), .retire(link), .thaw]
        tell(
          .asked(rules.randomElement(using: &generator)!, id(10_000 + step), by: "hypha.node.z", askedCount),
          3)
      case ..<48: begin(&places[place], 20_000 + step)
      case ..<51: places[place].seat.heard(term: SeatTerm.of(places[1 - place].seat.live.version))
      case ..<60:
        // What was not stated is lost.
        places[place].seat = try places[place].again
      case ..<70:
        let stated = places[place].state()
        for entry in stated { tell(entry, place, but: place) }
      default: give(place, Int.random(in: 0...3, using: &generator))
      }
    }
    // All that is under way arrives, until nobody has anything to say.
    for _ in 0..<50 {
      for place in 0...1 {
        for author in 0...3 { while lanes[place][author]?.isEmpty == false { give(place, author) } }
        for entry in places[place].state() { tell(entry, place, but: place) }
      }
    }
    #expect(places.map(\.seat.isActive).count(where: \.self) == 1, "HYPHA_SEED=\(seed)")
    #expect(places[0].seat.live == places[1].seat.live)
    #expect(places[0].seat.observer.topologyHash == places[1].seat.observer.topologyHash)
    for place in places {
      #expect(place.seat.pending.isEmpty && place.seat.asks.open.isEmpty)
      let again = try place.again
      #expect(again.live == place.seat.live && again.pending.isEmpty && again.isActive == place.seat.isActive)
      var resumed = try ObserverSeat(topology, at: place.node)
      try resumed.resume(JSON.decode(ObserverSeat.Snapshot.self, from: JSON.encode(place.seat.snapshot)))
      #expect(resumed.live == place.seat.live && resumed.isActive == place.seat.isActive)
      #expect(resumed.asks == place.seat.asks && resumed.term == place.seat.term)
      #expect(place.seat.observer.links.count == place.seat.live.links.count)
    }
  }

  @Test func `a term that has no version left changes nothing more, and says so`() throws {
    var seat = try Place(topology(), "x")
    seat.seat.version = SeatTerm.firstVersion(of: 2) - 1
    seat.seat.take(
      RuleAsked(rule: .freeze), id(1), correlation: id(1),
      at: ("hypha.node.z", LanePoint(epoch: 1, sequence: 1)))
    guard case .refused(let refused)? = seat.seat.pending.first?.content else {
      Issue.record("a version of another term was given out")
      return
    }
    #expect(refused.reason.hasPrefix("all versions of term 1 are used up"))
  }

  @Test func `findings begin anew with a term`() throws {
    let topology = try topology { $0.kinds = [] }
    var (seat, standby) = (try Place(topology, "x"), try Place(topology, "y"))
    for number in 0..<UInt64(3) {
      for (from, to, count) in [("left-1", "right-1", 200), ("left-2", "left-1", 5)]
        as [(AgentID, AgentID, Int)]
      {
        let report = Entry.report(from: from, to: to, count: count, id(number))
        seat.take(report)
        standby.take(report)
      }
    }
    let found = try #require(seat.seat.findingsDue)
    #expect(found.term == nil && standby.seat.findingsDue == nil)
    standby.seat.confirm(found)
    begin(&standby)
    let anew = try #require(standby.seat.findingsDue)
    #expect(anew.term == 2 && anew.began.map(\.topic) == found.began.map(\.topic))
    standby.seat.confirm(anew)
    #expect(standby.seat.findingsDue == nil)
    // What the older one says then is not taken.
    standby.seat.confirm(FindingsChanged(began: [], ended: found.began.map(\.topic)))
    #expect(standby.seat.findingsDue == nil && standby.seat.statedFindings.count == 1)
  }

  @Test func `versions are of their terms, and people read both`() {
    #expect(SeatTerm.of(0) == 1 && SeatTerm.of(4_194_303) == 1 && SeatTerm.of(4_194_304) == 2)
    #expect(SeatTerm.firstVersion(of: 3) == 8_388_608 && SeatTerm.of(.max) == SeatTerm.last)
    #expect(SeatTerm.text(7) == "7" && SeatTerm.text(4_194_311) == "2.7")
  }
}
