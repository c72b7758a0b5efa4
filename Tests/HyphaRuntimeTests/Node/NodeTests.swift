import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// A transport that looks into the log whenever something is sent.
private final class SpyTransport: Transport {
  private let log: any EventLog
  private let opensLinks: Bool
  let findings = Mutex<(sent: [Channel: Int], early: [Channel: Int])>(([:], [:]))

  init(_ log: any EventLog, opensLinks: Bool = true) {
    self.log = log
    self.opensLinks = opensLinks
  }

  func start(_ receiver: any TransportReceiver) throws {
    guard opensLinks else { return }
    for channel in Channel.allCases { receiver.linksChanged(channel, plan: 0, missing: []) }
  }

  func update(_ plan: LinkPlan) {}
  func send(_ frames: [OutboundFrame]) -> [OutboundFrame] {
    for frame in frames {
      guard let last = try? Frame(decoding: frame.bytes).records.last?.header else { continue }
      let head = (try? log.laneHead(last.lane))?.point ?? .start
      findings.withLock { findings in
        findings.sent[frame.channel, default: 0] += 1
        if head < last.point { findings.early[frame.channel, default: 0] += 1 }
      }
    }
    return []
  }

  func request(_ message: [UInt8], of node: NodeID) {}
  func reply(_ message: [UInt8], to node: NodeID) {}
  var counters: TransportCounters { TransportCounters() }
  func stop() {}
}

