import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// Who orders moves and files in the place of a node that leaves.
@Suite struct OrderSuccessionTests {
  /// A deployment whose nodes come and go; the root's node orders.
  private final class Office {
    let deployment: SimulatedDeployment
    let texts = TopologyTexts()
    private(set) var file: Topology
    private var revision: UInt32 = 1

    init(_ nodes: [NodeID], worker: NodeID? = nil, seed: UInt64, ownByteCountMax: Int? = nil) throws {
      file = try Self.topology(nodes, worker: worker)
      deployment = SimulatedDeployment(file, kinds: try KindRegistry(BuiltInKinds.all), seed: seed)
      (deployment.file, deployment.ownByteCountMax) = (try texts.file(file), ownByteCountMax)
      try deployment.start()
      run(2)
    }

    static func topology(_ nodes: [NodeID], worker: NodeID? = nil, seat: NodeID? = nil) throws -> Topology {
      var policy = ObserverPolicy()
      policy.node = seat
      return try Topology(
        name: "succession", nodes: nodes.map { NodeSpec(id: $0) },
        agents: [
          AgentSpec(id: "root", kind: "supervisor", node: nodes[0]),
          AgentSpec(id: "worker", kind: "recorder", node: worker ?? nodes[1], reportsTo: "root"),
        ],
        membership: MembershipSettings(suspicion: .fixed(after: .seconds(3)), downAfter: .seconds(3)),
        observer: policy)
    }

    func run(_ seconds: Int) { deployment.run(for: .seconds(seconds)) }

    func apply(_ nodes: [NodeID], worker: NodeID? = nil, on node: NodeID, seat: NodeID? = nil) throws {
      file = try Self.topology(nodes, worker: worker, seat: seat)
      let text = try texts.text(file)
      _ = try deployment.node(node)?.apply(text, after: revision, by: "ana", note: nil)
      revision += 1
      run(8)
    }

    func begin(_ node: NodeID) throws { _ = try deployment.begin(node) }

