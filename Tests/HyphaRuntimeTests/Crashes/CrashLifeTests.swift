import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// Traps where it is told to, which ends its node's process.
private actor Trapper: Agent {
  static let handles = Handlers(Trapper.self)
    .on(Note.self) { try await $0.take($1, in: $2) }
    .on(Poke.self) { try $0.take($1, in: $2) }
  static let publishes: [any Event.Type] = [Echo.self]
  /// Ends the process of the agent's node.
  static let trap = Mutex<(@Sendable () -> Void)?>(nil)
  static let scheduler = Mutex<(any Scheduler)?>(nil)
  /// How many starts, and how many wakes, are still to trap.
  static let doomed = Mutex((starts: 0, wakes: 0))

  struct State: Codable, Equatable { var texts: [String] = [] }
  var state = State()

  /// A process that has trapped does nothing more: what comes back here finds its node halted.
  private func trap(_ isDue: Bool = true) throws {
    guard isDue else { return }
    Self.trap.withLock { $0 }?()
    throw CancellationError()
  }

  func start(in context: Context) throws {
    let isDue = Self.doomed.withLock { doomed in
      doomed.starts -= 1
      return doomed.starts >= 0
    }
    try trap(isDue)
    context.wake(after: .milliseconds(1))
  }

  func wake(in context: Context) throws {
    let isDue = Self.doomed.withLock { doomed in
      doomed.wakes -= 1
      return doomed.wakes >= 0
    }
    try trap(isDue)
  }

  private func take(_ note: Note, in context: Context) async throws {
    state.texts.append("\(note.text)#\(context.attempt)")
    try await context.publish(Echo(of: context.event?.id ?? .none))
    var words = note.text.split(separator: " ")
    if words.first == "late" {
      words.removeFirst()
      let scheduler = Self.scheduler.withLock { $0 }
      await withCheckedContinuation { continuation in
        scheduler?.schedule(after: .milliseconds(100)) { continuation.resume() }
      }
    }
    try trap(words.first == "trap" && context.attempt <= Int(words.last ?? "") ?? 0)
  }

  private func take(_ poke: Poke, in context: Context) throws {
    state.texts.append("poke \(poke.number)#\(context.attempt)")
    try trap(poke.number == 13)
  }
}

/// What is handled by a handler that does not suspend.
private struct Poke: Event {
  static let eventType: EventTypeName = "test.Poke"
  var number: Int
}

/// Publishes 20 pokes.
private actor Poker: Agent {
  static let publishes: [any Event.Type] = [Poke.self]
  static let finishes = true
  struct State: Codable { var next = 0 }
  var state = State()

  func start(in context: Context) async throws {
    while state.next < 20 {
      try await context.publish(Poke(number: state.next))
      state.next += 1
    }
    context.finish()
  }
}

/// Publishes a note every 250 ms, six of them, each of which ends the process some time after its handler has begun.
private actor Dripper: Agent {
  static let kind = "dripper"
  static let publishes: [any Event.Type] = [Note.self]
  static let finishes = true
  struct State: Codable { var count = 0 }
  var state = State()

  func start(in context: Context) { context.wake(after: .milliseconds(250)) }

  func wake(in context: Context) async throws {
    guard state.count < 6 else { return context.finish() }
    try await context.publish(Note(text: "late trap 9\(state.count)", author: "dripper"))
    state.count += 1
    context.wake(after: .milliseconds(250))
  }
}

