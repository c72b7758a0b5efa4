import HyphaCore
import HyphaRuntime
import Synchronization

/// What the agents of a bench count together.
final class AgentBoard: Sendable {
  let taken = Atomic<Int>(0)
  let isOver = Atomic<Bool>(false)
  /// Whether latencies are taken.
  let isWarm = Atomic<Bool>(true)
  /// In nanoseconds; the first million.
  let latencies = Mutex<[Double]>([])

  private static let boards = Mutex<[Int: AgentBoard]>([:])

  /// Gives a board a number by which agents find it: their settings carry nothing else.
  static func register(_ board: AgentBoard) -> Int {
    boards.withLock { boards in
      let number = (boards.keys.max() ?? 0) + 1
      boards[number] = board
      return number
    }
  }

  static func forget(_ number: Int) { boards.withLock { $0[number] = nil } }

  static func of(_ context: Context) throws -> AgentBoard {
    struct Settings: Decodable { var board: Int }
    let number = try context.settings(Settings.self).board
    guard let board = boards.withLock({ $0[number] }) else {
      throw HyphaError(.failed, "there is no board \(number)", remedy: "run agents of a bench in the bench")
    }
    return board
  }
}

/// A typed value on its way within a node.
struct BenchTick: Event {
  static let eventType: EventTypeName = "bench.Tick"
  static let channel = Channel.realtime
  static let timeToLive = Duration.seconds(60)
  var number: Int
}

/// So many ticks are counted at once, and the sink is looked at once for them: the agents do little beside the bus's work.
private let tickShare = 64

/// Publishes ticks, at most as many ahead of the sink as its inbox holds.
actor TickBlaster: Agent {
  static let kind = "bench-blaster"
  static let publishes: [any Event.Type] = [BenchTick.self]
  static let settingNames: Set<String> = ["board"]

  func start(in context: Context) { context.wake(after: .zero) }

  func wake(in context: Context) async throws {
    let board = try AgentBoard.of(context)
    var number = board.taken.load(ordering: .relaxed)
    let sink: AgentID = "sink"
    while !board.isOver.load(ordering: .relaxed) {
      guard number - board.taken.load(ordering: .relaxed) < 4096 else {
        await Task.yield()
        continue
      }
      for _ in 0..<tickShare {
        number += 1
        try await context.publish(BenchTick(number: number), to: sink)
      }
    }
  }
}

/// Counts ticks.
actor TickSink: Agent {
  static let kind = "bench-sink"
  static let settingNames: Set<String> = ["board"]
  static let handles = Handlers(TickSink.self).on(BenchTick.self) { agent, _, _ in
    agent.count += 1
    if agent.count.isMultiple(of: tickShare) { agent.board?.taken.add(tickShare, ordering: .relaxed) }
  }
  private var count = 0
  private var board: AgentBoard?

  func start(in context: Context) throws { board = try AgentBoard.of(context) }
}

/// Something to do.
struct BenchJob: Event {
  static let eventType: EventTypeName = "bench.Job"
  var number: Int
}

/// It was done.
struct BenchDone: Event {
  static let eventType: EventTypeName = "bench.Done"
  var number: Int
}

/// Publishes jobs, at most some thousands ahead.
actor JobSource: Agent {
  static let kind = "bench-source"
  static let publishes: [any Event.Type] = [BenchJob.self]
  static let settingNames: Set<String> = ["board"]
  private var number = 0

  func start(in context: Context) { context.wake(after: .zero) }

  func wake(in context: Context) async throws {
    let board = try AgentBoard.of(context)
    let room = 8000 - (number - board.taken.load(ordering: .relaxed))
    for _ in 0..<max(0, min(room, 1000)) {
      number += 1
      try await context.publish(BenchJob(number: number))
    }
    if !board.isOver.load(ordering: .relaxed) { context.wake(after: room > 0 ? .zero : .milliseconds(1)) }
  }
}

/// Does each job: one event, a changed state, one step of the cursor.
actor JobStepper: Agent {
  static let kind = "bench-stepper"
  static let publishes: [any Event.Type] = [BenchDone.self]
  static let settingNames: Set<String> = ["board"]
  static let handles = Handlers(JobStepper.self).on(BenchJob.self) { agent, job, context in
    agent.state.sum &+= job.number
    agent.board?.taken.add(1, ordering: .relaxed)
    try await context.publish(BenchDone(number: job.number))
  }
  struct State: Codable { var sum = 0 }
  var state = State()
  private var board: AgentBoard?

  func start(in context: Context) throws { board = try AgentBoard.of(context) }
}

