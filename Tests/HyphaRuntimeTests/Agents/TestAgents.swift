import HyphaCore
import HyphaRuntime
import Synchronization

/// A note in its second version: the first one had no `author`.
struct Note: Event {
  static let eventType: EventTypeName = "test.Note"
  static let schemaVersion: UInt16 = 2
  static let upcasters = [
    Upcaster(from: 1) { payload in
      if case .object(var fields) = payload {
        fields["author"] = .string("unknown")
        payload = .object(fields)
      }
    }
  ]
  var text: String
  var author: String
}

/// The same note as programs of old wrote it.
struct OldNote: Event {
  static let eventType: EventTypeName = "test.Note"
  var text: String
}

/// Publishes what its settings ask for, at its start.
actor Writer: Agent {
  static let publishes: [any Event.Type] = [Note.self, OldNote.self]
  static let settingNames: Set<String> = ["texts", "to", "old", "type"]
  static let finishes = true

  struct Settings: Decodable {
    var texts: [String]
    var to: AgentID?
    var old: Bool?
  }
  struct State: Codable { var written = 0 }

  var state = State()

  func start(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    for text in settings.texts.dropFirst(state.written) {
      if settings.old == true {
        try await context.publish(OldNote(text: text), to: settings.to)
      } else {
        try await context.publish(Note(text: text, author: context.agent.text), to: settings.to)
      }
      state.written += 1
    }
    context.finish()
  }
}

/// Keeps the notes that it gets. Some texts make it misbehave.
actor Reader: Agent {
  static let handles = Handlers(Reader.self).on(Note.self) { try await $0.read($1, in: $2) }
  static let publishes: [any Event.Type] = [Echo.self, Bell.self]

  struct State: Codable, Equatable {
    var texts: [String] = []
    var authors: [String] = []
    var starts = 0
    var errors: [String] = []
  }

  var state = State()
  private var earlier: Context?

  func start(in context: Context) async throws { state.starts += 1 }

  private func read(_ note: Note, in context: Context) async throws {
    state.texts.append(note.text)
    state.authors.append(note.author)
    try await context.publish(Echo(of: context.event?.id ?? .none))
    do {
      switch note.text {
      case "undeclared": try await context.publish(Note(text: "no", author: "no"))
      case "nobody": try await context.publish(Echo(of: .none), to: "nobody")
      case "late": try await earlier?.publish(Echo(of: .none))
      default: break
      }
    } catch {
      state.errors.append("\(error)")
    }
    if note.text == "throw" { throw HyphaError(.failed, "on purpose") }
    earlier = context
  }
}

/// Rings once, 50 ms after its start, and has not returned before another 200 ms.
actor Ringer: Agent {
  static let publishes: [any Event.Type] = [Bell.self]
  static let scheduler = Mutex<(any Scheduler)?>(nil)

  struct State: Codable { var rung = 0 }
  var state = State()

  func start(in context: Context) { context.wake(after: .milliseconds(50)) }

  func wake(in context: Context) async throws {
    state.rung += 1
    try await context.publish(Bell(of: .none))
    let scheduler = Self.scheduler.withLock { $0 }
    await withCheckedContinuation { continuation in
      scheduler?.schedule(after: .milliseconds(200)) { continuation.resume() }
    }
  }
}