@Suite struct NodeTests {
  private func topology(_ event: String) throws -> Topology {
    try Topology(
      name: "load", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(
          id: "a", kind: "generator", node: "x", reportsTo: "root",
          settings: .object(["event": .string(event), "count": .integer(20), "every": .integer(1)])),
        AgentSpec(
          id: "b", kind: "recorder", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "load.Entry"), Subscription(type: "load.Alarm")]),
      ])
  }

  private func run(_ event: String) throws -> (sent: [Channel: Int], early: [Channel: Int]) {
    let loop = SimulationLoop()
    let store = MemoryLogStore(identity: LogIdentity(id: EventID(high: 1, low: 1), node: "x"))
    let log = try MemoryLog(store: store, time: loop) { loop.schedule(after: .milliseconds(1), $0) }
    let transport = SpyTransport(log)
    let configuration = Node.Configuration(
      topology: try topology(event), node: "x", kinds: try KindRegistry(BuiltInKinds.all))
    let node = try Node(configuration, log: log, transport: transport, scheduler: loop, executor: loop)
    try loop.run { try await node.start() }
    _ = loop.run(until: { node.status().finishedCount == 1 }, limit: .seconds(5))
    try loop.run { await node.stop() }
    log.close()
    return transport.findings.withLock { $0 }
  }

  @Test func `a persistent event is in the log before it is sent, an alert is sent before`() throws {
    let entries = try run("entry")
    #expect(entries.sent[.persistent] ?? 0 > 0 && entries.early.isEmpty)
    let alarms = try run("alarm")
    #expect(alarms.sent[.alert] == 20 && alarms.early[.alert] == 20)
  }

  @Test func `a node's clock does not fall back behind the events in its log`() throws {
    let loop = SimulationLoop()
    let (log, _) = try memoryLog("x")
    // Stated while the machine's clock was ahead.
    let ahead = loop.microseconds() + 3_000_000
    let early = try record("a", .persistent, 1, time: ahead)
    log.submit(LogBatch(appends: [.init(early)])) { _ in }
    let configuration = Node.Configuration(
      topology: try topology("entry"), node: "x", kinds: try KindRegistry(BuiltInKinds.all))
    let node = try Node(
      configuration, log: log, transport: SpyTransport(log), scheduler: loop, executor: loop)
    #expect(node.newEvent().1 > early.header.time)
  }

  @Test func `a node that starts again and again with a clock that was set back gives no id twice`() throws {
    // No time passes: each life has the newest time of the log.
    let loop = SimulationLoop()
    let store = MemoryLogStore(identity: LogIdentity(id: EventID(high: 1, low: 1), node: "x"))
    let configuration = Node.Configuration(
      topology: try topology("entry"), node: "x", kinds: try KindRegistry(BuiltInKinds.all))
    for life in 1...4 {
      let log = try MemoryLog(store: store, time: loop)
      if life == 1 {
        let ahead = try record("a", .persistent, 1, time: loop.microseconds() + 3_600_000_000)
        log.submit(LogBatch(appends: [.init(ahead)])) { _ in }
      }
      let node = try Node(
        configuration, log: log, transport: SpyTransport(log), scheduler: loop, executor: loop)
      try loop.run { try await node.start() }
      node.halt()
      let records = try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      #expect(records.count { $0.type == AgentActivated.eventType } == life)
      #expect(Set(records.map(\.header.id)).count == records.count, "life \(life)")
      log.close()
    }
  }

  @Test func `alerts go up though the machine's clock was set back behind the log`() throws {
    let loop = SimulationLoop()
    let (log, _) = try memoryLog("x")
    let ahead = try record("a", .persistent, 1, time: loop.microseconds() + 3_600_000_000)
    log.submit(LogBatch(appends: [.init(ahead)])) { _ in }
    let configuration = Node.Configuration(
      topology: try topology("alarm"), node: "x", kinds: try KindRegistry(BuiltInKinds.all))
    let node = try Node(
      configuration, log: log, transport: SpyTransport(log), scheduler: loop, executor: loop)
    try loop.run { try await node.start() }
    // The deadline is of 30 s, and time goes on at a quarter of its pace.
    func escalated() throws -> [Record] {
      try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.type == AlertEscalated.eventType }
    }
    _ = loop.run(until: { false }, limit: .seconds(100))
    #expect(try escalated().isEmpty)
    _ = loop.run(until: { false }, limit: .seconds(40))
    #expect(try escalated().count == 20)
    try loop.run { await node.stop() }
  }

  @Test func `a node's clock moves past the events that it receives`() throws {
    let loop = SimulationLoop()
    let (log, _) = try memoryLog("y")
    let configuration = Node.Configuration(
      topology: try topology("entry"), node: "y", kinds: try KindRegistry(BuiltInKinds.all))
    let node = try Node(
      configuration, log: log, transport: SpyTransport(log), scheduler: loop, executor: loop)
    func receive(_ sequence: UInt64, ahead: UInt64) throws -> Record {
      let record = try record("a", .persistent, sequence, time: loop.microseconds() + ahead)
      let frame = Frame(via: "root", topologyVersion: 1, hops: 1, records: [record])
      node.received([InboundFrame(from: "x", channel: .persistent, bytes: frame.encoded())])
      return record
    }
    let ahead = try receive(1, ahead: 2_000_000)
    #expect(node.newEvent().1 > ahead.header.time)
    _ = try receive(2, ahead: 60_000_000)
    #expect(try log.head().rawValue == 1, "what lies too far ahead is not taken")
    #expect(node.status().notes.count == 1)
  }

  @Test func `a log takes no event whose predecessor in its lane it lacks`() throws {
    let (log, _) = try memoryLog("y")
    let outcomes = Mutex<[Bool]>([])
    for sequence in [1, 3, 2, 3, 3] as [UInt64] {
      let append = LogBatch.Append(try record("a", sequence), source: .received(hops: 1))
      log.submit(LogBatch(appends: [append])) { result in
        outcomes.withLock { $0.append((try? result.get()) != nil) }
      }
    }
    #expect(outcomes.withLock { $0 } == [true, false, true, true, false])
  }

  @Test func `a log that refuses at once does not stop the node that receives`() throws {
    let loop = SimulationLoop()
    let (log, store) = try memoryLog("y", full: true)
    let configuration = Node.Configuration(
      topology: try topology("entry"), node: "y", kinds: try KindRegistry(BuiltInKinds.all))
    let node = try Node(
      configuration, log: log, transport: SpyTransport(log), scheduler: loop, executor: loop)
    let frame = Frame(via: "root", topologyVersion: 1, hops: 1, records: [try record("a", 1)])
    node.received([InboundFrame(from: "x", channel: .persistent, bytes: frame.encoded())])
    #expect(node.status().backlog == 1, "until the lane has gone back it is not forgotten")
    _ = loop.run(until: { false }, limit: .milliseconds(1))
    #expect(node.status().backlog == 0 && node.status().behindLaneCount == 1)
    store.setFull(false)
    node.received(answers: [
      PeerMessage(
        node: "x",
        bytes: ControlMessage.records(
          lane: try record("a", 1).header.lane, after: .start, records: [try record("a", 1)]
        )
        .encoded())
    ])
    #expect(try log.head().rawValue == 1)
  }

  @Test func `a problem is told once, whatever the cause of each attempt's failure`() throws {
    let loop = SimulationLoop()
    let (log, _) = try memoryLog("x")
    let configuration = Node.Configuration(
      topology: try topology("entry"), node: "x", kinds: try KindRegistry(BuiltInKinds.all))
    let node = try Node(
      configuration, log: log, transport: SpyTransport(log), scheduler: loop, executor: loop)
    for cause in ["a short write", "no space left", "a short write"] {
      node.note(HyphaError(.logFull, "the log of x cannot grow", remedy: "free space", cause: cause))
    }
    node.note(HyphaError(.logFull, "the log of y cannot grow", remedy: "free space"))
    #expect(
      node.status().notes == [
        "logFull: the log of x cannot grow; free space (a short write)",
        "logFull: the log of y cannot grow; free space",
      ])
  }

  @Test func `a node that waits for its neighbours stops at once`() throws {
    let loop = SimulationLoop()
    let (log, _) = try memoryLog("x")
    let configuration = Node.Configuration(
      topology: try topology("entry"), node: "x", kinds: try KindRegistry(BuiltInKinds.all))
    let node = try Node(
      configuration, log: log, transport: SpyTransport(log, opensLinks: false), scheduler: loop,
      executor: loop)
    let began = loop.microseconds()
    loop.schedule(after: .milliseconds(10)) { Task(executorPreference: loop) { await node.stop() } }
    try loop.run { try await node.start() }
    #expect(loop.microseconds() - began == 10_000)
    #expect(node.status().notes.isEmpty)
  }

  @Test func `after a restart a deployment is complete only when all nodes know of all that is for them`() {
    var origin = NodeStatus(node: "x")
    (origin.workerCount, origin.finishedCount) = (1, 1)
    var other = NodeStatus(node: "y")
    #expect(DeploymentSummary([origin, other]).isComplete)
    var alerts = NodeStatus.ChannelStatus()
    (alerts.statedPairCount, alerts.handledPairCount) = (3, 4)
    other.channels["alert"] = alerts
    #expect(
      !DeploymentSummary([origin, other]).isComplete, "more was handled than stated, though nobody crashed")
    origin.hasRestarted = true
    origin.newestPositions = ["y": 9]
    other.toldThrough = ["x": 8]
    #expect(!DeploymentSummary([origin, other]).isComplete)
    other.toldThrough = ["x": 9]
    #expect(DeploymentSummary([origin, other]).isComplete)
    other.backlog = 1
    #expect(!DeploymentSummary([origin, other]).isComplete)
  }
}
