import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// Adds the lengths of the notes that it gets, each as an event of its own.
struct Added: Event {
  static let eventType: EventTypeName = "test.Added"
  var amount: Int
}

private struct Tally: Codable, Equatable {
  var total = 0
  var count = 0
}

private actor Counter: Agent {
  static let handles = Handlers(Counter.self).on(Note.self) { try await $0.add($1, in: $2) }
  static let publishes: [any Event.Type] = [Added.self]
  static let evolves = Evolution(Tally.self).on(Added.self) { state, event in
    applied.withLock { $0 += 1 }
    state.total += event.amount
    state.count += 1
  }
  static let snapshotEvery = 5
  static let applied = Mutex(0)

  var state = Tally()

  private func add(_ note: Note, in context: Context) async throws {
    let before = state.count
    try await context.publish(Added(amount: note.text.utf8.count))
    guard state.count == before + 1 else { throw HyphaError(.failed, "the state has not evolved") }
    if note.text == "throw" { throw HyphaError(.invalidPayload, "on purpose") }
    if note.text == "outside" { try await Outsider().add(in: context) }
  }
}

/// Publishes in another's name.
private actor Outsider {
  func add(in context: Context) async throws { try await context.publish(Added(amount: 1_000_000)) }
}

/// The same in its second version: it counts the largest, too.
private struct NewTally: Codable, Equatable {
  var total = 0
  var count = 0
  var largest = 0
}

private actor NewCounter: Agent {
  static let kind = Counter.kind
  static let handles = Handlers(NewCounter.self).on(Note.self) { try await $0.add($1, in: $2) }
  static let publishes: [any Event.Type] = [Added.self]
  static let evolves = Evolution(NewTally.self).on(Added.self) { state, event in
    state.total += event.amount
    state.count += 1
    state.largest = max(state.largest, event.amount)
  }
  static let stateVersion: UInt16 = 2

  var state = NewTally()

  private func add(_ note: Note, in context: Context) async throws {
    try await context.publish(Added(amount: note.text.utf8.count))
  }
}

/// The same, checkpointed often.
private actor OftenCounter: Agent {
  static let kind = Counter.kind
  static let handles = Handlers(OftenCounter.self).on(Note.self) { agent, note, context in
    try await context.publish(Added(amount: note.text.utf8.count))
  }
  static let publishes: [any Event.Type] = [Added.self]
  static let evolves = Evolution(Tally.self).on(Added.self) { state, event in
    state.total += event.amount
    state.count += 1
  }
  static let snapshotEvery = 5
  static let checkpointEvery = 4

  var state = Tally()
}

@Suite(.serialized) struct EventSourcedTests {
  private let stores = MemoryLogStore(identity: LogIdentity(id: EventID(high: 7, low: 7), node: "x"))

  private func topology(_ texts: [String]) throws -> Topology {
    try Topology(
      name: "sums", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(
          id: "counter", kind: Counter.kind, node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Note")]),
        AgentSpec(
          id: "writer", kind: "writer", node: "x", reportsTo: "root",
          settings: .object(["texts": .array(texts.map { .string($0) })])),
      ], supervision: SupervisionSettings(retry: RetryPolicy(attemptCountMax: 1)))
  }

  private func deployment(_ texts: [String], as counter: any Agent.Type = Counter.self) throws
    -> SimulatedDeployment
  {
    SimulatedDeployment(
      try topology(texts), kinds: try KindRegistry(BuiltInKinds.all + [Writer.self, counter]), seed: 1)
  }

  private func texts(_ count: Int) -> [String] { (0..<count).map { String(repeating: "x", count: $0 % 11) } }
  private func tally(_ texts: [String]) -> Tally {
    Tally(total: texts.map(\.utf8.count).reduce(0, +), count: texts.count)
  }

  /// The state as a restart finds it.
  private func restored(_ deployment: SimulatedDeployment) throws
    -> StateRestoration<Counter>.Restored
  {
    let log = try deployment.reader(of: "x")
    return try StateRestoration<Counter>.restore(
      Tally(), from: AgentSnapshot.read(of: "counter", in: log), of: "counter", in: log, epoch: .max)
  }

  @Test(arguments: [1, 4, 5, 6, 23]) func `snapshot and tail together give the state`(count: Int) throws {
    let deployment = try deployment(texts(count))
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let found = try restored(deployment)
    #expect(found.state == tally(texts(count)))
    #expect(found.replayedCount < 5 + 1 + 128, "\(found.replayedCount)")
    let snapshot = try #require(try AgentSnapshot.read(of: "counter", in: deployment.reader(of: "x")))
    #expect(snapshot.coverage != nil)
    try deployment.stop()
  }

