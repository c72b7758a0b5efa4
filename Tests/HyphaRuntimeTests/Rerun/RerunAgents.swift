import HyphaCore
import HyphaRuntime

/// What a ``Errander`` is to do.
struct Errand: Event {
  static let eventType: EventTypeName = "test.Errand"
  var what: String
}

/// What came of it.
struct Done: Event {
  static let eventType: EventTypeName = "test.Done"
  var what: String
}

/// The same, as an alert.
struct DoneAlert: Event {
  static let eventType: EventTypeName = "test.DoneAlert"
  static let channel = Channel.alert
  var what: String
}

/// Something that wants an answer.
struct Shout: Event {
  static let eventType: EventTypeName = "test.Shout"
  static let channel = Channel.alert
  var number: Int
}

/// Something that is worth knowing only now.
struct Glimpse: Event {
  static let eventType: EventTypeName = "test.Glimpse"
  static let channel = Channel.realtime
  var value: Int
}

/// What comes later.
struct Later: Event {
  static let eventType: EventTypeName = "test.Later"
  var what: String
}

/// What a ``Teller`` knows.
struct Tell: Question {
  typealias Answer = String
  var what: String
}

/// What nobody answers.
struct Mystery: Question {
  typealias Answer = Int
}

/// Takes all that a handler can take from outside of the log, and tells what it got.
///
/// Three kinds of the same name, of which two have one line that is not as in the first.
protocol ErranderRules: Sendable {
  static var greeting: String { get }
  static var patience: Duration { get }
  static var checkpointEvery: Int { get }
  /// What the actor keeps beside its state, which shows in what it states.
  associatedtype Memory: ErranderMemory = WholeMemory
}

protocol ErranderMemory {
  init()
  var count: Int { get }
  mutating func add()
}

struct WholeMemory: ErranderMemory {
  var count = 0
  mutating func add() { count += 1 }
}

struct NoMemory: ErranderMemory {
  var count: Int { 0 }
  mutating func add() {}
}

extension ErranderRules {
  static var checkpointEvery: Int { 1_000 }
}

enum FirstRules: ErranderRules {
  static let greeting = "did"
  static let patience = Duration.milliseconds(40)
}

enum PoliteRules: ErranderRules {
  static let greeting = "have done"
  static let patience = Duration.milliseconds(40)
}

enum PatientRules: ErranderRules {
  static let greeting = "did"
  static let patience = Duration.milliseconds(41)
}

/// Of which all that shows is in the state, and that is checkpointed often.
enum OftenRules: ErranderRules {
  static let greeting = "did"
  static let patience = Duration.milliseconds(40)
  static let checkpointEvery = 5
  typealias Memory = NoMemory
}

