import HyphaCore
import Testing

@testable import HyphaTopology

/// When branches are attached elsewhere, and how the seat states it.
@Suite struct BranchWatchTests {
  /// The root on hq, two supervisors with a standby each way, and one agent below each.
  private func topology(standby: AgentID? = nil, policy: ObserverPolicy? = nil) throws -> Topology {
    var seat = ObserverPolicy()
    seat.node = "hq"
    return try Topology(
      name: "t", nodes: ["hq", "left", "right", "far"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "k", node: "hq"),
        AgentSpec(id: "sl", kind: "k", node: "left", reportsTo: "root", standby: standby),
        AgentSpec(id: "sr", kind: "k", node: "right", reportsTo: "root"),
        AgentSpec(id: "g", kind: "k", node: "far", reportsTo: "sl"),
        AgentSpec(id: "r", kind: "k", node: "far", reportsTo: "sr"),
      ], observer: policy ?? seat)
  }

  private typealias Standing = BranchWatch.Standing

  private func standings(_ left: Standing, _ right: Standing = .up(), _ far: Standing = .up()) -> [NodeID:
    Standing]
  {
    ["left": left, "right": right, "far": far]
  }

  @Test func `a branch goes to its standby, or up, and comes back when its supervisor has stayed`() throws {
    for (standby, place) in [(nil, "root"), ("sr", "sr")] as [(AgentID?, AgentID)] {
      let topology = try topology(standby: standby)
      var watch = BranchWatch(returnAfter: .seconds(10))
      func look(_ standings: [NodeID: Standing], _ seconds: UInt64, _ known: [BranchAttachment])
        -> BranchWatch
        .Decision?
      { watch.look(standings, at: seconds * 1_000_000, isAlone: false, in: topology, known: known) }
      #expect(look(standings(.up()), 0, []) == nil)
      #expect(look(standings(.unclear), 1, []) == nil)
      let gone = try #require(look(standings(.gone), 2, []))
      let attachment = BranchAttachment("sl", to: place, node: "left")
      #expect(gone.change.attached == [attachment] && gone.change.returned.isEmpty && gone.because == "left")
      #expect(look(standings(.gone), 3, [attachment]) == nil, "it is known")
      // It comes and goes, and nothing changes.
      for second in 4..<60 {
        #expect(look(standings(second % 8 < 6 ? .up() : .unclear), UInt64(second), [attachment]) == nil)
      }
      #expect(look(standings(.gone), 60, [attachment]) == nil)
      for second in 61..<71 {
        #expect(look(standings(.up()), UInt64(second), [attachment]) == nil, "\(second)")
      }
      let back = try #require(look(standings(.up()), 71, [attachment]))
      #expect(back.change.attached.isEmpty && back.change.returned == ["sl"] && back.because == "left")
    }
  }

  @Test func `what has passed since a node answered last is no time in which it was there`() throws {
    let topology = try topology()
    var watch = BranchWatch(returnAfter: .seconds(10))
    func look(_ standing: Standing, _ seconds: UInt64, _ known: [BranchAttachment]) -> BranchWatch.Decision? {
      watch.look(standings(standing), at: seconds * 1_000_000, isAlone: false, in: topology, known: known)
    }
    let known = try #require(look(.gone, 1, [])).change.attached
    #expect(look(.up(), 2, known) == nil)
    // It went after eight seconds, and is not missed yet.
    for second in 11..<15 {
      #expect(look(.up(answered: UInt64(second - 10) * 1_000_000), UInt64(second), known) == nil, "\(second)")
    }
    #expect(look(.up(), 15, known)?.change.returned == ["sl"], "it was silent, and is the same")
  }

  @Test func `a standby that goes, too, is skipped, and taken again when it is back`() throws {
    let topology = try topology(standby: "sr")
    var watch = BranchWatch(returnAfter: .seconds(1))
    var known: [BranchAttachment] = []
    func look(_ standings: [NodeID: Standing], _ second: UInt64) -> BranchWatch.Decision? {
      watch.look(standings, at: second * 1_000_000, isAlone: false, in: topology, known: known)
    }
    known = try #require(look(standings(.gone), 1)).change.attached
    let second = try #require(look(standings(.gone, .gone), 2))
    #expect(
      second.change.attached == [
        BranchAttachment("sl", to: "root", node: "left"), BranchAttachment("sr", to: "root", node: "right"),
      ] && second.because == "right")
    known = second.change.attached
    #expect(look(standings(.gone, .up()), 3) == nil)
    let third = try #require(look(standings(.gone, .up()), 5))
    #expect(third.change.attached == [BranchAttachment("sl", to: "sr", node: "left")])
    #expect(third.change.returned == ["sr"])
  }

  @Test func `nothing changes while all are silent, or one was not judged yet`() throws {
    let topology = try topology()
    var watch = BranchWatch(returnAfter: .seconds(1))
    let all = standings(.gone, .gone, .gone)
    let alone = watch.look(all, at: 1, isAlone: true, in: topology, known: [])
    #expect(alone == nil)
    let gone = watch.look(standings(.gone), at: 1, isAlone: false, in: topology, known: [])
    #expect(gone != nil)
    // One that starts goes on from its log: what is attached stays so until its node was there for a while.
    let known = [BranchAttachment("sl", to: "root", node: "left")]
    var begun = BranchWatch(returnAfter: .seconds(1))
    func look(_ standings: [NodeID: Standing], _ milliseconds: UInt64) -> BranchWatch.Decision? {
      begun.look(standings, at: milliseconds * 1000, isAlone: false, in: topology, known: known)
    }
    #expect(look(standings(.unheard), 1) == nil)
    #expect(look(standings(.unheard, .unclear), 2) == nil)
    #expect(look(standings(.up()), 3) == nil)
    // One that has started anew meanwhile has not stayed.
    func look(_ milliseconds: UInt64, _ judgement: UInt64) -> BranchWatch.Decision? {
      begun.look(
        standings(.up()), judgements: ["left": id(judgement)], at: milliseconds * 1000, isAlone: false,
        in: topology, known: known)
    }
    #expect(look(900, 1) == nil && look(1200, 2) == nil && look(2100, 2) == nil)
    #expect(look(2300, 2)?.change.returned == ["sl"])
  }

  @Test func `what another seat has attached stays so until the node has stayed here`() throws {
    let topology = try topology()
    var watch = BranchWatch(returnAfter: .seconds(1))
    func look(
      _ milliseconds: UInt64, _ standing: Standing = .up(), judgement: UInt64, _ known: [BranchAttachment]
    ) -> BranchWatch.Decision? {
      watch.look(
        standings(standing), judgements: ["left": id(judgement)], at: milliseconds * 1000, isAlone: false,
        in: topology, known: known)
    }
    let attached = [BranchAttachment("sl", to: "root", node: "left")]
    #expect(look(0, judgement: 1, []) == nil && look(900, judgement: 1, attached) == nil)
    // It was here all the time: only the other seat was cut off from it.
    let back = look(1000, judgement: 1, attached)
    #expect(back?.change.returned == ["sl"] && back?.because == "left")
    // It has started anew, and was not even missed.
    #expect(look(1100, judgement: 2, attached) == nil && look(2000, judgement: 2, attached) == nil)
    #expect(look(2100, judgement: 2, attached)?.change.returned == ["sl"])
    // It is silent, and not judged yet.
    #expect(look(2200, .unclear, judgement: 2, attached) == nil)
    #expect(look(3300, judgement: 2, attached) == nil)
    #expect(look(4300, judgement: 2, attached)?.change.returned == ["sl"])
    #expect(look(4400, judgement: 3, []) == nil, "it came back, and is not attached again for a restart")
  }

  @Test func `one that must be passed has its standby, or all wait for it`() throws {
    var policy = ObserverPolicy()
    (policy.node, policy.mustPass) = ("hq", ["sl"])
    #expect(try topology(policy: policy).attachments(without: ["left"]).isEmpty)
    #expect(
      try topology(standby: "sr", policy: policy).attachments(without: ["left"]).map(\.to) == ["sr"])
    #expect(
      try topology(standby: "sr", policy: policy).attachments(without: ["left", "right"]).map(\.supervisor)
        == ["sr"])
  }

  @Test func `a root has who stands in for it, or nobody`() throws {
    #expect(try topology().attachments(without: ["hq"]).isEmpty)
    var agents = try topology().agents
    agents[0].standby = "sl"
    let topology = try topology().replacing(agents: agents)
    #expect(topology.attachments(without: ["hq"]) == [BranchAttachment("root", to: "sl", node: "hq")])
    let routes = Routes(topology, attachments: topology.attachments(without: ["hq"]))
    #expect(routes.agents(from: "g", to: "r") == ["g", "sl", "sr", "r"])
    #expect(routes.agents(from: "r", to: "root") == ["r", "sr", "sl", "root"])
  }

  // MARK: The seat

  private func id(_ number: UInt64) -> EventID { EventID(high: 1, low: number) }

  private func report(_ from: AgentID, _ to: AgentID) -> FlowReported {
    let meter = FlowMeter()
    let lane = Lane(agent: from, channel: .persistent, target: .addressee(to))
    meter.counter(of: lane) { [to] }.add(100)
    return meter.report(by: "far")!
  }

  @Test
  func `the seat states attachments in versions of the one sequence, and reads them again as they were`()
    throws
  {
    let topology = try topology()
    let change = try #require(AttachmentsChange(from: [], to: topology.attachments(without: ["left"])))
    var seat = try ObserverSeat(topology)
    let isNews = seat.attach(change, because: id(1))
    let isSecond = seat.attach(change, because: id(2))
    #expect(isNews && !isSecond, "one is on its way")
    // Reported before the attachments are in the log, and answered after them.
    seat.take(report("g", "r"), id(3), correlation: id(3))
    let events = seat.pending.compactMap { answer -> LinksChanged? in
      if case .changed(let event) = answer.content { event } else { nil }
    }
    #expect(
      events.map(\.version) == [2, 3] && events[0].attachments == change && events[1].attachments == nil)
    // The log has the report first: read again, it gives the same answer under the same version.
    var again = try ObserverSeat(topology)
    again.take(report("g", "r"), id(3), correlation: id(3))
    again.confirm(events[0], cause: id(1))
    #expect(again.pending == [seat.pending[1]] && again.version == 3)
    again.confirm(events[1], cause: id(3))
    #expect(again.pending.isEmpty && again.observer.ledger == seat.observer.ledger)
    for (place, event) in events.enumerated() { seat.confirm(event, cause: id(place == 0 ? 1 : 3)) }
    #expect(seat.pending.isEmpty)
    let isFree = seat.attach(change, because: id(4))
    #expect(isFree)
  }

  @Test func `a term of the seat begins with the attachments that there are`() throws {
    var policy = ObserverPolicy()
    (policy.node, policy.standby) = ("hq", "far")
    let topology = try topology(policy: policy)
    let change = try #require(AttachmentsChange(from: [], to: topology.attachments(without: ["left"])))
    var (seat, standby) = (try ObserverSeat(topology), try ObserverSeat(topology, at: "far"))
    let isFollowing = !standby.attach(change, because: id(1))
    #expect(isFollowing)
    seat.attach(change, because: id(1))
    guard case .changed(let event) = seat.pending[0].content else { throw CancellationError() }
    standby.confirm(event, cause: id(1))
    standby.begin(because: id(2), correlation: id(2), standing: "down", silentMicroseconds: 1, at: .zero)
    guard case .changed(let begun) = try #require(standby.pending.first).content else {
      throw CancellationError()
    }
    #expect(begun.begun?.attached?.map(\.attachment) == change.attached)
    // Who knew nothing of it, and who knew otherwise, knows the same then.
    for known in [nil, BranchAttachment("sr", to: "root", node: "right")] {
      var live = LiveTopology(topology)
      var earlier = LinksChanged(version: 2, changes: [])
      earlier.attachments = AttachmentsChange(from: [], to: known.map { [$0] } ?? [])
      live.apply(earlier, at: .zero)
      live.apply(begun, at: .zero)
      #expect(live.attachments.map(\.attachment) == change.attached)
    }
  }

  @Test func `what is kept by a version without attachments is read`() throws {
    var live = LiveTopology(try topology())
    let text = String(decoding: try JSON.encode(live), as: UTF8.self)
    #expect(!text.contains("attached"))
    #expect(try JSON.decode(LiveTopology.self, from: Array(text.utf8)) == live)
    var event = LinksChanged(version: 2, changes: [])
    event.attachments = AttachmentsChange(from: [], to: [BranchAttachment("sl", to: "root", node: "left")])
    #expect(try JSON.decode(LinksChanged.self, from: JSON.encode(event)) == event)
    live.apply(event, at: .zero)
    #expect(try JSON.decode(LiveTopology.self, from: JSON.encode(live)) == live)
  }
}
