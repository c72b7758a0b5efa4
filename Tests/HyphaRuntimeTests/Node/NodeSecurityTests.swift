import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// What a node does about others that do not fit, or send what is not theirs.
@Suite struct NodeSecurityTests {
  /// A transport that keeps what is answered.
  private final class SilentTransport: Transport {
    let answers = Mutex<[ControlMessage]>([])
    func start(_ receiver: any TransportReceiver) throws {}
    func update(_ plan: LinkPlan) {}
    func send(_ frames: [OutboundFrame]) -> [OutboundFrame] { [] }
    func request(_ message: [UInt8], of node: NodeID) {}
    func reply(_ message: [UInt8], to node: NodeID) {
      if let message = try? ControlMessage(decoding: message) { answers.withLock { $0.append(message) } }
    }
    var counters: TransportCounters { TransportCounters() }
    func stop() {}
  }

  private func node() throws -> (Node, SilentTransport) {
    let loop = SimulationLoop()
    let store = MemoryLogStore(identity: LogIdentity(id: EventID(high: 1, low: 1), node: "y"))
    let transport = SilentTransport()
    let configuration = Node.Configuration(
      topology: try smallTopology(), node: "y", kinds: try KindRegistry(BuiltInKinds.all))
    let log = try MemoryLog(store: store, time: loop)
    return (
      try Node(configuration, log: log, transport: transport, scheduler: loop, executor: loop), transport
    )
  }

  private func greet(_ node: Node, hash: UInt64? = nil, versions: ClosedRange<UInt8> = 1...1) throws {
    let topology = try smallTopology()
    let greeting = Greeting(
      node: "hub", versions: versions, topologyVersion: topology.version, topologyHash: hash ?? topology.hash)
    node.received(requests: [PeerMessage(node: "hub", bytes: ControlMessage.hello(greeting).encoded())])
  }

  private func receive(_ node: Node, _ sequence: UInt64) throws {
    let frame = Frame(via: "b", topologyVersion: 1, hops: 2, records: [try record(sequence)])
    node.received([InboundFrame(from: "hub", channel: .persistent, bytes: frame.encoded())])
  }

  @Test func `nothing is taken of a node whose greeting did not fit, until one does`() throws {
    let (node, transport) = try node()
    try receive(node, 1)
    #expect(try node.log.head().rawValue == 1)
    let misfits: [(hash: UInt64?, versions: ClosedRange<UInt8>)] = [
      (1, Greeting.spokenVersions), (nil, 9...9),
    ]
    for (count, misfit) in misfits.enumerated() {
      try greet(node, hash: misfit.hash, versions: misfit.versions)
      try receive(node, 2)
      #expect(try node.log.head().rawValue == 1)
      #expect(node.status().refusedMessageCount == UInt64(count + 1))
    }
    #expect(node.status().notes.filter { $0.hasPrefix("node 'hub' was refused: ") }.count == 2)
    try greet(node)
    try receive(node, 2)
    #expect(try node.log.head().rawValue == 2)
    let kinds = transport.answers.withLock { answers in
      answers.map { answer -> RefusalKind? in
        if case .refused(let kind, _) = answer { kind } else { nil }
      }
    }
    #expect(kinds == [.topology, .protocolVersion, nil])
  }

  @Test func `a neighbour cannot fill the operator's notes`() throws {
    let (node, _) = try node()
    for number in 0..<500 {
      let frame = Frame(
        via: "b", topologyVersion: 1, hops: 2,
        records: [try record(AgentID(unchecked: "nobody\(number)"), 1)])
      node.received([InboundFrame(from: "hub", channel: .persistent, bytes: frame.encoded())])
      node.received([
        InboundFrame(from: "hub", channel: .persistent, bytes: [UInt8](repeating: 7, count: number))
      ])
      node.received(requests: [PeerMessage(node: "hub", bytes: [UInt8](repeating: 7, count: number))])
    }
    #expect(node.status().notes.count == RefusalLog.burstCount)
    #expect(node.status().channels["persistent"]?.counts["refused"] == 500)
  }

  @Test func `a node is not told of lanes of others, and a reason does not steer a terminal`() throws {
    let (node, _) = try node()
    let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))
    let heads = ControlMessage.heads(
      log: EventID(high: 1, low: 1), through: 1,
      heads: [.init(lane: lane, point: LanePoint(epoch: 1, sequence: 9))])
    node.received(answers: [PeerMessage(node: "hub", bytes: heads.encoded())])
    #expect(node.status().behindLaneCount == 0)
    let refusal = ControlMessage.refused(.other, reason: "\u{1B}[2Jgone")
    node.received(answers: [PeerMessage(node: "hub", bytes: refusal.encoded())])
    #expect(
      node.status().notes == [
        "node 'hub' told of a lane of 'a', which is not placed there", "node 'hub' refuses: \\u{1B}[2Jgone",
      ])
  }
}
