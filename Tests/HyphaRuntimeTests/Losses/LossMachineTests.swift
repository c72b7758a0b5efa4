import HyphaCore
import HyphaKinds
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// The parts that count losses, alone.
@Suite struct LossMachineTests {
  private func passage(_ from: AgentID, _ to: AgentID, _ count: UInt64) -> NodeLosses.Passage {
    .init(path: path(from, to), count: count)
  }

  private func path(_ from: AgentID, _ to: AgentID) -> LanePath {
    LanePath(Lane(agent: from, channel: .realtime, target: .type("load.Signal")), to: to)
  }

  /// `a` on x has sent 10 to `b` on y, of which 6 came; `hub` says that it has dropped some.
  private func nodes(droppedOnTheWay: UInt64) -> [NodeLosses] {
    var (x, y, hub) = (NodeLosses(node: "x"), NodeLosses(node: "y"), NodeLosses(node: "hub"))
    (x.agents, y.agents) = (["a"], ["b"])
    x.sent = [passage("a", "b", 10)]
    x.channels["realtime"] = .init(published: 10)
    y.arrived = [passage("a", "b", 6)]
    y.channels["realtime"] = .init(delivered: 3, waiting: 1)
    y.losses = [.init(path: path("a", "b"), cause: .expired, count: 2)]
    hub.losses = [.init(path: path("a", "b"), cause: .expired, count: droppedOnTheWay)]
    return [x, y, hub]
  }

  @Test func `what did not arrive is lost where a node says so, and on a link otherwise`() throws {
    let table = LossTable(nodes(droppedOnTheWay: 3))
    let rows = table.rows.map { "\($0.cause.rawValue) \($0.node) \($0.count)" }
    #expect(rows == ["expired hub 3", "expired y 2", "lost on a link y 1"])
    let realtime = try #require(table.channels.first { $0.channel == .realtime })
    #expect(realtime.lost == 6 && realtime.waiting == 1 && realtime.unknown == 0)
  }

