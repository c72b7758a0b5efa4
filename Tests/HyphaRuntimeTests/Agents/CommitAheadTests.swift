import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

private struct Tick: Event {
  static let eventType: EventTypeName = "test.Tick"
  static let channel = Channel.realtime
  static let timeToLive = Duration.seconds(60)
  var sentAt: UInt64
}

private struct HowMany: Question {
  typealias Answer = Int
}

/// What the agents of a test saw.
private final class Sights: Sendable {
  /// How long each tick had been on its way when it was handled, in microseconds.
  let waits = Mutex<[UInt64]>([])
  /// Each answer, and what the log had committed of who gave it when it came.
  let answers = Mutex<[(answer: Int, committed: Int)]>([])
  let log: any LogReader
  /// Which of the things that the ticker does are questions.
  let askEvery: Int
  static let current = Mutex<Sights?>(nil)

  init(_ log: any LogReader, askEvery: Int) {
    self.log = log
    self.askEvery = askEvery
  }

  func committedCount() throws -> Int {
    guard let snapshot = try AgentSnapshot.read(of: "counter", in: log) else { return 0 }
    return try JSON.decode(Counter.State.self, from: snapshot.state).count
  }
}

/// Counts ticks, and says how many there were.
private actor Counter: Agent {
  static let kind = "counter"
  static let handles = Handlers(Counter.self)
    .on(Tick.self) { agent, tick, context in
      agent.state.count += 1
      let wait = context.now.microseconds - tick.sentAt
      Sights.current.withLock { $0 }?.waits.withLock { $0.append(wait) }
    }
    .answer(HowMany.self) { agent, _, _ in agent.state.count }
  struct State: Codable, Equatable { var count = 0 }
  var state = State()
}

/// Does something every 100 µs: it ticks, and now and then asks.
private actor Ticker: Agent {
  static let kind = "ticker"
  static let publishes: [any Event.Type] = [Tick.self]
  static let finishes = true
  private var count = 0

  func start(in context: Context) { context.wake(after: .microseconds(100)) }

  func wake(in context: Context) async throws {
    count += 1
    if let sights = Sights.current.withLock({ $0 }), count.isMultiple(of: sights.askEvery) {
      let answer = try await context.ask("counter", HowMany(), within: .seconds(10))
      let committed = try sights.committedCount()
      sights.answers.withLock { $0.append((answer, committed)) }
    } else {
      try await context.publish(Tick(sentAt: context.now.microseconds), to: "counter")
    }
    if count <= 40 { context.wake(after: .microseconds(100)) } else { context.finish() }
  }
}

/// An agent handles what comes while what it has done before is being committed.
@Suite(.serialized) struct CommitAheadTests {
  private func run(commitDelay: ClosedRange<Duration>, askEvery: Int) throws -> Sights {
    let topology = try Topology(
      name: "ahead", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "counter", kind: Counter.kind, node: "x", reportsTo: "root"),
        AgentSpec(id: "ticker", kind: Ticker.kind, node: "x", reportsTo: "root"),
      ])
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Counter.self, Ticker.self]), seed: 1,
      commitDelay: commitDelay)
    let sights = Sights(try deployment.reader(of: "x"), askEvery: askEvery)
    Sights.current.withLock { $0 = sights }
    defer { Sights.current.withLock { $0 = nil } }
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    // Whoever is done has all of it committed.
    #expect(try sights.committedCount() == sights.waits.withLock { $0.count })
    try deployment.stop()
    return sights
  }

  @Test func `what comes during a commit is handled at once, and what comes during the next one waits`()
    throws
  {
    let sights = try run(commitDelay: .milliseconds(1)...(.milliseconds(1)), askEvery: 4)
    let waits = sights.waits.withLock { $0 }
    try #require(waits.count == 31)
    // The first three find the commit of the start on its way. After an answer nothing is: of three the first is
    // committed from now on, the second is handled meanwhile, and as its commit waits for that one so does the third.
    for index in 3..<31 {
      #expect((waits[index] > 0) == (index % 3 == 2), "\(waits)")
    }
  }

  @Test func `an answer waits for the commit of what it tells`() throws {
    let sights = try run(commitDelay: .microseconds(200)...(.milliseconds(3)), askEvery: 2)
    let answers = sights.answers.withLock { $0 }
    #expect(answers.count == 20 && answers.map(\.answer) == Array(1...20))
    for (answer, committed) in answers { #expect(committed >= answer) }
  }

  @Test func `who has not committed is not done`() throws {
    // Longer than it takes to see that all are done.
    let sights = try run(commitDelay: .seconds(5)...(.seconds(5)), askEvery: .max)
    #expect(sights.waits.withLock { $0.count } == 41)
  }
}
