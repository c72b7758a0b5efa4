import HyphaCore
import HyphaRuntime

/// What a ``Sharer`` shares: one of three topics, numbered through.
struct Board: SharedValue {
  static let eventType: EventTypeName = "test.Board"
  var number: Int

  var subject: Subject { Self.about(number % 3) }
  static func about(_ topic: Int) -> Subject { Subject(slug: "board.\(topic)") }
}

/// Lets a ``BoardReader`` look again.
struct Glance: Event {
  static let eventType: EventTypeName = "test.Glance"
  var number: Int
}

/// What a reader has read of one key.
struct Sight: Codable, Sendable {
  var author: AgentID
  /// The subject that was asked for; nil for the newest of all.
  var about: Subject?
  /// In microseconds.
  var bound: UInt64?
  var found: Found?

  struct Found: Codable, Sendable, Hashable {
    var author: AgentID
    var epoch: UInt64
    var sequence: UInt64
    var number: Int
    var statedAt: Timestamp
    var ageMicroseconds: UInt64

    init(_ shared: Shared<Board>) {
      author = shared.author
      (epoch, sequence) = (shared.version.epoch, shared.version.sequence)
      number = shared.value.number
      statedAt = shared.statedAt
      ageMicroseconds = shared.age.wholeMicroseconds
    }

    var version: LanePoint { LanePoint(epoch: epoch, sequence: sequence) }
  }
}

/// All that a reader has read in one go.
struct Sighted: Event {
  static let eventType: EventTypeName = "test.Sighted"
  var now: Timestamp
  var sights: [Sight]
  var all: [Sight.Found]

  /// Reads what there is of up to three authors.
  init(in context: Context) throws {
    now = context.now
    sights = []
    for author in ["share0", "share1", "share2"] as [AgentID] {
      for about in [nil, Board.about(0), Board.about(1)] {
        for bound in [nil, 5_000] as [UInt64?] {
          let shared = try context.shared(
            Board.self, by: author, about: about, notOlderThan: bound.map { .microseconds(Int64($0)) })
          sights.append(Sight(author: author, about: about, bound: bound, found: shared.map { .init($0) }))
        }
      }
    }
    all = try context.shared(Board.self).map { .init($0) }
  }
}

/// Shares values, one after the other.
actor Sharer: Agent {
  static let kind = "test-sharer"
  static let publishes: [any Event.Type] = [Board.self]
  static let settingNames: Set<String> = ["count", "every"]
  static let finishes = true

  struct Settings: Decodable {
    var count: Int
    var every: Int
  }
  struct State: Codable { var number = 0 }
  var state = State()

  func start(in context: Context) { context.wake(after: .zero) }

  func wake(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    guard state.number < settings.count else { return context.finish() }
    state.number += 1
    try await context.publish(Board(number: state.number))
    context.wake(after: .milliseconds(settings.every))
  }
}

/// Reads now and then what others share, and has no handler for it.
actor BoardReader: Agent {
  static let kind = "test-board-reader"
  static let handles = Handlers(BoardReader.self).on(Glance.self) { try await $0.look($1.number, in: $2) }
  static let reads: [any SharedValue.Type] = [Board.self]
  static let publishes: [any Event.Type] = [Sighted.self]
  static let settingNames: Set<String> = ["count", "every"]
  static let finishes = true

  struct State: Codable { var ticks = 0 }
  var state = State()

  func start(in context: Context) throws {
    let settings = try context.settings(Sharer.Settings.self)
    if state.ticks == 0 {
      state.ticks = 1
      try context.schedule(Glance(number: 1), after: .milliseconds(settings.every))
    } else if state.ticks > settings.count {
      context.finish()
    }
  }

  private func look(_ number: Int, in context: Context) async throws {
    let settings = try context.settings(Sharer.Settings.self)
    try await context.publish(Sighted(in: context))
    state.ticks = number + 1
    guard number < settings.count else { return context.finish() }
    try context.schedule(Glance(number: number + 1), after: .milliseconds(settings.every))
  }
}

/// Reads what others share whenever it is given some of it.
actor BoardFollower: Agent {
  static let kind = "test-board-follower"
  static let handles = Handlers(BoardFollower.self).on(Board.self) {
    try await $2.publish(Sighted(in: $2))
    _ = ($0, $1)
  }
  static let reads: [any SharedValue.Type] = [Board.self]
  static let publishes: [any Event.Type] = [Sighted.self]
  static let settingNames: Set<String> = ["count", "every"]
}
