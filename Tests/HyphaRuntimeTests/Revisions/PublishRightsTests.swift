import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTransport
import Testing

@testable import HyphaRuntime
@testable import HyphaTopology

/// By which file other nodes judge what an agent has stated.
@Suite struct PublishRightsTests {
  private let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))

  /// `a` on x may publish alarms alone since revision 2, which has version 7; `b` on y takes entries and alarms.
  private func topology(replicas: ReplicationSettings = ReplicationSettings()) throws -> Topology {
    var x = NodeSpec(id: "x")
    x.replicas = replicas
    let filed = try Topology(
      name: "rights", nodes: [NodeSpec(id: "hub"), x, NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "hub"),
        AgentSpec(id: "a", kind: "generator", node: "x", reportsTo: "root", publishes: ["load.Alarm"]),
        AgentSpec(
          id: "b", kind: "recorder", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "load.Entry")]),
      ])
    let order = TopologyRevised(
      revision: 2, file: "", replaced: "", fingerprint: filed.fingerprint, replacedFingerprint: "0",
      version: 7,
      retired: [], moves: [], seat: "hub")
    return try filed.revised(by: order, after: ["0"])
  }

  private func record(
    _ sequence: UInt64, epoch: UInt64 = 1, version: UInt32, principal: AgentID = "a",
    type: EventTypeName = "load.Entry", agent: AgentID = "a"
  ) throws -> Record {
    let id = EventID(time: Timestamp(microseconds: 5), random: sequence << 8 | epoch)
    return try Record(
      RecordHeader(
        id: id, time: Timestamp(microseconds: sequence + epoch * 1000), channel: .persistent, agent: agent,
        epoch: epoch, sequence: sequence,
        previous: sequence > 1 ? LanePoint(epoch: epoch, sequence: sequence - 1) : .start, addressee: nil,
        type: type, schemaVersion: 1, subject: "s", correlation: id,
        authority: Authority(principal: principal, grant: "topology", policyVersion: version)), payload: [])
  }

  private func rights(_ topology: Topology) throws -> PublishRights {
    try PublishRights(topology, KindRegistry(BuiltInKinds.all))
  }

  @Test
  func `what is stated under this file is judged by it, and what was stated under an earlier one is not`()
    throws
  {
    let rights = try rights(topology())
    #expect(try rights.allow(record(1, version: 1)) && !rights.allow(record(1, version: 7)))
    #expect(try !rights.allow(record(1, version: 1, type: "un.Declared")))
    #expect(try rights.allow(record(1, version: 7, type: "load.Alarm")))
    // Nor does a claim count that is not the agent's own.
    #expect(try !rights.allow(record(1, version: 1, principal: "b")))
  }

  @Test func `who has ordered before orders nothing under the file by which it leaves`() throws {
    let filed = try Topology(
      name: "rights", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [AgentSpec(id: "root", kind: "supervisor", node: "x")])
    let order = TopologyRevised(
      revision: 2, file: "", replaced: "", fingerprint: filed.fingerprint, replacedFingerprint: "0",
      version: 7, retired: [], moves: [], seat: "x",
      leaving: [
        LeavingNode(NodeSpec(id: "hub"), since: 2, isGone: false, hasOrdered: true),
        LeavingNode(NodeSpec(id: "z"), since: 2, isGone: false, hasOrdered: false),
      ])
    let rights = try rights(filed.revised(by: order, after: ["0"]))
    func allows(_ node: NodeID, _ type: EventTypeName, version: UInt32) throws -> Bool {
      try rights.allow(record(1, version: version, principal: node.author, type: type, agent: node.author))
    }
    for type in OrderSuccession.types {
      #expect(try allows("hub", type, version: 1) && !allows("hub", type, version: 7), "\(type)")
      #expect(try allows("x", type, version: 7) && !allows("z", type, version: 1), "\(type)")
    }
    #expect(try allows("hub", NodeEnding.eventType, version: 7))

    // Nor by claiming the earlier file, once it has said how far its orders go.
    let author = NodeID("hub").author
    let orders = Lane(agent: author, channel: .persistent, target: .type(AgentMoved.eventType))
    let all = try (1...3).map {
      try record(UInt64($0), version: 1, principal: author, type: AgentMoved.eventType, agent: author)
    }
    var late = rights
    late.adopted(orders, at: all[1].point)
    #expect(!late.areLate(Array(all[..<2]), of: orders) && late.areLate(all, of: orders))
  }

  @Test func `nobody claims an earlier file for what comes behind where its lane stood then`() throws {
    var rights = try rights(topology())
    let all = try (1...6).map { try record(UInt64($0), version: 1) }
    #expect(!rights.areLate(all, of: lane))
    rights.adopted(lane, at: all[3].point)
    // Only the first word counts.
    rights.adopted(lane, at: all[5].point)
    #expect(!rights.areLate(Array(all[..<4]), of: lane) && rights.areLate(all, of: lane))
    #expect(try !rights.areLate([record(9, epoch: 2, version: 7)], of: lane))
    #expect(try rights.areLate([record(9, epoch: 2, version: 7), record(1, epoch: 3, version: 1)], of: lane))
    // One with replicas tells of less than it has.
    var held = try self.rights(topology(replicas: ReplicationSettings(nodes: ["y"], level: 1)))
    held.adopted(lane, at: all[3].point)
    #expect(!held.areLate(all, of: lane))
  }

  @Test func `a courier takes no late claims, over links or in answers`() throws {
    let topology = try topology()
    var courier = Courier(
      channel: .persistent, routes: RouteTable(node: "y", topology: topology), heads: [:],
      rights: try rights(topology))
    let now = Timestamp(microseconds: 9_000_000)
    func take(_ record: Record) -> Courier.Actions {
      courier.receive(
        Frame(via: "b", topologyVersion: 7, hops: 1, records: [record]), from: "hub", now: now)
    }
    let all = try (1...3).map { try record(UInt64($0), version: 1) }
    #expect(take(all[0]).taken.count == 1)
    courier.announce(lane, all[1].point, by: "x", now: now)
    #expect(take(all[1]).taken.count == 1, "x has not said that it runs under this file")
    courier.announce(lane, all[1].point, by: "x", hasAdopted: true, now: now)
    let late = take(all[2])
    #expect(late.taken.isEmpty && late.refusals.first?.contains("claim an earlier revision") == true)
    let answer = courier.receive(answer: [all[2]], of: lane, after: all[1].point, from: "x", now: now)
    #expect(answer.taken.isEmpty && answer.refusals.count == 1)
    #expect(take(try record(3, version: 7)).refusals.first?.contains("does not declare") == true)
  }

  @Test func `what a node stated while it had the seat by an earlier file is taken`() throws {
    func finding(_ version: UInt32) throws -> Record {
      let (id, author) = (EventID(high: 1, low: 1), NodeID("x").author)
      return try Record(
        RecordHeader(
          id: id, time: .zero, channel: .persistent, agent: author, epoch: 1, sequence: 1, previous: .start,
          addressee: nil, type: FindingsChanged.eventType, schemaVersion: 1, subject: "s", correlation: id,
          authority: Authority(principal: author, grant: "topology", policyVersion: version)), payload: [])
    }
    let rights = try rights(topology())
    #expect(try rights.allow(finding(1)) && !rights.allow(finding(7)))
  }
}
