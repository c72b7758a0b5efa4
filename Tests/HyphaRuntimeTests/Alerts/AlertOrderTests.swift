import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// Rings again and again, faster than anybody answers.
private struct Ring: Event {
  static let eventType: EventTypeName = "test.Ring"
  static let channel = Channel.alert
  var number: Int
}

/// Rings a hundred times, a millisecond apart.
private actor EagerCaller: Agent {
  static let kind = "eager"
  static let handles = Handlers(EagerCaller.self)
  static let publishes: [any Event.Type] = [Ring.self]
  struct State: Codable { var count = 0 }
  var state = State()

  func start(in context: Context) async throws { context.wake(after: .milliseconds(1)) }

  func wake(in context: Context) async throws {
    state.count += 1
    try await context.publish(Ring(number: state.count), to: "porter")
    if state.count < 100 { context.wake(after: .milliseconds(1)) }
  }
}

/// Takes three milliseconds for each ring.
private actor Porter: Agent {
  static let kind = "porter"
  static let settingNames: Set<String> = ["run"]
  /// The clocks of the runs that go on.
  static let schedulers = Mutex<[String: any Scheduler]>([:])
  static let handles = Handlers(Porter.self)
    .on(Ring.self) { agent, ring, context in
      if let scheduler = agent.scheduler {
        await withCheckedContinuation { continuation in
          scheduler.schedule(after: .milliseconds(3)) { continuation.resume() }
        }
      }
      agent.state.numbers.append(ring.number)
    }
  struct State: Codable { var numbers: [Int] = [] }
  struct Settings: Decodable { var run: String }

  var state = State()
  private var scheduler: (any Scheduler)?

  func start(in context: Context) async throws {
    let run = try context.settings(Settings.self).run
    scheduler = Self.schedulers.withLock { $0[run] }
  }
}

/// Alerts of one lane that come faster than they are handled.
@Suite struct AlertOrderTests {
  @Test(arguments: [true, false])
  func `alerts are handled in the order of their lane, whatever comes while one is handled`(far: Bool) throws
  {
    let run = UUID().uuidString
    let topology = try Topology(
      name: "rings", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "eager", kind: EagerCaller.kind, node: "x", reportsTo: "root"),
        AgentSpec(
          id: "porter", kind: Porter.kind, node: far ? "y" : "x", reportsTo: "root",
          settings: .object(["run": .string(run)])),
      ], alerts: AlertSettings(deadline: .seconds(10), redelivery: .milliseconds(200)))
    let kinds = try KindRegistry(BuiltInKinds.all + [EagerCaller.self, Porter.self])
    let deployment = SimulatedDeployment(topology, kinds: kinds, seed: 5)
    Porter.schedulers.withLock { $0[run] = deployment.loop }
    try deployment.start()
    deployment.run(for: .seconds(5))
    let log = try deployment.reader(of: far ? "y" : "x")
    let snapshot = try #require(try log.snapshot(of: "porter"))
    #expect(try JSON.decode(Porter.State.self, from: snapshot).numbers == Array(1...100))
    // Each is answered once, in that order, and not all at the end.
    let entries = try log.read(after: .start, limit: .max, byteLimit: .max)
    let rings = entries.filter { $0.record.header.type == Ring.eventType }
    let answers = entries.filter { $0.record.header.type == AlertAcknowledged.eventType }
    #expect(answers.map(\.record.header.causation) == rings.map(\.record.header.id))
    let first = try #require(answers.first), last = try #require(answers.last)
    #expect(last.appendedAt.since(first.appendedAt) > .milliseconds(200))
    try deployment.stop()
  }
}