  @Test func `what was committed with a snapshot is not read again with what came after it`() throws {
    let deployment = try deployment(texts(6))
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    for text in ["seven", "eight"] {
      try deployment.publish(Note(text: text, author: "test"), from: "writer", to: "counter")
      #expect(deployment.settle(limit: .seconds(10)))
    }
    let found = try restored(deployment)
    #expect(found.state == tally(texts(6) + ["seven", "eight"]) && found.replayedCount == 2)
    try deployment.stop()
  }

  @Test func `an agent killed at any moment comes back with the state that its events give`() throws {
    for seed in seeds(10) { try killAgainAndAgain(seed) }
  }

  private func killAgainAndAgain(_ seed: UInt64) throws {
    let all = texts(60)
    let deployment = try deployment(all)
    try deployment.start()
    var random = SeededGenerator(seed: seed)
    for _ in 0..<12 {
      deployment.run(for: .microseconds(Int64(random.next() % 900)))
      deployment.kill("x")
      let stated = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
        .filter { $0.record.header.type == Added.eventType }.map { try Added.decode($0.record).amount }
      let found = try restored(deployment)
      #expect(
        found.state == Tally(total: stated.reduce(0, +), count: stated.count),
        "HYPHA_SEED=\(seed)")
      try deployment.start("x")
    }
    #expect(deployment.runToEnd(limit: .seconds(60)))
    #expect(try restored(deployment).state == tally(all))
    try deployment.stop()
  }

  // MARK: Past states

  private func steps(_ log: any LogReader, as counter: any Agent.Type = Counter.self) async throws
    -> [StateStep]
  {
    var steps: [StateStep] = []
    let kinds = try KindRegistry(BuiltInKinds.all + [Writer.self, counter])
    try await kinds.visitStates(of: "counter", kind: Counter.kind, in: log) {
      steps.append($0)
      return true
    }
    return steps
  }

  /// The state at a place: nil where it is not known.
  private func state(_ steps: [StateStep], at position: Position) throws -> JSONValue? {
    let step = steps.last { $0.place.map { $0.position <= position } ?? true }
    return step?.unknown == nil ? try step?.state() : nil
  }

  @Test func `what a gap has swallowed is not known, and what was before it or saved after it is`()
    async throws
  {
    let deployment = try deployment(texts(23))
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    // Each of these comes to be saved, or not, by itself.
    for text in ["one", "two", "three", "four", "five", "six", "seven"] {
      try deployment.publish(Note(text: text, author: "test"), from: "writer", to: "counter")
      #expect(deployment.settle(limit: .seconds(10)))
    }
    let log = try deployment.reader(of: "x")
    let whole = try await steps(log)
    let end = try log.head()
    let saved = try #require(try AgentSnapshot.read(of: "counter", in: log)?.coverage)
    let own = try log.read(after: .start, limit: .max, byteLimit: .max).filter {
      $0.record.agent == "counter" && $0.record.channel == .persistent
    }
    let savedAt = try #require(own.last { $0.record.point <= saved.point }).position
    #expect(savedAt < end && own.contains { $0.position > savedAt })
    for (pruned, first, last) in [
      (true, Position.start.next, own[own.count / 2].position),
      (false, own[4].position, own[7].position), (true, Position.start.next, savedAt),
      (false, own[own.count - 1].position, end), (false, own[2].position, savedAt.next),
    ] {
      let steps = try await steps(GappedReader(log, lost: first...last, pruned: pruned))
      #expect(steps.contains { $0.unknown != nil })
      for place in 1...end.rawValue {
        let position = Position(rawValue: place)
        let found = try state(steps, at: position)
        // Nothing is shown that was not so.
        if let found {
          #expect(try found == state(whole, at: position), "at \(place) of \(first) to \(last)")
        }
        #expect(found != nil || position >= first, "at \(place) of \(first) to \(last)")
      }
      let isSavedBehind = !own.contains {
        $0.record.point > saved.point && (first...last).contains($0.position)
      }
      #expect(try (state(steps, at: end) != nil) == isSavedBehind, "\(first) to \(last)")
      let error = try #require(steps.compactMap(\.unknown).first)
      #expect("\(error)".contains("events that the log has lost: positions \(first) to \(last) were "))
    }
    // What is not the agent's does not matter.
    let other = try #require(
      try log.read(after: .start, limit: .max, byteLimit: .max).last { $0.record.agent == "writer" })
    let untouched = GappedReader(log, lost: other.position...other.position, pruned: false)
    #expect(try await steps(untouched).count == whole.count)
    try deployment.stop()
  }

  @Test func `behind a prune a state is known from the first checkpoint on, and a re-run begins there`()
    async throws
  {
    let deployment = try deployment([], as: OftenCounter.self)
    try deployment.start()
    for number in 1...40 {
      try deployment.publish(
        Note(text: String(repeating: "n", count: number), author: "test"), from: "writer", to: "counter")
      #expect(deployment.settle(limit: .seconds(10)))
      // What a checkpoint itself is of the agent's events, no prune need leave for the state.
      let log = try deployment.reader(of: "x")
      let lane = Lane(agent: "counter", channel: .persistent, target: .type(.stateCheckpointed))
      if let head = try log.laneHead(lane), let entry = try log.entry(at: head.position) {
        let coverage = try #require(try AgentSnapshot.read(of: "counter", in: log)?.coverage)
        #expect(coverage.point >= entry.record.point)
      }
      if number % 13 == 0 {
        deployment.kill("x")
        try deployment.start("x")
      }
    }
    let log = try deployment.reader(of: "x")
    try deployment.stop()
    let whole = try await steps(log, as: OftenCounter.self)
    let entries = try log.read(after: .start, limit: .max, byteLimit: .max)
    let checkpoints = entries.filter { $0.record.type == .stateCheckpointed && $0.record.agent == "counter" }
    #expect(checkpoints.count >= 7)
    let (end, newest) = (try log.head(), try #require(checkpoints.last).position)
    for last in entries.map(\.position) where last < newest {
      let gapped = GappedReader(log, lost: Position.start.next...last, pruned: true)
      let found = try await steps(gapped, as: OftenCounter.self)
      let checkpoint = try #require(checkpoints.first { $0.position > last }).position
      for place in last.rawValue...end.rawValue {
        let position = Position(rawValue: place)
        let state = try state(found, at: position)
        if let state { #expect(try state == self.state(whole, at: position), "\(place) behind \(last)") }
        #expect(state != nil || position < checkpoint, "\(place) behind \(last)")
      }
      let kinds = try KindRegistry(BuiltInKinds.all + [Writer.self, OftenCounter.self])
      var outcomes: [RerunOutcome] = []
      let summary = try await Rerun(topology([]), kinds: kinds, log: gapped, agents: ["counter"]).run {
        outcomes.append($0)
        return true
      }
      #expect(summary.notRun.isEmpty && summary.differenceCount == 0, "\(last): \(outcomes.map(\.brief))")
      // What it was given behind the first checkpoint is given to it again whose unhandled inputs are there.
      let first = try checkpoints.first {
        try $0.position > last && StateCheckpointed.decode($0.record).handledThrough >= last.rawValue
      }
      let begin = first?.position ?? end
      let left = entries.count { $0.position > begin && $0.record.type == Note.eventType }
      #expect(outcomes.count { $0.call == .event } >= left, "behind \(last)")
    }
  }

  @Test func `a restart saves what it has read, so that the next one reads nothing`() throws {
    let deployment = try deployment(texts(8))
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    deployment.kill("x")
    try deployment.start("x")
    deployment.run(for: .seconds(1))
    #expect(try restored(deployment).replayedCount == 0 && restored(deployment).state == tally(texts(8)))
    #expect(try RestartNeeds.guards(in: deployment.reader(of: "x")).isEmpty, "nothing holds a prune back")
    try deployment.stop()
  }

  @Test func `a handler that throws leaves the state, and what follows from it, as it was`() throws {
    let deployment = try deployment(["abc", "throw", "de"])
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    #expect(try restored(deployment).state == Tally(total: 5, count: 2))
    try deployment.stop()
  }

  @Test func `a state does not evolve behind the agent's back`() throws {
    let deployment = try deployment(["abc", "outside", "de"])
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    #expect(try restored(deployment).state == Tally(total: 5, count: 2))
    let failures = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.record.header.type == HandlerFailed.eventType }
      .map { try HandlerFailed.decode($0.record).error }
    #expect(
      failures == [
        "agentFailed: test.Added is published from outside of the agent whose state evolves by it; publish it in a "
          + "method of the agent, not in a detached task or another actor"
      ])
    try deployment.stop()
  }

  @Test func `a state of an older version is made anew from the events`() throws {
    let all = texts(23)
    let deployment = try deployment(all)
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let log = try deployment.reader(of: "x")
    let found = try StateRestoration<NewCounter>.restore(
      NewTally(), from: AgentSnapshot.read(of: "counter", in: log), of: "counter", in: log, epoch: .max)
    #expect(found.state == NewTally(total: tally(all).total, count: 23, largest: 10))
    #expect(found.replayedCount == 23)
    try deployment.stop()
  }

  @Test func `a prune leaves what the state has not seen`() throws {
    let deployment = try deployment(texts(3))
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let log = try deployment.reader(of: "x")
    let guards = try RestartNeeds.guards(in: log)
    #expect(guards.map(\.name) == ["the state of agent 'counter'"])
    let first = try #require(
      try log.read(after: .start, limit: .max, byteLimit: .max).first {
        $0.record.header.type == Added.eventType
      })
    #expect(try #require(guards.first).through < first.position)
    try deployment.stop()
  }

  @Test func `a state can evolve only by what the agent states, durably`() {
    #expect {
      try KindRegistry([EvolvesByAlerts.self])
    } throws: { error in
      "\(error)"
        == "invalidTopology: the state of kind 'evolvesbyalerts' evolves by test.Bell, which is of the channel alert; let it "
        + "evolve by events of the persistent channel alone"
    }
    #expect {
      try KindRegistry([EvolvesByOthers.self])
    } throws: { error in
      "\(error)"
        == "invalidTopology: the state of kind 'evolvesbyothers' evolves by test.Echo, which it does not publish; add "
        + "test.Echo to its publishes"
    }
  }
}

