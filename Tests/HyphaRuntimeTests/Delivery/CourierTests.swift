import HyphaCore
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

@Suite struct CourierTests {
  private let now = Timestamp(microseconds: 1_000_000)

  private func courier(_ node: NodeID = "y", _ channel: Channel = .persistent) throws -> Courier {
    Courier(channel: channel, routes: try routeTable(node), heads: [:]) { $1 != "undeclared.Type" }
  }

  private func due(_ courier: inout Courier, _ now: Timestamp) -> [(
    node: NodeID, lane: Lane, after: LanePoint
  )] {
    var pace = RepairPace()
    return courier.fetchesDue(now: now, silent: [], pace: &pace)
  }

  private func frame(_ records: Record..., via: AgentID = "b", remaining: Duration? = nil) -> Frame {
    Frame(via: via, topologyVersion: 1, hops: 2, remaining: remaining, records: records)
  }

  @Test func `a frame is taken once, in the order of its lane, and passed on at every hop`() throws {
    var courier = try courier()
    let first = courier.receive(frame(try record(1), try record(2)), from: "hub", now: now)
    #expect(first.taken.flatMap(\.records).map(\.sequence) == [1, 2])
    #expect(courier.receive(frame(try record(2)), from: "hub", now: now).taken.isEmpty)
    #expect(courier.counters.duplicateCount == 1)
    #expect(courier.receive(frame(try record(4)), from: "hub", now: now).taken.isEmpty)
    #expect(courier.behindCount == 1)
    let joined = courier.receive(frame(try record(3)), from: "hub", now: now)
    #expect(joined.taken.flatMap(\.records).map(\.sequence) == [3, 4])
    #expect(courier.behindCount == 0)

    var hub = try self.courier("hub")
    let relayed = hub.receive(frame(try record(1), via: "root"), from: "x", now: now)
    #expect(relayed.taken.isEmpty && relayed.forwards.map(\.node) == ["y", "y"])
    #expect(hub.counters.relayed == ["root": 1])
  }

  @Test func `what has no business here is refused and counted`() throws {
    var courier = try courier()
    let wrongs = [
      frame(try record("nobody", 1)), frame(try record("a", .alert, 1)),
      frame(try record("a", 1, type: "undeclared.Type")), frame(try record("b", 1, to: "a2"), via: "c"),
      frame(try record("a", 1, to: "nobody")),
    ]
    for (place, wrong) in wrongs.enumerated() {
      let actions = courier.receive(wrong, from: "hub", now: now)
      #expect(actions.taken.isEmpty && actions.forwards.isEmpty && actions.refusals.count == 1, "\(place)")
    }
    #expect(courier.counters.refusedCount == UInt64(wrongs.count))
  }

  @Test func `a frame is taken only from the side that its lane comes from`() throws {
    // `a` is on x, its lane climbs to root on hub and descends to b and c on y.
    for (place, node, via, neighbour, problem) in [
      (0, "y", "b", "x", "node 'x' sent an event of 'a' by 'b', where it comes from node 'hub'"),
      (1, "hub", "root", "y", "node 'y' sent an event of 'a' by 'root', where it comes from node 'x'"),
      (2, "hub", "root", "hub", "node 'hub' sent an event of 'a' by 'root', where it comes from node 'x'"),
      (3, "y", "root", "hub", "node 'hub' sent an event of 'a' by 'root', where its lane does not lead"),
      (4, "x", "a2", "hub", "node 'hub' sent an event of 'a', which is placed here"),
      (5, "x", "a", "hub", "node 'hub' sent an event of 'a', which is placed here"),
    ] as [(Int, NodeID, AgentID, NodeID, String)] {
      for channel in Channel.allCases {
        var courier = try courier(node, channel)
        let actions = courier.receive(
          frame(try record("a", channel, 1), via: via), from: neighbour, now: now)
        #expect(actions.refusals == [problem], "\(place)")
        #expect(actions.taken.isEmpty && actions.forwards.isEmpty && courier.counters.refusedCount == 1)
      }
    }
    var hub = try courier("hub")
    #expect(hub.receive(frame(try record(1), via: "root"), from: "x", now: now).forwards.count == 2)
  }

