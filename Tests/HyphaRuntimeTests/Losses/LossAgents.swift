import HyphaCore
import HyphaRuntime
import Synchronization

/// Worth something for a moment.
struct Beep: Event {
  static let eventType: EventTypeName = "test.Beep"
  static let channel = Channel.realtime
  static let timeToLive = Duration.milliseconds(25)
  var subject: Subject
}

/// What agents have seen themselves of realtime events, by run: it outlives them, and knows nothing of nodes.
final class Witness: Sendable {
  struct Publication {
    var id: EventID
    var from: AgentID
    var addressee: AgentID?
    var subject: Subject
  }

  struct State {
    var published: [Publication] = []
    var delivered: [(agent: AgentID, id: EventID)] = []
    var isQuiet = false
    /// How often each agent's node was killed: what an agent of a killed node still does, no agent does.
    var deaths: [AgentID: Int] = [:]
  }

  private static let all = Mutex<[String: Witness]>([:])
  let scheduler: any Scheduler
  let state = Mutex(State())

  init(_ run: String, scheduler: any Scheduler) {
    self.scheduler = scheduler
    Self.all.withLock { $0[run] = self }
  }

  static func of(_ run: String) -> Witness? { all.withLock { $0[run] } }
  static func remove(_ run: String) { all.withLock { $0[run] = nil } }
}

/// Beeps in bursts, to all or in turn to some, until its run is told to be quiet.
actor Beeper: Agent {
  static let kind = "beeper"
  static let publishes: [any Event.Type] = [Beep.self]
  static let settingNames: Set<String> = ["run", "burst", "everyMs", "subjects", "to", "count"]

  struct Settings: Decodable {
    var run: String
    var burst: Int
    var everyMs: Int64
    var subjects: Int
    var to: [AgentID]
    /// How many beeps there are from one start to the next.
    var count: Int
  }

  private var number = 0

  func start(in context: Context) async throws { context.wake(after: .milliseconds(1)) }

  func wake(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    guard let witness = Witness.of(settings.run), !witness.state.withLock({ $0.isQuiet }) else { return }
    for _ in 0..<min(settings.burst, settings.count - number) {
      number += 1
      let subject = try Subject("s.\(number % settings.subjects)")
      // What goes to other nodes comes in any order: no more at once than gaps are remembered.
      let toAll = settings.to.isEmpty || number % 3 == 0 && settings.burst < 200
      let to = toAll ? nil : settings.to[number % settings.to.count]
      let id = try await context.publish(Beep(subject: subject), to: to)
      let publication = Witness.Publication(id: id, from: context.agent, addressee: to, subject: subject)
      witness.state.withLock { $0.published.append(publication) }
    }
    if number < settings.count { context.wake(after: .milliseconds(settings.everyMs)) }
  }
}

/// Takes beeps; every so often one costs it some milliseconds.
actor Listener: Agent {
  static let kind = "listener"
  static let settingNames: Set<String> = ["run", "slowOneIn", "slowMs"]
  static let handles = Handlers(Listener.self)
    .on(Beep.self) { try await $0.take(in: $2) }

  struct Settings: Decodable {
    var run: String
    var slowOneIn: Int
    var slowMs: Int64
  }

  private var count = 0
  private var deaths = 0
  private var settings: Settings?
  private var witness: Witness?

  func start(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    (self.settings, witness) = (settings, Witness.of(settings.run))
    deaths = witness?.state.withLock { $0.deaths[context.agent] } ?? 0
  }

  private func take(in context: Context) async throws {
    guard let id = context.event?.id, let settings, let witness else { return }
    witness.state.withLock { state in
      if state.deaths[context.agent] ?? 0 == deaths { state.delivered.append((context.agent, id)) }
    }
    count += 1
    guard settings.slowOneIn > 0, count % settings.slowOneIn == 0 else { return }
    await withCheckedContinuation { continuation in
      witness.scheduler.schedule(after: .milliseconds(settings.slowMs)) { continuation.resume() }
    }
  }
}

/// Subscribes to what it has no handler for.
actor Deaf: Agent {
  static let kind = "deaf"
}
