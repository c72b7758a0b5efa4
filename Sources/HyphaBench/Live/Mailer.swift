import HyphaCore
import HyphaRuntime
import Synchronization

/// A recorded event, sent once more.
struct Mail: Event {
  static let eventType: EventTypeName = "bench.Mail"
  /// Its place in the recording.
  var number: Int
}

/// The same, for the moment.
struct Word: Event {
  static let eventType: EventTypeName = "bench.Word"
  static let channel = Channel.realtime
  static let timeToLive = Duration.seconds(60)
  /// Its place in the recording.
  var number: Int
}

/// Sends what one of the recording has sent, each event when it is due, and takes note of what comes.
actor Mailer: Agent {
  static let kind = "bench-mailer"
  static let publishes: [any Event.Type] = [Mail.self, Word.self]
  static let settingNames: Set<String> = ["place"]
  static let handles = Handlers(Mailer.self)
    .on(Mail.self) { agent, mail, context in agent.take(mail.number, context) }
    .on(Word.self) { agent, word, context in agent.take(word.number, context) }

  private struct Settings: Decodable { var place: Int }

  /// The most events of one turn.
  private static let turnEventCountMax = 64

  private var outgoing: ArraySlice<Int> = []
  private var newest: [AgentID: Int] = [:]

  func start(in context: Context) throws {
    let place = try context.settings(Settings.self).place
    if place >= 0 { outgoing = LiveBoard.current.outgoing[place][...] }
    if !outgoing.isEmpty { context.wake(after: .zero) }
  }

  func wake(in context: Context) async throws {
    let board = LiveBoard.current
    let begin = await board.beginning()
    var left = Self.turnEventCountMax
    while left > 0, let next = outgoing.first {
      let wait = board.wait(for: next, begin: begin)
      guard wait == .zero else { return context.wake(after: wait) }
      let addressee = LiveScene.agent(board.traffic.to(next))
      if board.channel == .realtime {
        try await context.publish(Word(number: next), to: addressee)
      } else {
        try await context.publish(Mail(number: next), to: addressee)
      }
      outgoing.removeFirst()
      left -= 1
    }
    if !outgoing.isEmpty { context.wake(after: .zero) }
  }

  private func take(_ number: Int, _ context: Context) {
    guard let header = context.event else { return }
    let isInOrder = newest[header.agent].map { $0 < number } ?? true
    newest[header.agent] = max(newest[header.agent] ?? -1, number)
    LiveBoard.current.took(number, statedAt: header.time, isInOrder: isInOrder)
  }
}

/// What the agents of one process share.
final class LiveBoard: Sendable {
  private struct State {
    var begin: UInt64?
    var waiters: [CheckedContinuation<UInt64, Never>] = []
    /// In microseconds, by the event's number; 0 for those that have not come.
    var latencies: [UInt32]
    var tally = LiveTally()
  }

  private static let shared = Mutex<LiveBoard?>(nil)

  static var current: LiveBoard {
    guard let board = shared.withLock({ $0 }) else {
      preconditionFailure("mailers run in a process of the bench")
    }
    return board
  }

  let traffic: LiveTraffic
  /// The numbers of the events that each sends.
  let outgoing: [[Int]]
  let channel: Channel
  private let rate: Double
  private let state: Mutex<State>
  private let scheduler = SystemScheduler()

  init(_ traffic: LiveTraffic, _ scene: LiveScene) {
    self.traffic = traffic
    (rate, channel) = (scene.rate, scene.channel)
    var outgoing = [[Int]](repeating: [], count: traffic.groups.count)
    for number in 0..<traffic.eventCount { outgoing[traffic.from(number)].append(number) }
    self.outgoing = outgoing
    state = Mutex(State(latencies: [UInt32](repeating: 0, count: traffic.eventCount)))
  }

  func makeCurrent() { Self.shared.withLock { $0 = self } }

  /// Lets all begin at a moment of the machine's monotonic clock, in nanoseconds.
  func begin(at moment: UInt64) {
    let waiters = state.withLock { state in
      state.begin = moment
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume(returning: moment) }
  }

  func beginning() async -> UInt64 {
    await withCheckedContinuation { continuation in
      let begin = state.withLock { state in
        if state.begin == nil { state.waiters.append(continuation) }
        return state.begin
      }
      if let begin { continuation.resume(returning: begin) }
    }
  }

  /// How long until an event is due.
  func wait(for number: Int, begin: UInt64) -> Duration {
    let due = begin + UInt64(Double(number) / rate * 1e9)
    let now = Monotonic.nanoseconds()
    return now >= due ? .zero : .nanoseconds(Int64(due - now))
  }

  func took(_ number: Int, statedAt time: Timestamp, isInOrder: Bool) {
    let now = scheduler.microseconds()
    state.withLock { state in
      guard state.latencies.indices.contains(number) else { return state.tally.strangeCount += 1 }
      if state.latencies[number] > 0 { state.tally.doubledCount += 1 } else { state.tally.takenCount += 1 }
      if !isInOrder { state.tally.disorderedCount += 1 }
      state.latencies[number] = UInt32(clamping: max(1, now - min(now, time.microseconds)))
    }
  }

  var tally: LiveTally { state.withLock { $0.tally } }
  var latencies: [UInt32] { state.withLock { $0.latencies } }
}

/// What came.
struct LiveTally: Codable, Sendable {
  var takenCount = 0
  var doubledCount = 0
  var disorderedCount = 0
  /// Events that nobody has sent.
  var strangeCount = 0
}
