import HyphaCore
import HyphaKinds
import HyphaRuntime
import Synchronization

/// What a ``Watcher`` states, once, for each event that it has handled.
struct Echo: Event {
  static let eventType: EventTypeName = "test.Echo"
  var of: EventID
}

/// What a ``Watcher`` rings for each alarm that it has handled.
struct Bell: Event {
  static let eventType: EventTypeName = "test.Bell"
  static let channel = Channel.alert
  var of: EventID
  /// Whether it was rung for a realtime event, which no log has and no restart repeats.
  var isForSignal = false
}

/// What a ``Watcher`` gets from itself some time after some of the entries that it has handled.
struct Reminder: Event {
  static let eventType: EventTypeName = "test.Reminder"
  var of: EventID
}

/// Breaches that agents have seen from within, by run: they outlive the agents.
enum Breaches {
  private static let all = Mutex<[String: [String]]>([:])

  static func add(_ text: String, in run: String) { all.withLock { $0[run, default: []].append(text) } }
  static func take(_ run: String) -> [String] { all.withLock { $0.removeValue(forKey: run) ?? [] } }
}

/// Checks order from within, echoes what it takes, and fails on some of it: after it has published and
/// changed its state.
actor Watcher: Agent {
  static let kind = "watcher"
  static let handles = Handlers(Watcher.self)
    .on(Entry.self) { try await $0.take(echoes: true, rings: false, in: $2) }
    .on(Alarm.self) { try await $0.take(echoes: true, rings: true, in: $2) }
    .on(Echo.self) { try await $0.take(echoes: false, rings: false, in: $2) }
    .on(Bell.self) { try await $0.take(echoes: false, rings: false, in: $2) }
    .on(Reminder.self) { try await $0.take(echoes: false, rings: false, in: $2) }
    .on(Signal.self) { try await $0.see(in: $2) }
  static let publishes: [any Event.Type] = [Echo.self, Bell.self]
  static let settingNames: Set<String> = ["run", "failOneIn"]

  struct Settings: Decodable {
    var run: String
    var failOneIn: UInt64
  }

  struct State: Codable {
    /// The newest event handled of each lane: epoch and sequence.
    var newest: [String: [UInt64]] = [:]
    var handled: UInt64 = 0
  }

  /// Whether a watcher fails on an event: a function of the event alone, so that a second try fails too.
  static func fails(on id: EventID, oneIn: UInt64) -> Bool { oneIn > 0 && (id.low >> 7) % oneIn == 0 }

  /// How often a watcher fails on a persistent event on which it fails: always, or once.
  static func failsOnce(on id: EventID) -> Bool { (id.low >> 23) % 2 == 0 }

  /// How long after an entry a watcher is reminded of it, in microseconds; nil where it is not.
  static func reminderDelay(of id: EventID) -> Int64? {
    (id.low >> 29) % 3 == 0 ? Int64((id.low >> 33) % 60_000) : nil
  }

  var state = State()
  private var settings = Settings(run: "", failOneIn: 0)
  private var signals: [String: LanePoint] = [:]

  func start(in context: Context) async throws { settings = try context.settings(Settings.self) }

  private func take(echoes: Bool, rings: Bool, in context: Context) async throws {
    guard let header = context.event else { return }
    let lane = header.lane.description
    if context.attempt > 1 {
      // What comes again has failed before, and has left nothing.
      let hasFailed = Self.fails(on: header.id, oneIn: settings.failOneIn)
      if !hasFailed {
        Breaches.add("handled-once: \(context.agent) got \(header.id) again", in: settings.run)
      }
    } else if let last = state.newest[lane], LanePoint(epoch: last[0], sequence: last[1]) >= header.point {
      Breaches.add(
        "handled-once: \(context.agent) got \(header.point) of \(lane) after \(last)", in: settings.run)
    }
    // What comes again comes late.
    if context.attempt == 1 { state.newest[lane] = [header.epoch, header.sequence] }
    state.handled += 1
    if header.type == Entry.eventType, let delay = Self.reminderDelay(of: header.id) {
      try context.schedule(Reminder(of: header.id), after: .microseconds(delay))
    }
    if echoes { try await context.publish(Echo(of: header.id)) }
    if rings { try await context.publish(Bell(of: header.id)) }
    let isMended = header.channel == .persistent && context.attempt > 1 && Self.failsOnce(on: header.id)
    if Self.fails(on: header.id, oneIn: settings.failOneIn), !isMended {
      throw HyphaError(.failed, "the watcher fails on purpose")
    }
  }

  private func see(in context: Context) async throws {
    guard let header = context.event else { return }
    let key = "\(header.agent) \(header.subject) \(header.addressee?.text ?? "")"
    if let last = signals[key], last >= header.point {
      Breaches.add(
        "realtime-never-older: \(context.agent) got \(header.point) after \(last)", in: settings.run)
    }
    signals[key] = header.point
    if header.sequence % 3 == 0 { try await context.publish(Bell(of: header.id, isForSignal: true)) }
  }
}
