import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// What becomes of agents that fail, and of what they fail on: on one node, with `root` above `fragile`.
@Suite(.serialized) struct SupervisionLifeTests {
  private func deployment(
    _ texts: [String],
    _ supervision: SupervisionSettings = SupervisionSettings(retry: RetryPolicy(jitterPercent: 0))
  ) throws -> SimulatedDeployment {
    let topology = try Topology(
      name: "fragile", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(
          id: "fragile", kind: "fragile", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Note")]),
        AgentSpec(
          id: "writer", kind: "writer", node: "x", reportsTo: "root",
          settings: .object(["texts": .array(texts.map { .string($0) })])),
      ], supervision: supervision)
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Writer.self, Fragile.self]), seed: 1)
    Fragile.scheduler.withLock { $0 = deployment.loop }
    return deployment
  }

  private func run(
    _ texts: [String],
    _ supervision: SupervisionSettings = SupervisionSettings(retry: RetryPolicy(jitterPercent: 0))
  ) throws -> SimulatedDeployment {
    let deployment = try deployment(texts, supervision)
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(300)))
    return deployment
  }

  private func state(_ deployment: SimulatedDeployment) throws -> Fragile.State {
    let snapshot = try #require(try AgentSnapshot.read(of: "fragile", in: deployment.reader(of: "x")))
    return try JSON.decode(Fragile.State.self, from: snapshot.state)
  }

  private func stated<E: Event>(_ type: E.Type, _ deployment: SimulatedDeployment) throws
    -> [(header: RecordHeader, event: E)]
  {
    try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.source == .stated && $0.record.header.type == E.eventType }
      .map { ($0.record.header, try E.decode($0.record)) }
  }

  // MARK: Retries

  @Test func `a failed event comes again after its waits, and the others do not wait for it`() throws {
    let deployment = try run(["fail 2", "plain"])
    let state = try state(deployment)
    // What failed has left no trace in the state.
    #expect(state.texts == ["plain#1/2", "fail 2#3/4"])
    let failures = try stated(HandlerFailed.self, deployment)
    #expect(failures.map(\.event.attempt) == [1, 2])
    #expect(failures.map(\.event.retryAfterMicroseconds) == [1_000_000, 2_000_000])
    let waits = zip(failures.dropFirst(), failures).map { $0.header.time.since($1.header.time) }
    #expect(waits.allSatisfy { $0 >= .seconds(1) && $0 < .milliseconds(1100) }, "\(waits)")
    #expect(try stated(Echo.self, deployment).count == 2)
    #expect(try DeadLetter.open(in: deployment.reader(of: "x")).isEmpty)
    let cursor = try deployment.reader(of: "x").cursor(CursorKey(agent: "fragile", channel: .persistent))
    #expect(cursor?.handledCount == 2, "an event counts once, however often it is tried")
    try deployment.stop()
  }

  @Test func `a retry survives kill -9 with its count and its time`() throws {
    let deployment = try deployment(["fail 2"])
    try deployment.start()
    deployment.run(for: .milliseconds(1500))
    #expect(try stated(HandlerFailed.self, deployment).map(\.event.attempt) == [1, 2])
    #expect(!deployment.summary().isComplete, "a retry is something left to do")
    deployment.kill("x")
    deployment.run(for: .milliseconds(100))
    try deployment.start("x")
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let state = try state(deployment)
    #expect(state.texts == ["fail 2#3/1"] && state.starts == 2)
    #expect(try stated(HandlerFailed.self, deployment).count == 2)
    try deployment.stop()
  }

  @Test func `an agent whose retries pile up takes no more, loses nothing, and goes on when they are done`()
    throws
  {
    // 16 MiB of notes would do as well: what counts is that more fail at once than are kept on the agenda.
    let count = Agenda.retryCountMax + 600
    let supervision = SupervisionSettings(
      retry: RetryPolicy(initial: .seconds(5), cap: .seconds(5), jitterPercent: 0, attemptCountMax: 2))
    let deployment = try deployment(Array(repeating: "fail 1", count: count), supervision)
    try deployment.start()
    deployment.run(for: .seconds(4))
    let snapshot = try #require(try AgentSnapshot.read(of: "fragile", in: deployment.reader(of: "x")))
    #expect((Agenda.retryCountMax...(Agenda.retryCountMax + 512)).contains(snapshot.agenda.retries.count))
    #expect(deployment.runToEnd(limit: .seconds(100)))
    #expect(try state(deployment).texts.count == count)
    try deployment.stop()
  }

  // MARK: Dead letters

  @Test func `after the last attempt an event is put aside, and the supervisor is told`() throws {
    let deployment = try run(["fail 9", "plain"])
    #expect(try state(deployment).texts == ["plain#1/2"])
    let failures = try stated(HandlerFailed.self, deployment)
    #expect(
      failures.map(\.event.attempt) == [1, 2, 3, 4, 5] && failures.last?.event.retryAfterMicroseconds == nil)
    let letters = try DeadLetter.open(in: deployment.reader(of: "x"))
    let note = try #require(stated(Note.self, deployment).first).header
    #expect(letters.map(\.failure.event) == [note.id] && letters[0].failure.attempts == 5)
    #expect(letters[0].failure.from == "writer" && letters[0].failure.error == "failed: attempt 5")
    let alert = try #require(stated(EventDeadLettered.self, deployment).first).header
    #expect(alert.addressee == "root" && alert.causation == note.id)
    #expect(deployment.summary().gauges["dead letters told to supervisors"] == 1)
    #expect(
      try RestartNeeds.positions(in: deployment.reader(of: "x")).contains(
        Position(rawValue: letters[0].failure.position)))
    try deployment.stop()
  }

  @Test func `what trying again cannot mend is put aside at once`() throws {
    let deployment = try run(["hopeless"])
    #expect(try stated(HandlerFailed.self, deployment).map(\.event.attempt) == [1])
    #expect(try DeadLetter.open(in: deployment.reader(of: "x")).map(\.failure.attempts) == [1])
    try deployment.stop()
  }

  @Test func `a requeued dead letter is given to the handler again, a discarded one never, and each once`()
    throws
  {
    let deployment = try run(["fail 5", "hopeless"])
    let node = try #require(deployment.node("x"))
    let letters = try DeadLetter.open(in: deployment.reader(of: "x")).map(\.failure.event)
    #expect(letters.count == 2)
    func resolve(_ event: EventID, _ resolution: DeadLetterResolved.Resolution) throws {
      try deployment.loop.run {
        try await node.resolveDeadLetter(event, of: "fragile", resolution, by: "ana", note: "mended")
      }
    }
    // 'hopeless' comes first: it was put aside at once.
    let (hopeless, failing) = (letters[0], letters[1])
    try resolve(hopeless, .discarded)
    try resolve(failing, .requeued)
    #expect(deployment.runToEnd(limit: .seconds(300)))
    #expect(
      try DeadLetter.open(in: deployment.reader(of: "x")).map(\.failure.event) == [failing], "it fails again")
    #expect(try stated(HandlerFailed.self, deployment).count { $0.event.event == failing } == 10)
    let resolved = try stated(DeadLetterResolved.self, deployment)
    #expect(resolved.map(\.event.resolution) == [.discarded, .requeued])
    #expect(resolved.allSatisfy { $0.header.authority.principal == "ana" && $0.event.note == "mended" })
    #expect {
      try resolve(hopeless, .requeued)
    } throws: { error in
      "\(error)"
        == "usage: agent 'fragile' has no dead letter \(hopeless); list the open ones with 'hypha dead-letters list'; "
        + "it may have been settled meanwhile"
    }
    let cursor = try deployment.reader(of: "x").cursor(CursorKey(agent: "fragile", channel: .persistent))
    #expect(cursor?.handledCount == 2)
    try deployment.stop()
  }

  // MARK: Restarts

  @Test func `by strategy restart a new actor goes on, with the state as it was`() throws {
    let settings = SupervisionSettings(retry: RetryPolicy(attemptCountMax: 1), strategy: .restart)
    let deployment = try run(["one", "hopeless", "two", "three"], settings)
    let state = try state(deployment)
    #expect(
      state.texts == ["one#1/1", "two#1/1", "three#1/2"], "what the actor held beside its state is gone")
    #expect(state.starts == 2)
    try deployment.stop()
  }

  @Test func `an agent that fails more often than the limit stands still, and its supervisor is told`() throws
  {
    let settings = SupervisionSettings(
      retry: RetryPolicy(initial: .milliseconds(100), jitterPercent: 0, attemptCountMax: 1),
      strategy: .restart,
      restartCountMax: 2)
    let deployment = try deployment(["hopeless", "hopeless", "hopeless", "one"], settings)
    try deployment.start()
    deployment.run(for: .seconds(5))
    #expect(try state(deployment).starts == 3)
    let stops = try stated(AgentStopped.self, deployment)
    #expect(stops.map(\.event.reason) == ["the agent stands still: a handler has failed"])
    #expect(stops.map(\.header.addressee) == ["root"])
    #expect(deployment.summary().gauges["stopped agents told to supervisors"] == 1)
    #expect(try state(deployment).texts.isEmpty, "what comes behind waits")
    deployment.kill("x")
    try deployment.start("x")
    #expect(deployment.runToEnd(limit: .seconds(60)))
    #expect(try state(deployment).texts == ["one#1/1"])
    try deployment.stop()
  }

  @Test func `by strategy stop the first failure is the last`() throws {
    let deployment = try deployment(["hopeless", "one"], SupervisionSettings(strategy: .stop))
    try deployment.start()
    deployment.run(for: .seconds(5))
    #expect(try state(deployment).texts.isEmpty)
    #expect(try stated(AgentStopped.self, deployment).count == 1)
    try deployment.stop()
  }

  // MARK: Handlers that do not return

  @Test func `a handler that does not return is reported once, while it runs`() throws {
    let deployment = try deployment(["stuck 9000", "one"], SupervisionSettings(handlerDeadline: .seconds(3)))
    try deployment.start()
    deployment.run(for: .seconds(2))
    #expect(try stated(HandlerOverdue.self, deployment).isEmpty)
    deployment.run(for: .seconds(4))
    let reports = try stated(HandlerOverdue.self, deployment)
    let note = try #require(stated(Note.self, deployment).first).header
    #expect(reports.map(\.event.event) == [note.id] && reports.map(\.header.addressee) == ["root"])
    #expect(reports.allSatisfy { $0.event.runningMicroseconds >= 3_000_000 })
    #expect(deployment.runToEnd(limit: .seconds(60)))
    #expect(try stated(HandlerOverdue.self, deployment).count == 1)
    #expect(try state(deployment).texts == ["stuck 9000#1/1", "one#1/2"])
    try deployment.stop()
  }

  // MARK: Timers

  @Test func `a timer fires once, when it is due, caused by what was being handled`() throws {
    let deployment = try run(["remind 700"])
    let note = try #require(stated(Note.self, deployment).first).header
    let reminders = try stated(Reminder.self, deployment)
    #expect(reminders.map(\.header.addressee) == ["fragile"] && reminders.map(\.event.of) == [note.id])
    #expect(reminders.map(\.header.causation) == [note.id])
    #expect(reminders.map(\.header.correlation) == [note.correlation])
    let wait = try #require(reminders.first).header.time.since(note.time)
    #expect(wait >= .milliseconds(700) && wait < .milliseconds(720), "\(wait)")
    #expect(try state(deployment).reminders.count == 1)
    try deployment.stop()
  }

  @Test func `a timer survives kill -9, fires late where the node was down, and once`() throws {
    let deployment = try deployment(["remind 700"])
    try deployment.start()
    deployment.run(for: .milliseconds(300))
    #expect(!deployment.summary().isComplete, "a timer is something left to do")
    deployment.kill("x")
    deployment.run(for: .seconds(3))
    try deployment.start("x")
    #expect(deployment.runToEnd(limit: .seconds(60)))
    deployment.kill("x")
    try deployment.start("x")
    deployment.run(for: .seconds(3))
    #expect(try stated(Reminder.self, deployment).count == 1)
    #expect(try state(deployment).reminders.count == 1)
    try deployment.stop()
  }

  @Test func `a timer of a handler that throws is never set, and a cancelled one does not fire`() throws {
    let deployment = try run(["remind-and-fail 100", "remind 200", "cancel"])
    deployment.run(for: .seconds(5))
    #expect(try stated(Reminder.self, deployment).isEmpty)
    let snapshot = try #require(try AgentSnapshot.read(of: "fragile", in: deployment.reader(of: "x")))
    #expect(snapshot.agenda.isEmpty)
    try deployment.stop()
  }

  @Test func `misuse of timers says what to do`() throws {
    let deployment = try deployment(["misuse"])
    try deployment.start()
    deployment.run(for: .seconds(1))
    #expect(
      try state(deployment).errors == [
        "undeclared: agent 'fragile' schedules test.Echo, which it does not handle; add a handler of that type to its "
          + "handles",
        "usage: agent 'fragile' schedules test.Reminder after -1.0 seconds; give 0 to 100 years",
        "tooLarge: agent 'fragile' schedules test.Reminder, and has 4096 timers set; set fewer, or cancel some; one "
          + "timer can stand for many things that the state remembers",
      ])
    try deployment.stop()
  }
  @Test func `a timer that is cancelled makes room for one, and what is no timer for none`() throws {
    let deployment = try deployment(["remind 90000000", "fill 9000", "cancel", "fill 9000"])
    try deployment.start()
    deployment.run(for: .seconds(5))
    // One was set before; it is cancelled before the second time.
    #expect(try state(deployment).errors == ["4095: tooLarge", "1: tooLarge"])
    let snapshot = try #require(try AgentSnapshot.read(of: "fragile", in: deployment.reader(of: "x")))
    #expect(snapshot.agenda.timers.count == Agenda.timerCountMax)
    try deployment.stop()
  }
}
