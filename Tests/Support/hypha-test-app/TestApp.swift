import HyphaApp

// A program of an author's, for the tests: its agents fail as they are told to, so that supervision, timers and states can be
// looked at from outside, in real processes that are killed.

/// Something to do.
struct Job: Event {
  static let eventType: EventTypeName = "test.Job"
  var number: Int
}

/// It was done.
struct JobDone: Event {
  static let eventType: EventTypeName = "test.JobDone"
  var number: Int
}

/// It was done some time ago.
struct JobAged: Event {
  static let eventType: EventTypeName = "test.JobAged"
  var number: Int
}

/// It was entered in the books.
struct JobBooked: Event {
  static let eventType: EventTypeName = "test.JobBooked"
  var number: Int
}

/// Publishes jobs 0 to `count` - 1, some at a time.
actor Feeder: Agent {
  static let publishes: [any Event.Type] = [Job.self]
  static let settingNames: Set<String> = ["count", "burst"]
  static let finishes = true

  struct Settings: Decodable {
    var count: Int
    var burst: Int
  }
  struct State: Codable { var next = 0 }
  var state = State()

  func start(in context: Context) async throws { try await feed(in: context) }
  func wake(in context: Context) async throws { try await feed(in: context) }

  private func feed(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    for _ in 0..<settings.burst where state.next < settings.count {
      try await context.publish(Job(number: state.next))
      state.next += 1
    }
    if state.next < settings.count { context.wake(after: .milliseconds(1)) } else { context.finish() }
  }
}

/// Does each job: every seventh at the second attempt, every eleventh never; and is reminded of every fifth that it has done.
actor Worker: Agent {
  static let handles = Handlers(Worker.self)
    .on(Job.self) { try await $0.work($1, in: $2) }
    .on(JobAged.self) { agent, event, _ in agent.state.aged.append(event.number) }
  static let publishes: [any Event.Type] = [JobDone.self]

  struct Impossible: PermanentFailure {}
  struct State: Codable {
    var done: [Int] = []
    var aged: [Int] = []
  }
  var state = State()

  private func work(_ job: Job, in context: Context) async throws {
    state.done.append(job.number)
    try await context.publish(JobDone(number: job.number))
    if job.number % 5 == 0 { try context.schedule(JobAged(number: job.number), after: .milliseconds(15)) }
    if job.number % 11 == 10 { throw Impossible() }
    if job.number % 7 == 6, context.attempt == 1 { throw HyphaError(.failed, "not now") }
  }
}

/// Keeps its books by events alone.
actor Bookkeeper: Agent {
  static let handles = Handlers(Bookkeeper.self)
    .on(JobDone.self) { try await $1.number % 2 == 0 ? $0.book($1.number, in: $2) : () }
  static let publishes: [any Event.Type] = [JobBooked.self]
  static let evolves = Evolution(State.self).on(JobBooked.self) { $0.booked.append($1.number) }
  static let snapshotEvery = 7

  struct State: Codable { var booked: [Int] = [] }
  var state = State()

  private func book(_ number: Int, in context: Context) async throws {
    try await context.publish(JobBooked(number: number))
    context.report("jobs booked", Int64(state.booked.count))
    // So the state itself says which way it came to be.
    context.report("sum of jobs booked", Int64(state.booked.reduce(0, +)))
  }
}

/// Something that takes room.
struct Crate: Event {
  static let eventType: EventTypeName = "test.Crate"
  var number: Int
  var filling: String
}

/// Publishes crates of 1,000 bytes, as fast as the bus takes them.
actor Flood: Agent {
  static let publishes: [any Event.Type] = [Crate.self]
  static let settingNames: Set<String> = ["count"]

  struct Settings: Decodable { var count: Int }
  struct State: Codable { var next = 0 }
  var state = State()
  private let filling = String(repeating: "x", count: 1000)

  func start(in context: Context) async throws { try await pour(in: context) }
  func wake(in context: Context) async throws { try await pour(in: context) }

  private func pour(in context: Context) async throws {
    let count = try context.settings(Settings.self).count
    for _ in 0..<200 where state.next < count {
      try await context.publish(Crate(number: state.next, filling: filling))
      state.next += 1
    }
    if state.next < count { context.wake(after: .zero) }
  }
}

/// Takes a crate every 50 ms.
actor Sloth: Agent {
  static let handles = Handlers(Sloth.self).on(Crate.self) { _, _, _ in
    try await Task.sleep(for: .milliseconds(50), clock: .suspending)
  }
}

/// Says which jobs it gets, and never has enough.
actor Talker: Agent {
  static let handles = Handlers(Talker.self).on(Job.self) { _, job, _ in
    print("got job \(job.number)")
    if job.number == 39 { print("\u{1B}[2Jand a half", terminator: "") }
  }
  static let finishes = true
}

/// The newest job of its topic that a ``Gauge`` has heard of.
struct Level: SharedValue {
  static let eventType: EventTypeName = "test.Level"
  var number: Int

  var subject: Subject { Subject(slug: "level.\(number % 3)") }
}

/// What a ``Viewer`` has read.
struct LevelsSeen: Event {
  static let eventType: EventTypeName = "test.LevelsSeen"
  var numbers: [Int]
  var versions: [String]
}

/// Shares each job that it gets.
actor Gauge: Agent {
  static let handles = Handlers(Gauge.self).on(Job.self) { _, job, context in
    try await context.publish(Level(number: job.number))
  }
  static let publishes: [any Event.Type] = [Level.self]
}

/// Says what is shared whenever it begins or gets a job.
actor Viewer: Agent {
  static let handles = Handlers(Viewer.self).on(Job.self) { viewer, _, context in
    try await viewer.view(context)
  }
  static let reads: [any SharedValue.Type] = [Level.self]
  static let publishes: [any Event.Type] = [LevelsSeen.self]

  func start(in context: Context) async throws { try await view(context) }

  private func view(_ context: Context) async throws {
    let levels = try context.shared(Level.self)
    try await context.publish(
      LevelsSeen(numbers: levels.map(\.value.number), versions: levels.map(\.version.description)))
  }
}

@main struct TestApp: HyphaApp {
  static let agents: [any Agent.Type] = [
    Feeder.self, Worker.self, Bookkeeper.self, Flood.self, Sloth.self, Faulty.self, Stillborn.self,
    Dreamer.self, Talker.self, Gauge.self, Viewer.self, Traveller.self, Director.self,
    Shop.self, Buyer.self, Crier.self,
  ]
}