  @Test func `an answer with what its agent does not declare is refused and told`() throws {
    var courier = try courier()
    let lane = Lane(agent: "a", channel: .persistent, target: .addressee("b"))
    let actions = courier.receive(
      answer: [try record("a", 1, to: "b", type: "undeclared.Type")], of: lane, after: .start, from: "x",
      now: now)
    #expect(actions.taken.isEmpty && actions.refusals.count == 1 && courier.counters.refusedCount == 1)
  }

  @Test func `an event that comes back to its node on the way to another is passed on and not taken`() throws
  {
    let topology = try Topology(
      name: "back", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(id: "a", kind: "generator", node: "x", reportsTo: "root"),
        AgentSpec(
          id: "s", kind: "supervisor", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "load.Entry")]),
        AgentSpec(
          id: "deep", kind: "recorder", node: "y", reportsTo: "s",
          subscribes: [Subscription(type: "load.Entry")]),
      ])
    let routes = RouteTable(node: "x", topology: topology)
    var courier = Courier(channel: .persistent, routes: routes, heads: [:]) { _, _ in true }
    let actions = courier.receive(frame(try record(1), via: "s"), from: "y", now: now)
    #expect(actions.refusals.isEmpty && actions.taken.isEmpty)
    #expect(actions.forwards.map(\.node) == ["y"])
  }

  @Test func `a realtime event older than one that passed is dropped, and so is one past its time to live`()
    throws
  {
    var courier = try courier("y", .realtime)
    func signal(_ sequence: UInt64) throws -> Record {
      try record("a", .realtime, sequence, to: "b", type: "load.Signal")
    }
    #expect(courier.receive(frame(try signal(2)), from: "hub", now: now).taken.count == 1)
    #expect(courier.receive(frame(try signal(1)), from: "hub", now: now).taken.isEmpty)
    #expect(courier.counters.supersededCount == 1)
    let late = courier.receive(
      frame(try signal(3), remaining: .milliseconds(5)), from: "hub", now: now, sinceArrival: .milliseconds(5)
    )
    #expect(late.taken.isEmpty && courier.counters.expiredCount == 1)
  }

  @Test func `what a lane was thought to have is given up when its origin says that there is nothing`() throws
  {
    var courier = try courier("y", .alert)
    let lane = Lane(agent: "a", channel: .alert, target: .addressee("b"))
    _ = courier.receive(frame(try record("a", .alert, 2, to: "b")), from: "hub", now: now)
    #expect(courier.behindCount == 1)
    let later = Timestamp(microseconds: 2_000_000)
    #expect(due(&courier, later).map(\.lane) == [lane])
    _ = courier.receive(answer: [], of: lane, after: .start, from: "x", now: later)
    #expect(courier.behindCount == 0)
    courier.announce(lane, LanePoint(epoch: 1, sequence: 2), by: "x", now: later)
    #expect(courier.behindCount == 1)
  }

  @Test func `what an origin has sent and then lost is reported as a fork, and the lane goes on`() throws {
    var courier = try courier("y", .alert)
    let common = LanePoint(epoch: 1, sequence: 1)
    let lost = [try record("a", .alert, 1, to: "b"), try record("a", .alert, 2, to: "b")]
    _ = courier.receive(frame(lost[0], lost[1]), from: "hub", now: now)
    let next = try record("a", .alert, 1, epoch: 2, after: common, to: "b")
    let actions = courier.receive(frame(next), from: "hub", now: now)
    #expect(actions.taken.flatMap(\.records) == [next])
    #expect(actions.forks.map(\.1.common) == [common])
    #expect(actions.forks.map(\.1.kept.event) == [lost[1].header.id])
    #expect(actions.forks.map(\.1.other.event) == [next.header.id])
  }

  @Test func `a lane that could not be appended goes back and is fetched after a pause`() throws {
    var courier = try courier()
    let lane = try record(1).header.lane
    _ = courier.receive(frame(try record(1)), from: "hub", now: now)
    courier.reset([lane: .start], now: now, pause: .seconds(1))
    #expect(due(&courier, Timestamp(microseconds: 1_900_000)).isEmpty)
    let due = due(&courier, Timestamp(microseconds: 2_100_000))
    #expect(due.map(\.node) == ["x"] && due.map(\.after) == [.start])
  }
}