actor Errander<Rules: ErranderRules>: Agent {
  static var kind: String { "taker" }
  static var handles: Handlers<Errander> {
    Handlers(Errander.self)
      .on(Errand.self) { try await $0.run($1.what, in: $2) }
      .on(Later.self) { try await $0.run("later \($1.what)", in: $2) }
      .on(Glimpse.self) { try await $0.see($1.value, in: $2) }
      .on(Shout.self) { try await $0.run("shout \($1.number)", in: $2) }
      .answer(Tell.self) { try await $0.tell($1.what, in: $2) }
  }
  static var publishes: [any Event.Type] { [Done.self, DoneAlert.self, Glimpse.self] }
  static var checkpointEvery: Int { Rules.checkpointEvery }

  struct State: Codable {
    var count = 0
    var starts = 0
    var timer: EventID?
  }
  var state = State()
  private var memory = Rules.Memory()

  func start(in context: Context) async throws {
    state.starts += 1
    try await context.publish(Done(what: "started at \(context.now.rawValue)"))
  }

  func wake(in context: Context) async throws {
    memory.add()
    try await context.publish(Done(what: "woke at \(context.now.rawValue), memory \(memory.count)"))
  }

  private func run(_ what: String, in context: Context) async throws {
    state.count += 1
    memory.add()
    var parts = [Rules.greeting, what, "\(state.count)", "\(memory.count)", "\(context.attempt)"]
    switch what {
    case "time": parts.append("\(context.now.rawValue)")
    case "chance": parts.append("\(context.random()) \(context.random())")
    case "ask": parts.append(try await context.ask("teller", Tell(what: "\(state.count)")))
    case "ask badly":
      do { _ = try await context.ask("teller", Tell(what: "nothing")) } catch { parts.append("\(error)") }
    case "ask itself":
      do { _ = try await context.ask("taker", Tell(what: "me")) } catch { parts.append("\(error)") }
    case "ask itself a riddle":
      do { _ = try await context.ask("taker", Mystery()) } catch { parts.append("\(error)") }
    case "ask nobody in no time":
      do { _ = try await context.ask("nobody", Mystery(), within: .zero) } catch { parts.append("\(error)") }
    case "timer":
      state.timer = try context.schedule(Later(what: "\(state.count)"), after: Rules.patience)
      parts.append("\(state.timer ?? .none)")
    case "alert": parts.append("\(try await context.publish(DoneAlert(what: "\(state.count)")))")
    case "glimpse": try await context.publish(Glimpse(value: state.count), to: "seer")
    case "wake": context.wake(after: .milliseconds(5))
    case "uncaused": try await context.publish(Done(what: "of nothing"), because: .nothing)
    case "fail once" where context.attempt == 1: throw HyphaError(.failed, "at \(context.now.rawValue)")
    case "hopeless": throw Hopeless(what: "\(context.random())")
    default: break
    }
    try await context.publish(Done(what: parts.joined(separator: " ")))
    if what == "many" { for part in 0..<5 { try await context.publish(Done(what: "part \(part)")) } }
  }

  struct Hopeless: PermanentFailure { var what: String }

  private func see(_ value: Int, in context: Context) async throws {
    state.count += value
    if value.isMultiple(of: 2) { try await context.publish(Done(what: "saw \(value), count \(state.count)")) }
  }

  private func tell(_ what: String, in context: Context) async throws -> String {
    state.count += 100
    let left = (context.remaining ?? .zero).wholeMicroseconds
    try await context.publish(Done(what: "told \(what) with \(left) left, count \(state.count)"))
    return "\(state.count)"
  }
}

/// Answers what it is asked, by chance.
actor Teller: Agent {
  static let handles = Handlers(Teller.self).answer(Tell.self) { _, question, context in
    if question.what == "nothing" { throw HyphaError(.failed, "it knows nothing") }
    return "\(question.what) is \(context.random())"
  }
}

/// Sees what takers show it, and takes errands' places.
actor Seer: Agent {
  static let handles = Handlers(Seer.self)
    .on(Glimpse.self) { _, _, _ in }
    .on(DoneAlert.self) { _, _, _ in }
  static let publishes: [any Event.Type] = [Errand.self, Glimpse.self, Shout.self]
}

/// Keeps nothing, and does later what it is told.
actor Chimer: Agent {
  static let kind = "test-chimer"
  static let handles = Handlers(Chimer.self)
    .on(Errand.self) { _, errand, context in
      try context.schedule(Later(what: errand.what), after: .seconds(2))
    }
    .on(Later.self) { _, later, context in try await context.publish(Done(what: later.what)) }
  static let publishes: [any Event.Type] = [Done.self]
}

/// Remembers how much it has done since it began, and says so when it is asked to.
actor Tallier: Agent {
  static let kind = "test-tallier"
  static let handles = Handlers(Tallier.self).on(Errand.self) { try await $0.count($1.what, in: $2) }
  static let publishes: [any Event.Type] = [Done.self]
  private var memory = 0

  private func count(_ what: String, in context: Context) async throws {
    memory += 1
    if what == "speak" { try await context.publish(Done(what: "memory \(memory)")) }
  }
}