/// Passes each job on to the next in a ring: each event is the step of one agent and the input of another.
actor JobPasser: Agent {
  static let kind = "bench-passer"
  static let publishes: [any Event.Type] = [BenchJob.self]
  static let settingNames: Set<String> = ["board"]
  static let handles = Handlers(JobPasser.self).on(BenchJob.self) { agent, job, context in
    agent.state.sum &+= job.number
    agent.board?.taken.add(1, ordering: .relaxed)
    if let next = agent.next { try await context.publish(job, to: next) }
  }
  struct State: Codable { var sum = 0 }
  var state = State()
  private var board: AgentBoard?
  private var next: AgentID?

  static let ring: [AgentID] = ["ring1", "ring2", "ring3", "ring4"]
  /// How many jobs go round for each of them.
  static let jobCount = 1_000

  func start(in context: Context) async throws {
    board = try AgentBoard.of(context)
    let place = Self.ring.firstIndex(of: context.agent) ?? 0
    let next = Self.ring[(place + 1) % Self.ring.count]
    self.next = next
    for number in 0..<Self.jobCount { try await context.publish(BenchJob(number: number), to: next) }
  }
}

/// What is asked.
struct BenchQuestion: Question {
  typealias Answer = Int
  var number: Int
}

/// Asks one question after the other.
actor BenchAsker: Agent {
  static let kind = "bench-asker"
  static let settingNames: Set<String> = ["board"]

  func start(in context: Context) { context.wake(after: .zero) }

  func wake(in context: Context) async throws {
    let board = try AgentBoard.of(context)
    var latencies: [Double] = []
    while !board.isOver.load(ordering: .relaxed) {
      let began = Monotonic.nanoseconds()
      _ = try await context.ask("answerer", BenchQuestion(number: latencies.count), within: .seconds(60))
      if latencies.count < 1_000_000 { latencies.append(Double(Monotonic.nanoseconds() - began)) }
      board.taken.add(1, ordering: .relaxed)
      if latencies.count.isMultiple(of: 256) { board.latencies.withLock { [latencies] in $0 = latencies } }
    }
  }
}

/// Answers with the number.
actor BenchAnswerer: Agent {
  static let kind = "bench-answerer"
  static let settingNames: Set<String> = ["board"]
  static let handles = Handlers(BenchAnswerer.self).answer(BenchQuestion.self, mayBeShared: true) {
    _, question, _ in question.number
  }
}

/// Asks the same question again and again, and takes an earlier answer.
actor BenchRepeatedAsker: Agent {
  static let kind = "bench-repeated-asker"
  static let settingNames: Set<String> = ["board"]
  private static let askCount = 100

  func start(in context: Context) { context.wake(after: .zero) }

  func wake(in context: Context) async throws {
    let board = try AgentBoard.of(context)
    var latencies: [Double] = []
    for _ in 0..<Self.askCount {
      let began = Monotonic.nanoseconds()
      _ = try await context.ask(
        "answerer", BenchQuestion(number: 1), within: .seconds(60), maxAge: .seconds(3600))
      latencies.append(Double(Monotonic.nanoseconds() - began))
    }
    board.taken.add(Self.askCount, ordering: .relaxed)
    if board.isWarm.load(ordering: .acquiring) {
      board.latencies.withLock { [latencies] in if $0.count < 1_000_000 { $0 += latencies } }
    }
    if !board.isOver.load(ordering: .relaxed) { context.wake(after: .zero) }
  }
}

/// What is shared.
struct BenchShared: SharedValue {
  static let eventType: EventTypeName = "bench.Shared"
  var number: Int
}

/// Shares one value.
actor BenchSharer: Agent {
  static let kind = "bench-sharer"
  static let publishes: [any Event.Type] = [BenchShared.self]
  static let settingNames: Set<String> = ["board"]

  func start(in context: Context) async throws { try await context.publish(BenchShared(number: 1)) }
}

/// Reads it again and again, many times in each call.
actor BenchReader: Agent {
  static let kind = "bench-reader"
  static let reads: [any SharedValue.Type] = [BenchShared.self]
  static let settingNames: Set<String> = ["board"]
  private static let readCount = 100

  func start(in context: Context) { context.wake(after: .zero) }

  func wake(in context: Context) throws {
    let board = try AgentBoard.of(context)
    var found = 0
    for _ in 0..<Self.readCount {
      found += try context.shared(BenchShared.self, by: "sharer")?.value.number ?? 0
    }
    board.taken.add(found, ordering: .relaxed)
    if !board.isOver.load(ordering: .relaxed) { context.wake(after: .zero) }
  }
}

/// Waits.
actor BenchIdler: Agent {
  static let kind = "bench-idler"
  static let settingNames: Set<String> = ["board"]
}