private actor EvolvesByAlerts: Agent {
  static let publishes: [any Event.Type] = [Bell.self]
  static let evolves = Evolution(Tally.self).on(Bell.self) { state, _ in state.count += 1 }
  var state = Tally()
}

private actor EvolvesByOthers: Agent {
  static let evolves = Evolution(Tally.self).on(Echo.self) { state, _ in state.count += 1 }
  var state = Tally()
}

/// A plain state in its second version, with and without the step to it.
@Suite struct StateVersionTests {
  private struct Old: Codable { var name = "n" }
  private struct New: Codable, Equatable {
    var name = "none"
    var age = 0
  }

  private actor Stepping: Agent {
    static let stateVersion: UInt16 = 2
    static let stateUpcasters = [
      Upcaster(from: 1) {
        if case .object(var parts) = $0 { parts["age"] = .integer(7); $0 = .object(parts) }
      }
    ]
    var state = New()
  }

  private actor Stepless: Agent {
    static let stateVersion: UInt16 = 2
    var state = New()
  }

  private func restore<Kind: Agent>(_ kind: Kind.Type, version: UInt16, _ initial: Kind.State) throws
    -> Kind.State
  {
    let (log, _) = try memoryLog()
    let snapshot = AgentSnapshot(state: Array(try JSON.encode(Old())), stateVersion: version)
    return try StateRestoration<Kind>.restore(initial, from: snapshot, of: "a", in: log, epoch: 2).state
  }

