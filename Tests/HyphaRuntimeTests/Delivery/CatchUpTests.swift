import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

@Suite struct CatchUpTests {
  private let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))
  private let point = LanePoint(epoch: 1, sequence: 1)

  private func server(count: UInt64, byteCount: Int = 2) throws -> CatchUpServer {
    let (log, _) = try memoryLog()
    let records = try (1...count).map { try record("a", $0, byteCount: byteCount) }
    log.submit(LogBatch(appends: records.map { .init($0) })) { _ in }
    let server = try CatchUpServer(log: log, routes: try routeTable("x"))
    for node in ["y", "hub"] as [NodeID] { _ = server.answer(try greeting(of: node), from: node) }
    return server
  }

  private func greeting(of node: NodeID, hash: UInt64? = nil) throws -> ControlMessage {
    let topology = try smallTopology()
    return .hello(
      Greeting(node: node, topologyVersion: topology.version, topologyHash: hash ?? topology.hash))
  }

  @Test func `whoever has not greeted under the same topology is told nothing`() throws {
    let (log, _) = try memoryLog()
    let server = try CatchUpServer(log: log, routes: try routeTable("x"))
    let questions: [ControlMessage] = [.sync(log: .none, since: 0), .fetch(lane: lane, after: .start)]
    for question in questions {
      #expect(server.answer(question, from: "y") == CatchUpServer.greetFirst)
    }
    let hash = String(try smallTopology().hash, radix: 16)
    #expect(
      server.answer(try greeting(of: "y", hash: 1), from: "y")
        == .refused(
          .topology,
          reason: "node 'x' follows topology version 1 (\(hash)), node 'y' follows topology version 1 (1); "
            + "start both from one topology file"))
    #expect(server.refuses("y") && !server.refuses("hub"))
    #expect(
      server.answer(try greeting(of: "hub"), from: "y")
        == .refused(.unauthorized, reason: "node 'y' greets as 'hub'; start it as the node that it is"))
    #expect(server.answer(questions[0], from: "y") == CatchUpServer.greetFirst)
    #expect(
      server.answer(try greeting(of: "y"), from: "y")
        == .welcome(node: "x", version: 2, program: HyphaVersion.text, topologyVersion: 1))
    #expect(!server.refuses("y"))
    #expect(server.answer(questions[0], from: "y") != CatchUpServer.greetFirst)
  }

  @Test func `a node that is asked to greet greets at once, and once`() {
    let greeting = ControlMessage.hello(Greeting(node: "x", topologyVersion: 1, topologyHash: 1))
    var client = CatchUpClient(peers: ["y"], greeting: greeting)
    client.welcomed(by: "y", under: 1)
    #expect(!client.due(now: Timestamp(microseconds: 1_000_000)).contains { $0.1 == greeting })
    let wasGreeted = client.mustGreet("y")
    #expect(wasGreeted)
    #expect(client.due(now: Timestamp(microseconds: 1_000_001)).contains { $0.1 == greeting })
    let isGreetedAgain = client.mustGreet("y")
    #expect(!isGreetedAgain && client.due(now: Timestamp(microseconds: 1_000_002)).isEmpty)
    #expect(client.due(now: Timestamp(microseconds: 1_300_000)).contains { $0.1 == greeting })
  }

  @Test func `only those whom the topology sends a lane may read it`() throws {
    let server = try server(count: 3)
    guard case .records(_, _, let records)? = server.answer(.fetch(lane: lane, after: .start), from: "y")
    else {
      Issue.record("no records")
      return
    }
    #expect(records.map(\.header.sequence) == [1, 2, 3])
    for (lane, node) in [
      (lane, "hub"), (Lane(agent: "b", channel: .persistent, target: .type("load.Entry")), "y"),
      (Lane(agent: "a", channel: .persistent, target: .addressee("a2")), "y"),
    ] as [(Lane, NodeID)] {
      guard case .refused? = server.answer(.fetch(lane: lane, after: .start), from: node) else {
        Issue.record("\(node) was served \(lane)")
        continue
      }
    }
    #expect(
      server.answer(.sync(log: .none, since: 0), from: "hub")
        == .heads(log: EventID(high: 7, low: 7), through: 0, heads: []))
  }

  @Test func `a long lane is walked in bounded answers, each going on where the last one ended`() throws {
    let server = try server(count: 1200, byteCount: 700)
    var got: [UInt64] = []
    var after = LanePoint.start
    for _ in 0..<20 {
      guard case .records(_, _, let records)? = server.answer(.fetch(lane: lane, after: after), from: "y")
      else {
        break
      }
      #expect(records.count <= 512 && records.reduce(0) { $0 + $1.bytes.count } <= 256 << 10)
      guard let last = records.last else { break }
      got += records.map(\.header.sequence)
      after = last.header.point
    }
    #expect(got == Array(1...1200))
  }

  @Test func `a node is told of the lanes that have moved since it asked`() throws {
    let server = try server(count: 2)
    let log = EventID(high: 7, low: 7)
    let end = ControlMessage.LaneEnd(lane: lane, point: LanePoint(epoch: 1, sequence: 2))
    #expect(server.answer(.sync(log: log, since: 0), from: "y") == .heads(log: log, through: 2, heads: [end]))
    #expect(server.answer(.sync(log: log, since: 1), from: "y") == .heads(log: log, through: 2, heads: [end]))
    #expect(server.answer(.sync(log: log, since: 2), from: "y") == .heads(log: log, through: 2, heads: []))
    #expect(
      server.answer(.sync(log: .none, since: 2), from: "y") == .heads(log: log, through: 2, heads: [end]),
      "another log counts as one that was never asked")
    server.committed([try record("a", 3)], from: Position(rawValue: 9))
    #expect(server.newestPositions == ["y": 9])
    #expect(server.statedPairCount(.persistent) == 6)
  }

  @Test func `only a node under the same topology is welcome`() throws {
    let server = try server(count: 1)
    let hello = try greeting(of: "y")
    guard case .welcome? = server.answer(hello, from: "y") else {
      Issue.record("a node under the same topology was not welcomed")
      return
    }
    guard case .refused? = server.answer(hello, from: "hub") else {
      Issue.record("a node was welcomed under another's name")
      return
    }
  }

  @Test func `each peer is greeted until it answers, and asked again where it left off`() {
    let greeting = ControlMessage.hello(Greeting(node: "x", topologyVersion: 1, topologyHash: 1))
    var client = CatchUpClient(peers: ["y", "z"], greeting: greeting, interval: .milliseconds(200))
    let start = Timestamp(microseconds: 1_000_000)
    #expect(client.due(now: start).map(\.0) == ["y", "y", "z", "z"])
    #expect(client.due(now: start).isEmpty)
    client.welcomed(by: "y", under: 1)
    client.told(by: "y", log: EventID(high: 1, low: 1), through: 5, isFull: true)
    #expect(client.due(now: start).map(\.1) == [.sync(log: EventID(high: 1, low: 1), since: 5)])
    #expect(client.toldThrough == ["y": 5, "z": 0])
    let later = Timestamp(microseconds: 1_200_000)
    #expect(client.due(now: later).map(\.1).count == 3)
  }
}
