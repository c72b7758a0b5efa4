import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// Gives each note on to `reader` as a program would that does not know the type: as bytes, in its first version. Some texts make
/// it misbehave.
private actor Parrot: Agent {
  static let handles = Handlers(Parrot.self).onOthers { try await $0.repeats($1, in: $2) }

  struct State: Codable, Equatable {
    var types: [String] = []
    var errors: [String] = []
  }
  var state = State()

  private func repeats(_ record: Record, in context: Context) async throws {
    state.types.append(record.type.text)
    let text = try record.withPayload { try JSON.decode(JSONValue.self, from: $0) }["text"] ?? .null
    let payload = Array(try JSON.encode(["text": text]))
    func attempt(_ event: RawEvent, to addressee: AgentID? = nil) {
      do { try context.publish(event, to: addressee) } catch { state.errors.append("\(error)") }
    }
    switch text.text {
    case "undeclared": attempt(RawEvent(type: "test.Other", payload: payload))
    case "bus": attempt(RawEvent(type: "hypha.AgentStopped", payload: payload))
    case "nobody": attempt(RawEvent(type: "test.Note", payload: payload), to: "nobody")
    case "zero": attempt(RawEvent(type: "test.Note", schemaVersion: 0, payload: payload), to: "reader")
    case "big": attempt(RawEvent(type: "test.Note", payload: Array(repeating: 0, count: 2 << 20)))
    default: break
    }
    try context.publish(RawEvent(type: "test.Note", payload: payload), to: "reader")
    if text.text == "throw" { throw HyphaError(.failed, "on purpose") }
    if text.text == "leave" { throw NodeStops() }
  }
}

/// Cries out as an alert what each note says, as a program would that does not know the type.
private actor Crier: Agent {
  static let handles = Handlers(Crier.self).onOthers { try await $0.cry($1, in: $2) }
  static let settingNames: Set<String> = ["alerts"]

  static func alertTypes(_ settings: JSONValue) -> Set<EventTypeName> {
    guard case .array(let names)? = settings["alerts"] else { return [] }
    return Set(names.compactMap { try? EventTypeName($0.text ?? "") })
  }

  var state: [String] = []

  private func cry(_ record: Record, in context: Context) async throws {
    let text = try record.withPayload { try JSON.decode(JSONValue.self, from: $0) }["text"] ?? .null
    let payload = Array(try JSON.encode(["text": text]))
    for (type, channel, within) in [
      ("test.Call", .alert, .seconds(3)), ("test.Call", .persistent, nil),
      ("test.Note", .alert, nil),
      ("test.Call", .alert, .zero), ("test.Call", .realtime, nil),
    ] as [(EventTypeName, Channel, Duration?)] {
      do {
        try context.publish(
          RawEvent(type: type, payload: payload, channel: channel), within: within)
      } catch { state.append("\(error)") }
    }
  }
}

/// An agent that nothing in a simulation could answer.
private actor Outsider: Agent {
  static let reachesOutside = true
}