/// What becomes of calls that end their node's process: one node, x, with those that trap, and `root` on y above them.
@Suite(.serialized) struct CrashLifeTests {
  private func deployment(
    _ texts: [String], starts: Int = 0, wakes: Int = 0, trappers: [String] = ["trapper"], pokes: Bool = true,
    drips: Bool = false, seed: UInt64 = 1,
    _ supervision: SupervisionSettings = SupervisionSettings(retry: RetryPolicy(jitterPercent: 0))
  ) throws -> SimulatedDeployment {
    let specs = (trappers + ["other"]).map { name in
      AgentSpec(
        id: AgentID(stringLiteral: name), kind: name == "other" ? "recorder" : "trapper", node: "x",
        reportsTo: "root",
        subscribes: ["test.Note", "test.Poke"].map { Subscription(type: EventTypeName(stringLiteral: $0)) })
    }
    let topology = try Topology(
      name: "traps", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(
          id: "writer", kind: "writer", node: "y", reportsTo: "root",
          settings: .object(["texts": .array(texts.map { .string($0) })])),
      ] + (pokes ? [AgentSpec(id: "poker", kind: "poker", node: "y", reportsTo: "root")] : [])
        + (drips ? [AgentSpec(id: "dripper", kind: "dripper", node: "y", reportsTo: "root")] : []) + specs,
      supervision: supervision)
    let deployment = SimulatedDeployment(
      topology,
      kinds: try KindRegistry(BuiltInKinds.all + [Writer.self, Trapper.self, Poker.self, Dripper.self]),
      seed: seed)
    let place = Unchecked(deployment)
    Trapper.trap.withLock { $0 = { place.deployment?.trap("x") } }
    Trapper.doomed.withLock { $0 = (starts, wakes) }
    Trapper.scheduler.withLock { $0 = deployment.loop }
    return deployment
  }

  /// Unchecked: a deployment and all that runs on it are of one thread.
  private final class Unchecked: @unchecked Sendable {
    weak var deployment: SimulatedDeployment?
    init(_ deployment: SimulatedDeployment) { self.deployment = deployment }
  }

  /// Runs to the end, as a launcher that starts again what has ended. Returns how often it had to.
  private func run(_ deployment: SimulatedDeployment) throws -> Int {
    var count = 0
    try? deployment.start()
    while !deployment.runToEnd(limit: .seconds(1)), count < 40 {
      guard deployment.node("x") == nil else { continue }
      count += 1
      try? deployment.start("x")
    }
    return count
  }

  private func state(_ deployment: SimulatedDeployment) throws -> [String] {
    let snapshot = try #require(try AgentSnapshot.read(of: "trapper", in: deployment.reader(of: "x")))
    return try JSON.decode(Trapper.State.self, from: snapshot.state).texts
  }

  private func stated<E: Event>(_ type: E.Type, _ deployment: SimulatedDeployment) throws -> [E] {
    try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.source == .stated && $0.record.header.type == E.eventType }.map { try E.decode($0.record) }
  }

  private let pokes = (0..<20).filter { $0 != 13 }.map { "poke \($0)#1" }

  @Test func `what a process ends on is tried as the policy has it, and put aside; the rest goes on`() throws
  {
    let deployment = try deployment(["trap 99", "plain 1", "trap 2", "plain 2"])
    // Four further attempts at the one, two at the other, and four more at the poke.
    let count = try run(deployment)
    #expect((5...15).contains(count), "\(count)")
    let texts = try state(deployment)
    #expect(
      Set(texts) == Set(pokes + ["plain 1#1", "plain 2#1", "trap 2#3"]) && texts.count == 22, "\(texts)")
    let letters = try DeadLetter.open(in: deployment.reader(of: "x")).map(\.failure)
    #expect(letters.map(\.attempts) == [5, 5])
    #expect(letters.allSatisfy { $0.error.contains("ended with signal 4 (illegal instruction)") })
    let failures = try stated(HandlerFailed.self, deployment)
    #expect(failures.compactMap(\.attempt).sorted() == [1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5])
    #expect(try stated(Echo.self, deployment).count == 3)
  }

  @Test func `a start that ends the process is tried as often as a start may fail, and tells the supervisor`()
    throws
  {
    let supervision = SupervisionSettings(retry: RetryPolicy(jitterPercent: 0), restartCountMax: 2)
    let deployment = try deployment(["plain 1"], starts: .max, supervision)
    try? deployment.start()
    for _ in 0..<10 {
      deployment.run(for: .seconds(2))
      if deployment.node("x") == nil { try? deployment.start("x") }
    }
    #expect(deployment.node("x") != nil)
    let stopped = try stated(AgentStopped.self, deployment)
    #expect(stopped.count == 1)
    #expect(stopped.first?.reason.contains("while it began, 3 times in a row") ?? false, "\(stopped)")
    // Its neighbour works.
    let other = try deployment.reader(of: "x").cursor(CursorKey(agent: "other", channel: .persistent))
    #expect(other?.handledCount == 21)
    // Who starts the node by hand has it tried again: it may be another program.
    Trapper.doomed.withLock { $0 = (0, 0) }
    deployment.kill("x")
    #expect(try run(deployment) < 10)
    #expect(try Set(state(deployment)).isSuperset(of: ["plain 1#1", "poke 12#1"]))
  }

  @Test func `starts and wakes that end the process now and then are forgotten when one comes back`() throws {
    let supervision = SupervisionSettings(
      retry: RetryPolicy(jitterPercent: 0, attemptCountMax: 1), restartCountMax: 2)
    let deployment = try deployment(["plain 1"], starts: 2, wakes: 2, supervision)
    _ = try run(deployment)
    #expect(try stated(AgentStopped.self, deployment).isEmpty)
    #expect(try state(deployment).contains("plain 1#1"))
    #expect(try stated(HandlerFailed.self, deployment).count { $0.event == nil } == 4)
  }

  @Test func `of several agents that end their node's process each end counts for the one it was of`() throws
  {
    let supervision = SupervisionSettings(retry: RetryPolicy(jitterPercent: 0, attemptCountMax: 2))
    for seed in 1...10 as ClosedRange<UInt64> {
      let deployment = try deployment(
        ["trap 99", "plain 1"], trappers: ["trapper", "second", "third"], seed: seed, supervision)
      // Two attempts of each at the note and at the poke: what one's end was to count for is not forgotten where another's
      // comes before it is in the log.
      let count = try run(deployment)
      #expect(count == 12, "seed \(seed)")
      let letters = try DeadLetter.open(in: deployment.reader(of: "x")).map(\.failure)
      #expect(letters.map(\.attempts) == Array(repeating: 2, count: 6), "seed \(seed)")
      #expect(try stated(HandlerFailed.self, deployment).count == 12, "seed \(seed)")
    }
  }

  @Test func `of several events that end the process in turns each attempt counts once`() throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      // Their further attempts come due in any order, beside each other and beside what comes for the first time.
      let retry = RetryPolicy(
        initial: .milliseconds(Int64(seed) * 10), factor: 1, jitterPercent: 100, attemptCountMax: 4)
      let deployment = try deployment(
        ["plain 1"], pokes: false, drips: true, seed: seed, SupervisionSettings(retry: retry))
      let count = try run(deployment)
      #expect(count == 24, "seed \(seed)")
      let letters = try DeadLetter.open(in: deployment.reader(of: "x")).map(\.failure)
      #expect(letters.map(\.attempts) == [4, 4, 4, 4, 4, 4], "seed \(seed)")
      let attempts = try stated(HandlerFailed.self, deployment).compactMap(\.attempt)
      #expect(attempts.sorted() == (1...4).flatMap { Array(repeating: $0, count: 6) }, "seed \(seed)")
    }
  }

  @Test func `a call that is in the log as failed does not count again when the process ends by other means`()
    throws
  {
    let deployment = try deployment(["trap 99"], pokes: false)
    try? deployment.start()
    var count = 0
    for _ in 0..<100 {
      deployment.run(for: .milliseconds(300))
      if deployment.node("x") == nil { count += 1 } else { deployment.kill("x") }
      try? deployment.start("x")
    }
    // Each attempt was made.
    #expect(count == 5)
    #expect(try DeadLetter.open(in: deployment.reader(of: "x")).map(\.failure.attempts) == [5])
  }

  @Test func `an agent that is to stop at its first failure stops at a trap`() throws {
    let supervision = SupervisionSettings(
      retry: RetryPolicy(jitterPercent: 0), strategy: .stop, restartCountMax: 2)
    let deployment = try deployment(["trap 99", "plain 1"], supervision)
    try? deployment.start()
    for _ in 0..<10 {
      deployment.run(for: .seconds(2))
      if deployment.node("x") == nil { try? deployment.start("x") }
    }
    #expect(deployment.node("x") != nil)
    #expect(try stated(AgentStopped.self, deployment).count == 1)
  }
}