  @Test func `a saved state of an older version takes the steps to this one`() throws {
    #expect(try restore(Stepping.self, version: 1, New()) == New(name: "n", age: 7))
  }

  @Test func `a state that is too new, or too old without a step, is named with the way out`() {
    #expect {
      try restore(Stepless.self, version: 1, New())
    } throws: { error in
      "\(error)"
        == "schemaUnknown: the state of 'a' has version 1, and stepless has no step from 1; add Upcaster(from: 1) to its "
        + "stateUpcasters"
    }
    #expect {
      try restore(Stepping.self, version: 3, New())
    } throws: { error in
      "\(error)"
        == "schemaUnknown: the state of 'a' has version 3, its kind 'stepping' knows 2; run the program that wrote it, or a "
        + "newer one"
    }
  }

  @Test
  func
    `a state whose kind has changed without its version is made anew from events, or named with the way out`()
    throws
  {
    #expect {
      try restore(Stepless.self, version: 2, New())
    } throws: { error in
      "\(error)"
        == "schemaUnknown: the state of 'a' does not fit its kind any more, though both have version 2; raise its "
        + "stateVersion, and add Upcaster(from: 2) to its stateUpcasters ('age' is missing)"
    }
    #expect(try restore(Evolving.self, version: 1, New(name: "fresh")) == New(name: "fresh"))
  }

  private actor Evolving: Agent {
    static let publishes: [any Event.Type] = [Added.self]
    static let evolves = Evolution(New.self).on(Added.self) { $0.age += $1.amount }
    var state = New()
  }
}
