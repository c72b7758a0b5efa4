import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// fork-reported.
@Suite struct RecordedForkTests {
  /// `b` on `y` takes alarms of `a`, which `x` would run.
  private struct Place {
    let deployment: SimulatedDeployment

    init() throws {
      let topology = try Topology(
        name: "forks", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
        agents: [
          AgentSpec(id: "root", kind: "supervisor", node: "y"),
          AgentSpec(
            id: "a", kind: "generator", node: "x", reportsTo: "root",
            settings: .object(["event": .string("alarm")])),
          AgentSpec(
            id: "b", kind: "recorder", node: "y", reportsTo: "root",
            subscribes: [Subscription(type: "load.Alarm")]),
        ])
      deployment = SimulatedDeployment(topology, kinds: try KindRegistry(BuiltInKinds.all), seed: 1)
      try deployment.start("y")
    }

    func alarm(_ sequence: UInt64, epoch: UInt64 = 1, after previous: LanePoint) throws -> Record {
      try record(
        "a", .alert, sequence, epoch: epoch, after: previous, type: "load.Alarm",
        time: deployment.loop.microseconds())
    }

    func receive(_ records: Record...) {
      let frame = Frame(via: "root", topologyVersion: 1, hops: 1, records: records)
      deployment.node("y")?.received([InboundFrame(from: "x", channel: .alert, bytes: frame.encoded())])
      deployment.run(for: .seconds(1))
    }

    func forks() throws -> [RecordedFork] { try RecordedFork.all(in: deployment.reader(of: "y")) }
  }

  private static func point(_ epoch: UInt64, _ sequence: UInt64) -> LanePoint {
    LanePoint(epoch: epoch, sequence: sequence)
  }

  @Test func `a log tells what of a lane its origin has lost, with both sides' evidence, after a kill too`()
    throws
  {
    let place = try Place()
    let first = try place.alarm(1, after: .start)
    let lost = [
      try place.alarm(2, after: Self.point(1, 1)), try place.alarm(3, after: Self.point(1, 2)),
    ]
    let next = try place.alarm(1, epoch: 2, after: Self.point(1, 1))
    place.receive(first, lost[0], lost[1])
    #expect(try place.forks() == [], "nobody can know yet")
    place.receive(next)
    let forks = try place.forks()
    let fork = try #require(forks.first)
    #expect(forks.count == 1 && fork.lane == next.lane && fork.lostCount == 2)
    #expect(
      fork.fork
        == LaneFork(
          kind: .lost, common: Self.point(1, 1),
          kept: .init(point: Self.point(1, 3), event: lost[1].header.id),
          other: .init(point: Self.point(2, 1), event: next.header.id)))
    #expect(try place.deployment.reader(of: "y").entry(at: fork.position)?.record == next)
    // What the origin lost stays, is never taken again, and does not fork again.
    place.receive(lost[0], lost[1], next)
    place.deployment.kill("y")
    #expect(try place.forks() == forks)
    try place.deployment.start("y")
    // A new epoch that goes on where the lane ends is none.
    place.receive(try place.alarm(1, epoch: 3, after: Self.point(2, 1)))
    #expect(try place.forks() == forks)
  }

  @Test func `a lane whose origin has lost all of it forks behind nothing`() throws {
    let place = try Place()
    place.receive(try place.alarm(1, after: .start))
    place.receive(try place.alarm(1, epoch: 2, after: .start))
    let forks = try place.forks()
    #expect(forks.map(\.fork.common) == [.start] && forks.map(\.lostCount) == [1])
  }
}
