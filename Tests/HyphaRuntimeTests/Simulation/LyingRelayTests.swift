import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// A whole deployment whose relay changes what it passes on.
@Suite struct LyingRelayTests {
  private let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))
  private static let count = 400

  /// `a` on x has 400 events in some four seconds for `b` on y, by way of the root, which is on hub or on x.
  private func deployment(rootOn hub: NodeID = "hub", notaries: [NodeID: TestNotary]) throws
    -> SimulatedDeployment
  {
    let settings: [String: JSONValue] = [
      "event": .string("entry"), "count": .integer(Int64(Self.count)), "every": .integer(10),
    ]
    let topology = try Topology(
      name: "lied", nodes: ["hub", "x", "y"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: hub),
        AgentSpec(id: "a", kind: "generator", node: "x", reportsTo: "root", settings: .object(settings)),
        AgentSpec(
          id: "b", kind: "recorder", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "load.Entry")]),
      ])
    return SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all), seed: 1
    ) { notaries[$0] ?? TestNotary($0) }
  }

  private func status(_ node: NodeID, _ deployment: SimulatedDeployment) throws -> NodeStatus {
    try #require(deployment.summary().nodes.first { $0.node == node })
  }

  private func records(_ node: NodeID, _ deployment: SimulatedDeployment) throws -> [Record] {
    let log = try deployment.reader(of: node)
    return try log.positions(ofLane: lane, after: .start).compactMap { try log.entry(at: $0)?.record }
  }

  /// Has the hub send other records of the lane than it got.
  private func lie(
    _ deployment: SimulatedDeployment, _ change: @escaping @Sendable (Record) throws -> [Record]
  ) {
    let lane = lane
    deployment.network.setLie(
      { frame in
        guard let read = try? Frame(decoding: frame.bytes), read.records[0].header.lane == lane,
          let records = try? read.records.flatMap(change)
        else { return [frame] }
        return records.map { record in
          let lie = Frame(
            via: read.via, topologyVersion: read.topologyVersion, hops: read.hops, records: [record])
          return OutboundFrame(node: frame.node, channel: frame.channel, bytes: lie.encoded())
        }
      }, of: "hub")
  }

  /// Which of the lane's events it is, from 1.
  fileprivate static func number(_ record: Record) throws -> Int { Int(try Entry.decode(record).index) + 1 }

  private static func copy(_ record: Record, _ change: (inout RecordHeader) -> Void, _ more: [UInt8] = [])
    throws -> Record
  {
    var header = record.header
    change(&header)
    return try Record(header, payload: Array(record.payload) + more)
  }

  @Test func `events that an honest relay brings are all confirmed, before and after a restart`() throws {
    let notary = TestNotary("x")
    let deployment = try deployment(notaries: ["x": notary])
    try deployment.start()
    deployment.run(for: .seconds(2))
    #expect(try status("y", deployment).uncheckedEventCount < 100)
    deployment.kill("y")
    deployment.run(for: .milliseconds(300))
    try deployment.start("y")
    #expect(deployment.runToEnd())
    deployment.run(for: .seconds(1))
    let status = try status("y", deployment)
    #expect(status.uncheckedEventCount == 0 && status.contradictedLaneCount == 0)
    #expect(notary.signedCount > 10 && notary.signedCount < 40, "\(notary.signedCount) signatures")
    #expect(try records("y", deployment) == records("x", deployment))
  }

  @Test func `what comes straight from its origin is not asked about`() throws {
    let notary = TestNotary("x")
    let deployment = try deployment(rootOn: "x", notaries: ["x": notary])
    try deployment.start()
    #expect(deployment.runToEnd())
    // Its incarnation alone.
    #expect(notary.signedCount == 1)
    #expect(try status("y", deployment).channels["persistent"]?.handledPairCount == UInt64(Self.count))
  }

  private final class Omitted: Sendable { let point = Mutex(LanePoint.start) }

  /// What a relay may do to the events from the hundredth on.
  enum Lie: String, CaseIterable, Sendable {
    case changed, leftOut, addedTo
    /// One event is added, so that those behind it get numbers that the lane does not have at its origin.
    case addedOne

    /// - Parameter omitted: what came before the event that is left out.
    func tell(_ record: Record, _ omitted: borrowing Mutex<LanePoint>) throws -> [Record] {
      let (number, sequence) = (try LyingRelayTests.number(record), record.header.sequence)
      guard number >= 100 else { return [record] }
      switch self {
      case .changed: return [try LyingRelayTests.copy(record, { _ in }, [UInt8(ascii: " ")])]
      case .leftOut:
        guard number > 100 else {
          omitted.withLock { $0 = record.previous }
          return []
        }
        return [
          try LyingRelayTests.copy(record) {
            if number == 101 { $0.previous = omitted.withLock { $0 } }
          }
        ]
      case .addedTo:
        // Each wake states two events behind its record, so that numbers are the same again two events on.
        let place = record.point
        let moved = try LyingRelayTests.copy(record) {
          $0.sequence += 3
          $0.previous = LanePoint(
            epoch: place.epoch, sequence: number == 100 ? sequence + 1 : $0.previous.sequence + 3)
        }
        guard number == 100 else { return [moved] }
        let first = try LyingRelayTests.copy(record) { $0.id = EventID(high: 9, low: 9) }
        let second = try LyingRelayTests.copy(record) {
          $0.id = EventID(high: 9, low: 10)
          $0.sequence += 1
          $0.previous = place
        }
        return [first, second, moved]
      case .addedOne:
        let moved = try LyingRelayTests.copy(record) {
          $0.sequence += 1
          $0.previous = LanePoint(
            epoch: $0.epoch, sequence: number == 100 ? sequence : $0.previous.sequence + 1)
        }
        guard number == 100 else { return [moved] }
        return [try LyingRelayTests.copy(record) { $0.id = EventID(high: 9, low: 9) }, moved]
      }
    }
  }

  @Test(arguments: Lie.allCases)
  func `a relay that lies is found out, told of, and not listened to any more`(_ lie: Lie) throws {
    let deployment = try deployment(notaries: [:])
    let omitted = Omitted()
    self.lie(deployment) { try lie.tell($0, omitted.point) }
    try deployment.start()
    deployment.run(for: .seconds(20))
    let status = try status("y", deployment)
    #expect(status.contradictedLaneCount == 1)
    let told = status.notes.filter {
      $0.contains("is not what node 'x' stated: a node between has changed it")
    }
    #expect(told.count == 1, "\(status.notes)")
    let (stated, taken) = (Set(try records("x", deployment)), try records("y", deployment))
    let foreign = taken.indices.filter { !stated.contains(taken[$0]) }
    // It is found within some intervals, and the rest comes from the origin: nothing foreign is behind the last lie.
    #expect(foreign.count < 150, "\(foreign.count) events that x did not state")
    // Behind a number that the lane does not have its origin has nothing to give.
    guard lie != .addedOne else { return #expect(taken.count < Self.count) }
    #expect(!stated.isDisjoint(with: taken.suffix(150)) && stated.isSuperset(of: taken.suffix(150)))
    #expect(try taken.last.map(Self.number) == Self.count && taken.last == records("x", deployment).last)
  }

  @Test func `an event that nobody stated is told of, though the lane has ended`() throws {
    let deployment = try deployment(notaries: [:])
    lie(deployment) { record in
      guard try Self.number(record) == Self.count else { return [record] }
      let invented = try Self.copy(record) {
        $0.previous = $0.point
        $0.sequence += 1
        $0.id = EventID(high: 9, low: 9)
      }
      return [record, invented]
    }
    try deployment.start()
    deployment.run(for: .seconds(60))
    let status = try status("y", deployment)
    #expect(status.notes.contains { $0.hasPrefix("node 'x' does not confirm events of lane \(lane) after") })
    #expect(status.uncheckedEventCount > 0)
  }
}
