import HyphaCore
import HyphaRuntime
import Synchronization

/// Asks for an answer.
struct Call: Event {
  static let eventType: EventTypeName = "test.Call"
  static let channel = Channel.alert
  var text: String
}

/// Says that a call that was held may be answered.
struct Release: Event {
  static let eventType: EventTypeName = "test.Release"
}

/// Calls one agent after a while, and keeps what it learns of the answers.
actor Caller: Agent {
  static let kind = "caller"
  static let handles = Handlers(Caller.self)
    .on(AlertAcknowledged.self) { agent, event, context in
      agent.state.answers.append("\(context.event?.agent.text ?? "") \(event.by?.text ?? "")")
    }
  static let publishes: [any Event.Type] = [Call.self, Release.self]
  static let settingNames: Set<String> = ["to", "text", "afterMs", "withinMs", "releaseMs"]

  struct Settings: Decodable {
    var to: AgentID
    var text: String
    var afterMs: Int64
    var withinMs: Int64?
    var releaseMs: Int64?
  }
  struct State: Codable {
    var answers: [String] = []
    var hasCalled = false
  }

  var state = State()

  func start(in context: Context) async throws {
    context.wake(after: .milliseconds(try context.settings(Settings.self).afterMs))
  }

  func wake(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    if state.hasCalled {
      try await context.publish(Release(), to: settings.to)
    } else {
      let within = settings.withinMs.map { Duration.milliseconds($0) }
      try await context.publish(Call(text: settings.text), to: settings.to, within: within)
      state.hasCalled = true
      if let release = settings.releaseMs { context.wake(after: .milliseconds(release)) }
    }
  }
}

/// Takes notes a millisecond each, on the clock of its run, and calls as their text says: `hold` until a ``Release``, `third` fails twice, `never` fails always.
actor Taker: Agent {
  static let kind = "taker"
  static let settingNames: Set<String> = ["run"]
  /// The clocks of the runs that go on.
  static let schedulers = Mutex<[String: any Scheduler]>([:])
  static let handles = Handlers(Taker.self)
    .on(Call.self) { try $0.take($1, in: $2) }
    .on(Note.self) { agent, _, context in
      agent.state.order.append("note")
      guard let scheduler = agent.scheduler else { return }
      await withCheckedContinuation { continuation in
        scheduler.schedule(after: .milliseconds(1)) { continuation.resume() }
      }
    }
    .on(Release.self) { agent, _, context in
      guard let held = agent.state.held else { return }
      try context.acknowledge(held)
      agent.state.held = nil
    }

  struct State: Codable {
    var order: [String] = []
    var held: HeldAlert?
    /// When each try of a call began, in milliseconds since 1970, and which try it was.
    var tries: [UInt64] = []
    var attempts: [Int] = []
  }

  var state = State()
  private var tries: [(UInt64, Int)] = []
  private var scheduler: (any Scheduler)?

  struct Settings: Decodable { var run: String }

  func start(in context: Context) async throws {
    let run = try context.settings(Settings.self).run
    scheduler = Self.schedulers.withLock { $0[run] }
  }

  private func take(_ call: Call, in context: Context) throws {
    tries.append((context.now.microseconds / 1000, context.attempt))
    if call.text == "never" || call.text == "third" && tries.count < 3 {
      throw HyphaError(.failed, "on purpose")
    }
    state.order.append("call")
    state.tries = tries.map(\.0)
    state.attempts = tries.map(\.1)
    if call.text == "hold" { state.held = context.hold() }
  }
}