@Suite struct OpenKindTests {
  private func deployment(
    _ texts: [String], far: Bool = true, subscribes: [Subscription] = [Subscription(type: "test.Note")],
    to addressee: String? = nil
  ) throws -> SimulatedDeployment {
    var settings: [String: JSONValue] = ["texts": .array(texts.map { .string($0) })]
    if let addressee { settings["to"] = .string(addressee) }
    let topology = try Topology(
      name: "open", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(
          id: "parrot", kind: "parrot", node: far ? "y" : "x", reportsTo: "root",
          publishes: ["test.Note", "hypha.AgentStopped"], subscribes: subscribes),
        AgentSpec(id: "reader", kind: "reader", node: "x", reportsTo: "root"),
        AgentSpec(id: "writer", kind: "writer", node: "x", reportsTo: "root", settings: .object(settings)),
      ], supervision: SupervisionSettings(retry: RetryPolicy(attemptCountMax: 1)))
    let kinds = try KindRegistry(BuiltInKinds.all + [Writer.self, Reader.self, Parrot.self])
    let deployment = SimulatedDeployment(topology, kinds: kinds, seed: 1)
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    return deployment
  }

  private func state<Kind: Agent>(_ agent: AgentID, _ kind: Kind.Type, _ deployment: SimulatedDeployment)
    throws
    -> Kind.State
  {
    let node: NodeID = deployment.node("x")?.routes.node(of: agent) ?? "x"
    return try deployment.state(of: agent, Kind.self, in: deployment.reader(of: node))
  }

  @Test(arguments: [true, false])
  func `an open kind takes and publishes types that only the topology file names`(far: Bool) throws {
    let deployment = try deployment(["one", "throw", "two"], far: far)
    let parrot = try state("parrot", Parrot.self, deployment)
    #expect(parrot == .init(types: ["test.Note", "test.Note"]))
    let reader = try state("reader", Reader.self, deployment)
    #expect(reader.texts == ["one", "two"], "what a handler that threw has published is discarded")
    #expect(reader.authors == ["unknown", "unknown"], "the reader upcasts what it gets")
    let notes = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      .filter { $0.type == "test.Note" }
    let given = notes.filter { $0.agent == "writer" }
    let repeated = notes.filter { $0.agent == "parrot" }
    #expect(repeated.map(\.causation) == [given[0].id, given[2].id])
    #expect(repeated.allSatisfy { $0.addressee == "reader" && $0.header.authority.principal == "parrot" })
    try deployment.stop()
  }

  @Test func `an open kind publishes nothing that the file does not name, and nothing of the bus's`() throws {
    let deployment = try deployment(["undeclared", "bus", "nobody", "zero", "big"])
    let errors = try state("parrot", Parrot.self, deployment).errors
    #expect(errors.count == 5)
    #expect(errors[0].contains("publishes test.Other, which the topology file does not let it"))
    #expect(errors[1].contains("publishes hypha.AgentStopped, which the topology file does not let it"))
    #expect(errors[2].contains("to 'nobody', which does not exist"))
    #expect(errors[3].contains("schema version 0") && errors[4].hasPrefix("tooLarge: "))
    // The rest of what it did holds.
    #expect(try state("reader", Reader.self, deployment).texts.count == 5)
    try deployment.stop()
  }

  @Test func `an open kind takes no type that it is not subscribed to`() throws {
    let deployment = try deployment(["one"], subscribes: [], to: "parrot")
    #expect(try state("parrot", Parrot.self, deployment) == .init())
    try deployment.stop()
  }

  @Test func `a handler that leaves while its node does not stop has failed`() throws {
    let deployment = try deployment(["leave", "one"])
    #expect(try state("parrot", Parrot.self, deployment).types == ["test.Note"])
    #expect(try DeadLetter.open(in: deployment.reader(of: "y")).map(\.failure.error) == ["NodeStops()"])
    try deployment.stop()
  }

  @Test func `an open kind publishes the alerts that the file names, which are answered or go up`()
    throws
  {
    let topology = try Topology(
      name: "cries", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(
          id: "crier", kind: "crier", node: "y", reportsTo: "root",
          publishes: ["test.Call", "test.Note"],
          subscribes: [Subscription(type: "test.Note")],
          settings: .object(["alerts": .array([.string("test.Call")])])),
        AgentSpec(
          id: "taker", kind: Taker.kind, node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Call")],
          settings: .object(["run": .string("none")])),
        AgentSpec(
          id: "writer", kind: "writer", node: "x", reportsTo: "root",
          settings: .object(["texts": .array([.string("once"), .string("never")])])),
      ], alerts: AlertSettings(deadline: .seconds(60), redelivery: .milliseconds(200)))
    let kinds = try KindRegistry(BuiltInKinds.all + [Writer.self, Crier.self, Taker.self])
    let deployment = SimulatedDeployment(topology, kinds: kinds, seed: 1)
    try deployment.start()
    deployment.run(for: .seconds(10))
    let errors = try state("crier", Crier.self, deployment)
    #expect(errors.count == 8)
    #expect(
      errors[0].contains(
        "publishes test.Call on the channel persistent, and the topology file has it on alert"))
    #expect(
      errors[1].contains(
        "publishes test.Note on the channel alert, and the topology file has it on persistent"))
    #expect(errors[2].contains("to be answered within"))
    #expect(errors[3].contains("publishes test.Call on the channel realtime"))
    let stated = try deployment.reader(of: "y").read(after: .start, limit: .max, byteLimit: .max)
      .map(\.record)
    let calls = stated.filter { $0.type == "test.Call" }
    #expect(calls.count == 2 && calls.allSatisfy { $0.channel == .alert && $0.agent == "crier" })
    let answers = stated.filter { $0.type == AlertAcknowledged.eventType && $0.agent == "taker" }
    #expect(answers.map(\.causation) == [calls[0].id])
    let escalations = stated.filter { $0.type == AlertEscalated.eventType }
    #expect(escalations.first?.addressee == "root" && escalations.first?.causation == calls[1].id)
    // By its own deadline, not by the deployment's.
    #expect((escalations.first?.time.since(calls[1].time) ?? .zero) < .seconds(4))
    try deployment.stop()
  }

  @Test func `what reaches outside of its node is not simulated`() throws {
    let topology = try Topology(
      name: "out", nodes: [NodeSpec(id: "x")], agents: [AgentSpec(id: "root", kind: "outsider", node: "x")])
    let deployment = SimulatedDeployment(topology, kinds: try KindRegistry([Outsider.self]), seed: 1)
    let error = #expect(throws: HyphaError.self) { try deployment.start() }
    #expect(error?.description.contains("agent 'root' of kind 'outsider'") == true)
  }
}