  @Test func `what was under way to a node that was killed is not known to be lost`() throws {
    var all = nodes(droppedOnTheWay: 3)
    all[1].interruptionCount = 1
    // It has forgotten what it had of the author's.
    all[1].arrived = []
    let table = LossTable(all)
    #expect(
      table.rows.map { "\($0.cause.rawValue) \($0.node) \($0.count)" } == ["expired hub 3", "expired y 2"])
    let realtime = try #require(table.channels.first { $0.channel == .realtime })
    #expect(realtime.published == 10 && realtime.unknown == 10 - 3 - 2 - 3 - 1)
  }

  @Test func `what came of an author's node that was killed was published`() throws {
    var all = nodes(droppedOnTheWay: 3)
    (all[0].interruptionCount, all[0].sent, all[0].channels) = (
      1, [passage("a", "b", 2)], ["realtime": .init(published: 2)]
    )
    let realtime = try #require(LossTable(all).channels.first { $0.channel == .realtime })
    #expect(
      realtime.published == realtime.delivered + realtime.lost + realtime.waiting && realtime.unknown == 0)
  }

  @Test func `counts that were not saved at the node's stop were interrupted, whenever it was killed`() throws
  {
    let topology = try Topology(
      name: "counts", nodes: [NodeSpec(id: "x")],
      agents: [AgentSpec(id: "root", kind: "supervisor", node: "x")])
    let deployment = SimulatedDeployment(topology, kinds: try KindRegistry(BuiltInKinds.all), seed: 1)
    func count() throws -> UInt64? {
      try LossReading.saved(in: deployment.reader(of: "x"))?.interruptionCount
    }
    try deployment.start()
    deployment.run(for: .seconds(1))
    try deployment.stop()
    #expect(try count() == nil)
    for expected in 1...2 {
      try deployment.start()
      deployment.run(for: .milliseconds(expected == 1 ? 10 : 30_000))
      deployment.kill("x")
      #expect(try count() == UInt64(expected))
    }
    try deployment.start()
    #expect(try #require(deployment.node("x")).losses().interruptionCount == 2)
    try deployment.stop()
    #expect(try count() == 2)
  }

  @Test func `what was dropped on one way and came by another is no loss`() throws {
    let table = LossTable(nodes(droppedOnTheWay: 9))
    #expect(table.rows.filter { $0.node == "hub" }.map(\.count) == [4])
    #expect(!table.rows.contains { $0.cause == .link })
  }

  @Test func `what an agent had lost before it was moved stays lost, and is counted once`() throws {
    // It was on y, where it lost two that had arrived, and is on z now.
    var all = nodes(droppedOnTheWay: 3)
    let lost = try #require(all.firstIndex { $0.node == "y" })
    for index in all[lost].losses.indices { all[lost].losses[index].isAtHome = true }
    for index in all[2].losses.indices { all[2].losses[index].isAtHome = false }
    var z = NodeLosses(node: "z")
    z.agents = all[lost].agents
    all[lost].agents = []
    let table = LossTable(all + [z])
    #expect(
      table.rows.map { "\($0.cause.rawValue) \($0.node) \($0.count)" }
        == ["expired hub 3", "expired y 2", "lost on a link z 1"])
    let realtime = try #require(table.channels.first { $0.channel == .realtime })
    #expect(realtime.lost == 6 && realtime.unknown == 0)
  }

  @Test func `where the author's node has said nothing, those on the way are believed`() throws {
    let table = LossTable(Array(nodes(droppedOnTheWay: 3).dropFirst()))
    #expect(table.rows.map(\.count) == [3, 2])
  }

  @Test func `each event of a lane counts once, in whatever order it comes`() throws {
    for seed in seeds(300) {
      var random = SeededGenerator(seed: seed, name: "arrivals")
      var events: [Record] = []
      for epoch in 1...UInt64.random(in: 1...3, using: &random) {
        var previous = LanePoint.start
        var sequence: UInt64 = 0
        for _ in 0..<Int.random(in: 0...60, using: &random) {
          // Events of other lanes have numbers between.
          sequence += UInt64.random(in: 1...4, using: &random)
          events.append(
            try record("a", .realtime, sequence, epoch: epoch, after: previous, type: "load.Signal"))
          previous = LanePoint(epoch: epoch, sequence: sequence)
        }
      }
      var coming = events.filter { _ in UInt64.random(in: 0...9, using: &random) < 8 }
      coming += coming.filter { _ in UInt64.random(in: 0...9, using: &random) < 3 }
      // Nearly in order, or not at all.
      let reach = Double.random(in: 1...200, using: &random)
      coming = coming.map {
        (Double(events.firstIndex(of: $0) ?? 0) + .random(in: 0...reach, using: &random), $0)
      }
      .sorted { $0.0 < $1.0 }.map(\.1)
      var arrivals = LaneArrivals(for: [("b", [])])
      var seen: Set<LanePoint> = []
      for record in coming {
        #expect(arrivals.take(record) == seen.insert(record.point).inserted, "HYPHA_SEED=\(seed)")
      }
      #expect(arrivals.counts.map(\.count) == [UInt64(seen.count)], "HYPHA_SEED=\(seed)")
    }
  }

  @Test func `a lane with more gaps than are remembered forgets the oldest, and doubles nothing`() throws {
    var arrivals = LaneArrivals(for: [("b", [])])
    func take(_ sequence: UInt64) throws -> Bool {
      arrivals.take(try record("a", .realtime, sequence, type: "load.Signal"))
    }
    for sequence in stride(from: 2 as UInt64, through: 2000, by: 2) { #expect(try take(sequence)) }
    #expect(try !take(1), "forgotten: it counts as having come before")
    #expect(try take(1999) && !take(1999))
    #expect(arrivals.counts.map(\.count) == [1001])
  }

  @Test func `more paths than are counted apart are in the totals alone`() {
    let ledger = LossLedger()
    for number in 0..<LossLedger.rowCountMax + 10 {
      let lane = Lane(
        agent: AgentID(unchecked: "a\(number)"), channel: .realtime, target: .type("load.Signal"))
      ledger.lost(lane, for: "b", .expired, isAtHome: true)
    }
    #expect(ledger.counted.losses.count == LossLedger.rowCountMax)
    #expect(ledger.totals(.realtime) == [.expired: UInt64(LossLedger.rowCountMax + 10)])
  }

  @Test
  func
    `receipts say what was lost since the last ones, the greatest first, and what is too much in one number`()
  {
    let ledger = LossLedger()
    #expect(ledger.receipts(of: "n") == nil)
    func lane(_ number: Int) -> Lane {
      Lane(agent: AgentID(unchecked: "a\(number)"), channel: .realtime, target: .type("load.Signal"))
    }
    for number in 0..<100 {
      for _ in 0...number { ledger.lost(lane(number), for: "b", .expired, isAtHome: true) }
    }
    ledger.lost(lane(99), for: "b", .expired, isAtHome: false, count: 1000)
    let lost = ledger.receipts(of: "n")
    #expect(lost?.receipts.count == EventsLost.receiptCountMax)
    #expect(lost?.receipts.first == .init(path: LanePath(lane(99), to: "b"), cause: .expired, count: 1100))
    #expect((lost?.receipts ?? []).reduce(lost?.otherCount ?? 0) { $0 + $1.count } == 5050 + 1000)
    #expect(ledger.receipts(of: "n") == nil)
    ledger.lost(lane(7), for: "b", .replaced, isAtHome: true)
    let path = LanePath(lane(7), to: "b")
    #expect(ledger.receipts(of: "n")?.receipts == [.init(path: path, cause: .replaced, count: 1)])
  }

  @Test func `a node passes on no more of an agent than twice what it may send, but for questions`() throws {
    let small = try smallTopology()
    let topology = try small.replacing(
      agents: small.agents.map { agent in
        var agent = agent
        if agent.id == "a" { agent.realtime = RealtimeLimit(perSecond: 20, burst: 10) }
        return agent
      })
    let table = RouteTable(node: "hub", topology: topology)
    var courier = Courier(channel: .realtime, routes: table, heads: [:], limits: RateLimits(topology)) {
      _, _ in true
    }
    var sequence: UInt64 = 0
    func pass(_ count: Int, of type: EventTypeName = "load.Entry", at time: Timestamp) throws
      -> Courier.Actions
    {
      let records = try (0..<count).map { _ in
        sequence += 1
        return try record("a", .realtime, sequence, to: "b", type: type)
      }
      let frame = Frame(
        via: "root", topologyVersion: topology.version, hops: 1, remaining: .seconds(5), records: records)
      return courier.receive(frame, from: "x", now: time)
    }
    let start = Timestamp(microseconds: 1_000_000)
    #expect(try pass(64, at: start).refusals.isEmpty)
    let refused = try pass(64, at: start)
    #expect(refused.forwards.isEmpty && refused.losses.map(\.cause) == [.refused])
    #expect(
      refused.refusals == ["node 'x' sent more realtime events of 'a' than twice what it may send"])
    #expect(try pass(36, at: start).refusals.isEmpty)
    #expect(try pass(64, of: "hypha.Answered", at: start).refusals.isEmpty)
    let question = try record("a", .realtime, sequence + 1, to: "b", type: "hypha.Asked")
    let load = try record("a", .realtime, sequence + 2, to: "b")
    sequence += 2
    let mixed = Frame(
      via: "root", topologyVersion: topology.version, hops: 1, remaining: .seconds(5),
      records: [question, load])
    #expect(!courier.receive(mixed, from: "x", now: start).refusals.isEmpty, "behind a question")
    #expect(try !pass(1, at: start).refusals.isEmpty)
    #expect(try pass(4, at: Timestamp(microseconds: 1_100_000)).refusals.isEmpty)
    // The clock is set back.
    #expect(try !pass(4, at: Timestamp(microseconds: 100_000)).refusals.isEmpty)
    #expect(try pass(4, at: Timestamp(microseconds: 200_000)).refusals.isEmpty)
  }

  @Test func `each copy of an event that another agent passes on has a limit of its own`() throws {
    let small = try smallTopology()
    var limits = RateLimits(
      try small.replacing(
        agents: small.agents.map { agent in
          var agent = agent
          agent.realtime = RealtimeLimit(perSecond: 20, burst: 10)
          return agent
        }))
    for via in ["root", "b", "c"] as [AgentID] {
      let passes = [100, 1].map { limits.mayPass($0, of: "a", by: via, now: .zero) }
      #expect(passes == [true, false])
    }
    #expect(
      RealtimeLimit(perSecond: .max, burst: .max) == RealtimeLimit(perSecond: 100_000_000, burst: 1_000_000))
    #expect(RealtimeLimit(perSecond: .min, burst: .min) == RealtimeLimit(perSecond: 1, burst: 1))
  }

  @Test func `what a node on the way drops is lost for all behind it`() throws {
    let table = try routeTable("hub")
    var courier = Courier(channel: .realtime, routes: table, heads: [:]) { _, _ in true }
    let record = try record("a", .realtime, 1, type: "load.Entry")
    let frame = Frame(
      via: "root", topologyVersion: table.topology.version, hops: 1, remaining: .milliseconds(5),
      records: [record])
    let late = courier.receive(frame, from: "x", now: .zero, sinceArrival: .milliseconds(5))
    #expect(late.forwards.isEmpty && late.losses.map(\.agent) == ["b", "c"])
    #expect(late.losses.allSatisfy { $0.cause == .expired })
    var stranger = frame
    stranger.topologyVersion += 1
    let refused = courier.receive(stranger, from: "x", now: .zero)
    #expect(refused.losses.map(\.cause) == [.refused, .refused])
    #expect(table.reached(record.lane, by: "root", 1) == ["b", "c"])
  }
}
