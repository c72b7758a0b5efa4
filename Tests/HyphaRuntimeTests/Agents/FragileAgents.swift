import HyphaCore
import HyphaRuntime
import Synchronization

/// Does with each note what its text says, and counts what it has done.
actor Fragile: Agent {
  static let handles = Handlers(Fragile.self)
    .on(Note.self) { try await $0.take($1, in: $2) }
    .on(Reminder.self) { $0.remind(in: $2) }
  static let publishes: [any Event.Type] = [Echo.self]

  /// Of the tests of one suite, one after the other.
  static let scheduler = Mutex<(any Scheduler)?>(nil)

  struct Hopeless: PermanentFailure {}

  struct State: Codable, Equatable {
    var texts: [String] = []
    var reminders: [UInt64] = []
    var starts = 0
    var timer: EventID?
    var errors: [String] = []
  }

  var state = State()
  /// Gone with the actor.
  private var memory = 0

  func start(in context: Context) { state.starts += 1 }

  /// A note's text: what to do, and a number.
  private func take(_ note: Note, in context: Context) async throws {
    let words = note.text.split(separator: " ").map(String.init)
    let number = Int(words.dropFirst().first ?? "") ?? 0
    memory += 1
    state.texts.append("\(note.text)#\(context.attempt)/\(memory)")
    try await context.publish(Echo(of: context.event?.id ?? .none))
    switch words.first {
    case "fail" where context.attempt <= number: throw HyphaError(.failed, "attempt \(context.attempt)")
    case "hopeless": throw Hopeless()
    case "remind":
      state.timer = try context.schedule(
        Reminder(of: context.event?.id ?? .none), after: .milliseconds(number))
    case "remind-and-fail":
      try context.schedule(Reminder(of: .none), after: .milliseconds(number))
      throw Hopeless()
    case "cancel": if let timer = state.timer { try context.cancel(timer) }
    case "misuse": misuse(in: context)
    case "fill": try fill(number, in: context)
    case "stuck":
      let scheduler = Self.scheduler.withLock { $0 }
      await withCheckedContinuation { continuation in
        scheduler?.schedule(after: .milliseconds(number)) { continuation.resume() }
      }
    default: break
    }
  }

  private func misuse(in context: Context) {
    func attempt(_ body: () throws -> Void) {
      do { try body() } catch { state.errors.append("\(error)") }
    }
    attempt { try context.schedule(Echo(of: .none), after: .seconds(1)) }
    attempt { try context.schedule(Reminder(of: .none), after: .seconds(-1)) }
    attempt { for _ in 0...4096 { try context.schedule(Reminder(of: .none), after: .seconds(86400)) } }
  }

  /// Sets as many timers as may be, after cancelling as many that are none, and each of three others twice.
  private func fill(_ cancelCount: Int, in context: Context) throws {
    for number in 0..<cancelCount { try context.cancel(EventID(high: 7, low: UInt64(number))) }
    for _ in 0..<3 {
      let timer = try context.schedule(Reminder(of: .none), after: .seconds(86400))
      for _ in 0..<2 { try context.cancel(timer) }
    }
    var count = 0
    do {
      while count < 20_000 {
        try context.schedule(Reminder(of: .none), after: .seconds(86400))
        count += 1
      }
    } catch let error as HyphaError { state.errors.append("\(count): \(error.code)") }
  }

  private func remind(in context: Context) {
    state.reminders.append(context.now.microseconds / 1000)
  }
}