    /// Whether nodes run under the newest file, and where by it and by moves the worker is.
    func expect(_ nodes: [NodeID], orders: NodeID, worker: NodeID, _ place: SourceLocation = #_sourceLocation)
    {
      for name in nodes {
        let node = deployment.node(name)
        #expect(node?.topology.revision == revision, "\(name)", sourceLocation: place)
        #expect(node?.topology.moveSeat == orders, "\(name)", sourceLocation: place)
        #expect(node?.desks.moves.topology.agent("worker")?.node == worker, "\(name)", sourceLocation: place)
      }
    }

    /// All that was ordered, as each node's log has it.
    func readings(_ nodes: [NodeID]) throws -> [MoveReading] {
      try nodes.map { try MoveReading(deployment.reader(of: $0)) }
    }

    /// That all logs have the same orders, and no wish an answer that another contradicts.
    func check(_ nodes: [NodeID], _ place: SourceLocation = #_sourceLocation) throws {
      try deployment.stop()
      let all = try readings(nodes)
      for (node, reading) in zip(nodes, all) {
        #expect(
          reading.revisions.revisions.map(\.order) == all[0].revisions.revisions.map(\.order), "\(node)",
          sourceLocation: place)
        #expect(
          reading.moves.moves.map(\.order) == all[0].moves.moves.map(\.order), "\(node)",
          sourceLocation: place)
        #expect(
          reading.unanswered.isEmpty && reading.unansweredRevisions.isEmpty, "\(node)", sourceLocation: place)
        let findings = try deployment.reader(of: node).verify().findings
        #expect(findings == [], "\(node)", sourceLocation: place)
      }
    }
  }

  @Test(arguments: [nil, 384])
  func `who comes later, and who begins with an empty log, learns what one has ordered that has left`(
    ownByteCountMax: Int?
  ) throws {
    let office = try Office(["a", "b", "c"], seed: 3, ownByteCountMax: ownByteCountMax)
    let deployment = office.deployment
    _ = try deployment.node("c")?.move("worker", to: "c", by: "ana", note: nil)
    office.run(4)
    // A wish that is refused: it is there already.
    _ = try deployment.node("b")?.move("worker", to: "c", by: "ana", note: nil)
    office.run(2)
    // Two files: of the first one, the one that leaves is who orders.
    try office.apply(["a", "b", "c"], worker: "b", on: "c", seat: "b")
    try office.apply(["b", "c"], worker: "c", on: "c")
    #expect(deployment.left == ["a"])
    office.expect(["b", "c"], orders: "b", worker: "c")

    // One that begins with nothing but the newest file.
    deployment.kill("c")
    office.run(2)
    deployment.loseDisk(of: "c", startingWith: try office.texts.file(office.file))
    try office.begin("c")
    office.run(8)
    office.expect(["b", "c"], orders: "b", worker: "c")

    // One that is new.
    try office.apply(["b", "c", "d"], worker: "c", on: "c")
    deployment.add("d", try office.texts.file(office.file))
    try office.begin("d")
    office.run(8)
    _ = try deployment.node("d")?.move("worker", to: "d", by: "ana", note: nil)
    office.run(6)
    office.expect(["b", "c", "d"], orders: "b", worker: "d")

    // And when the next one leaves, too.
    try office.apply(["d", "c"], worker: "d", on: "c")
    #expect(deployment.left == ["a", "b"])
    office.expect(["c", "d"], orders: "d", worker: "d")
    try office.apply(["d", "c", "e"], worker: "d", on: "c")
    deployment.add("e", try office.texts.file(office.file))
    try office.begin("e")
    office.run(8)
    office.expect(["c", "d", "e"], orders: "d", worker: "d")
    try office.check(["c", "d", "e"])
    // Who takes the newest file follows it at once, and with it who orders.
    let unsaid = try OrderSuccession(deployment.reader(of: "c")).unsaid.map(\.order)
    let files = unsaid.compactMap { if case .revised(let order) = $0 { order.revision } else { nil } }
    #expect(files == [6, 5, 4, 3, 2] && unsaid.count > files.count)
    #expect(unsaid.prefix(5).allSatisfy { if case .revised = $0 { true } else { false } })
    let moves = try #require(try office.readings(["e"]).first?.moves.moves.map(\.order))
    #expect(moves.map(\.agent) == ["worker", "root", "worker", "root"], "\(moves)")
  }

  @Test func `a file that a node leaves by may bring others`() throws {
    let office = try Office(["a", "b", "c"], seed: 4)
    let deployment = office.deployment
    try office.apply(["b", "c", "d"], worker: "b", on: "c")
    deployment.add("d", try office.texts.file(office.file))
    try office.begin("d")
    office.run(12)
    #expect(deployment.left == ["a"])
    office.expect(["b", "c", "d"], orders: "b", worker: "b")
    try office.check(["b", "c", "d"])
  }

  @Test func `nothing is ordered before all is known that was ordered before`() throws {
    let office = try Office(["a", "b", "c", "d"], worker: "c", seed: 5)
    let deployment = office.deployment
    // The next one to order does not hear the former: it does not know of the file by which it is to.
    deployment.network.setCut(true, between: "a", and: "b")
    let second = try Office.topology(["b", "c", "d"], worker: "c")
    _ = try deployment.node("c")?.apply(office.texts.text(second), after: 1, by: "ana", note: nil)
    office.run(2)
    #expect(try MoveReading(deployment.reader(of: "c")).revisions.number == 2)
    #expect(try MoveReading(deployment.reader(of: "b")).revisions.number == 1)
    deployment.kill("a")
    deployment.network.setCut(false, between: "a", and: "b")
    office.run(5)
    _ = try deployment.node("c")?.move("worker", to: "d", by: "ana", note: nil)
    office.run(10)
    // Nobody orders while the former is away.
    #expect(try MoveReading(deployment.reader(of: "c")).moves.moves.map(\.order.agent) == ["root"])
    try office.begin("a")
    office.run(20)
    #expect(deployment.left == ["a"])
    try office.check(["b", "c", "d"])
    let moves = try #require(try office.readings(["b"]).first?.moves.moves.map(\.order))
    #expect(moves.map(\.agent) == ["root", "worker"] && moves.last?.to == "d", "\(moves)")
  }

  @Test func `a file that has a node order which is not there is refused`() throws {
    let office = try Office(["a", "b", "c"], seed: 6)
    let deployment = office.deployment
    deployment.kill("b")
    office.run(5)
    let id = try deployment.node("c")?.apply(
      office.texts.text(Office.topology(["b", "c"])), after: 1, by: "ana", note: nil)
    office.run(3)
    let answer = try deployment.reader(of: "c").read(after: .start, limit: .max, byteLimit: .max)
      .first { $0.record.causation == id }
    let refusal = try RevisionRefused.decode(try #require(answer?.record))
    #expect(
      refusal.reasons == [
        "node 'b' is to order moves and files in the place of 'a', and is not there; start it first"
      ])
    try deployment.stop()
  }

  @Test func `a node to order that was not heard yet is waited for`() throws {
    let office = try Office(["a", "b", "c"], seed: 6)
    let deployment = office.deployment
    deployment.kill("a")
    deployment.kill("b")
    let second = try Office.topology(["b", "c"])
    _ = try deployment.node("c")?.apply(office.texts.text(second), after: 1, by: "ana", note: nil)
    office.run(6)
    // It has the wish before it can know whether the next one to order is there.
    try office.begin("a")
    office.run(2)
    #expect(try MoveReading(deployment.reader(of: "a")).revisions.number == 1)
    #expect(try MoveReading(deployment.reader(of: "a")).unansweredRevisions.count == 1)
    try office.begin("b")
    office.run(10)
    #expect(deployment.left == ["a"])
    try office.check(["b", "c"])
  }

  @Test func `who has ordered is not given up while it alone can tell somebody of the file`() throws {
    let office = try Office(["a", "b", "c", "d"], seed: 10)
    let deployment = office.deployment
    deployment.kill("d")
    try office.apply(["b", "c", "d"], on: "c")
    #expect(deployment.left.isEmpty)
    deployment.kill("a")
    office.run(2)
    func giveUp() throws -> Record? {
      let text = try office.texts.text(Office.topology(["b", "c", "d"], worker: "c"))
      let id = try deployment.node("c")?.apply(text, after: 2, by: "ana", note: nil, lost: ["a"])
      office.run(5)
      return try deployment.reader(of: "c").read(after: .start, limit: .max, byteLimit: .max)
        .first { $0.record.causation == id }?.record
    }
    let refusal = try RevisionRefused.decode(try #require(try giveUp()))
    #expect(
      refusal.reasons.first?.hasPrefix(
        "node 'a' cannot be given up: node 'd' has not been heard under revision 2") == true, "\(refusal)")
    // Nor need it be: it leaves once it is back.
    try office.begin("a")
    try office.begin("d")
    office.run(10)
    #expect(deployment.left == ["a"])
    for node in ["b", "c", "d"] as [NodeID] {
      #expect(deployment.node(node)?.topology.moveSeat == "b", "\(node)")
    }
    try deployment.stop()
  }

  @Test(arguments: [nil, 384])
  func `who orders and has lost its disk has what it ordered back from the others`(ownByteCountMax: Int?)
    throws
  {
    let office = try Office(["a", "b", "c"], seed: 7, ownByteCountMax: ownByteCountMax)
    let deployment = office.deployment
    try office.apply(["a", "b", "c"], worker: "c", on: "c")
    _ = try deployment.node("c")?.move("worker", to: "b", by: "ana", note: nil)
    office.run(4)
    try office.apply(["a", "b", "c", "d"], worker: "c", on: "c")
    deployment.kill("a")
    office.run(2)
    deployment.loseDisk(of: "a", startingWith: try office.texts.file(office.file))
    try office.begin("a")
    // It dies over it, too.
    deployment.run(for: .milliseconds(300))
    deployment.kill("a")
    try office.begin("a")
    office.run(8)
    office.expect(["a", "b", "c"], orders: "a", worker: "b")
    deployment.add("d", try office.texts.file(office.file))
    try office.begin("d")
    office.run(6)
    _ = try deployment.node("d")?.move("worker", to: "d", by: "ana", note: nil)
    office.run(6)
    office.expect(["a", "b", "c", "d"], orders: "a", worker: "d")
    try office.check(["a", "b", "c", "d"])
  }

  @Test func `who orders and has lost its disk orders nothing anew that was ordered, without any file`()
    throws
  {
    let office = try Office(["a", "b", "c"], seed: 8)
    let deployment = office.deployment
    // The wish is lost with the disk, too.
    _ = try deployment.node("a")?.move("worker", to: "c", by: "ana", note: nil)
    office.run(4)
    deployment.kill("a")
    deployment.loseDisk(of: "a")
    _ = try deployment.node("c")?.move("worker", to: "b", by: "ana", note: nil)
    // It dies before it has heard anybody.
    for other in ["b", "c"] as [NodeID] { deployment.network.setCut(true, between: "a", and: other) }
    try office.begin("a")
    office.run(8)
    #expect(try deployment.reader(of: "a").head() > .start)
    #expect(try MoveReading(deployment.reader(of: "a")).moves.moves.isEmpty)
    deployment.kill("a")
    for other in ["b", "c"] as [NodeID] { deployment.network.setCut(false, between: "a", and: other) }
    try office.begin("a")
    office.run(8)
    office.expect(["a", "b", "c"], orders: "a", worker: "b")
    try office.check(["a", "b", "c"])
    let moves = try office.readings(["a", "b", "c"]).map { $0.moves.moves.map(\.order.to) }
    #expect(moves == [["c", "b"], ["c", "b"], ["c", "b"]])
  }

  @Test func `a log has all that was ordered only where each lane of orders is there to its end`() throws {
    let office = try Office(["a", "b", "c"], seed: 11)
    _ = try office.deployment.node("c")?.move("worker", to: "c", by: "ana", note: nil)
    office.run(4)
    try office.deployment.stop()
    let log = try office.deployment.reader(of: "b")
    let heads = try log.laneHeads().filter { $0.key.agent == NodeID("a").author }.mapValues(\.point)
    let moves = try #require(heads.keys.first { $0.target == .type(AgentMoved.eventType) })
    #expect(try OrderSuccession.hasAll(of: heads, in: log))
    // One more than it has, of a lane that it has and of one that it has not; of others nothing matters.
    for type in OrderSuccession.types {
      let lane = Lane(agent: moves.agent, channel: .persistent, target: .type(type))
      var ends = heads
      let end = heads[lane] ?? .start
      ends[lane] = LanePoint(epoch: max(end.epoch, 1), sequence: end.sequence + 1)
      #expect(try !OrderSuccession.hasAll(of: ends, in: log), "\(type)")
    }
    var ends = heads
    ends[Lane(agent: moves.agent, channel: .persistent, target: .type(LogHeadSigned.eventType))] = LanePoint(
      epoch: .max, sequence: 1)
    #expect(try OrderSuccession.hasAll(of: ends, in: log))
  }

  @Test func `who has lost its disk, and by its file would order, follows who does`() throws {
    let office = try Office(["a", "b", "c"], seed: 9)
    let deployment = office.deployment
    try office.apply(["a", "b", "c"], worker: "c", on: "c", seat: "b")
    office.expect(["a", "b", "c"], orders: "a", worker: "c")
    deployment.kill("b")
    office.run(2)
    deployment.loseDisk(of: "b", startingWith: try office.texts.file(office.file))
    try office.begin("b")
    _ = try deployment.node("c")?.move("worker", to: "a", by: "ana", note: nil)
    office.run(8)
    office.expect(["a", "b", "c"], orders: "a", worker: "a")
    try office.check(["a", "b", "c"])
  }
}
