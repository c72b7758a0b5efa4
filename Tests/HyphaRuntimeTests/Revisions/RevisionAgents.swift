import HyphaCore
import HyphaTopology
import HyphaTransport
import Synchronization

@testable import HyphaRuntime

/// One of the numbers that a ``Beater`` counts.
struct RevisionTick: Event {
  static let eventType: EventTypeName = "rev.RevisionTick"
  var index: Int
}

/// Something that a supervisor may have to let pass.
struct Plea: Event {
  static let eventType: EventTypeName = "rev.Plea"
  var index: Int
}

/// A ``TickTaker`` has taken a tick or a plea.
struct TickTaken: Event {
  static let eventType: EventTypeName = "rev.TickTaken"
  var of: EventID
  var type: EventTypeName
  var author: AgentID
  var index: Int
  var isAddressed: Bool
}

/// Every tenth of them, to one of those that a ``Beater`` is told of.
struct RevisionBell: Event {
  static let eventType: EventTypeName = "rev.Bell"
  static let channel = Channel.alert
  var index: Int
}

/// A ``TickTaker`` has heard a bell.
struct BellTaken: Event {
  static let eventType: EventTypeName = "rev.BellTaken"
  var of: EventID
}

/// Counts every 5 ms, to all and to those that it is told of; and goes on where it was.
actor Beater: Agent {
  static let publishes: [any Event.Type] = [RevisionTick.self, RevisionBell.self, Plea.self]
  static let settingNames: Set<String> = ["to", "count", "every", "isMute", "pleads"]
  static let finishes = true
  struct Settings: Decodable {
    var to: [AgentID]
    var count: Int
    /// Milliseconds.
    var every: Int64?
    /// Whether it rings no bells.
    var isMute: Bool?
    /// Whether it pleads with each tick.
    var pleads: Bool?
  }
  struct State: Codable { var count = 0 }
  var state = State()

  func start(in context: Context) async throws { try goOn(context) }

  func wake(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    guard state.count < settings.count else { return context.finish() }
    let tick = RevisionTick(index: state.count)
    try await context.publish(tick)
    for agent in settings.to { try await context.publish(tick, to: agent) }
    if settings.pleads == true { try await context.publish(Plea(index: state.count)) }
    if state.count.isMultiple(of: 10), settings.isMute != true, let agent = settings.to.first {
      try await context.publish(RevisionBell(index: state.count), to: agent)
    }
    state.count += 1
    try goOn(context)
  }

  private func goOn(_ context: Context) throws {
    let settings = try context.settings(Settings.self)
    guard state.count < settings.count else { return context.finish() }
    context.wake(after: .milliseconds(settings.every ?? 5))
  }
}

/// States what it takes; where it is told to, it lets every second plea pass.
actor TickTaker: Agent {
  static let handles = Handlers(TickTaker.self).on(RevisionBell.self) { agent, bell, context in
    guard let event = context.event else { return }
    try await context.publish(BellTaken(of: event.id))
  }.on(RevisionTick.self) { try await $0.take($1.index, in: $2) }
    .on(Plea.self) { agent, plea, context in
      try await agent.take(plea.index, in: context)
      guard try context.settings(Settings.self).passes == true, plea.index.isMultiple(of: 2) else { return }
      try await context.publish(Plea(index: agent.state.passed ?? 0))
      agent.state.passed = (agent.state.passed ?? 0) + 1
    }
    .on(OversightDigest.self) { _, _, _ in }
    .on(AlertEscalated.self) { _, _, _ in }
  static let publishes: [any Event.Type] = [TickTaken.self, BellTaken.self, Plea.self]
  static let settingNames: Set<String> = ["passes"]
  struct Settings: Decodable { var passes: Bool? }
  struct State: Codable {
    var count = 0
    var passed: Int?
  }
  var state = State()

  private func take(_ index: Int, in context: Context) async throws {
    guard let event = context.event else { return }
    state.count += 1
    try await context.publish(
      TickTaken(
        of: event.id, type: event.type, author: event.agent, index: index, isAddressed: event.addressee != nil
      ))
  }
}

/// Texts and what they say, for tests without a parser.
final class TopologyTexts: Sendable {
  private let known = Mutex<[String: Topology]>([:])

  func text(_ topology: Topology) throws -> String {
    let text = try TopologyWriter.text(topology)
    known.withLock { $0[text] = topology }
    return text
  }

  func file(_ topology: Topology) throws -> TopologyText {
    TopologyText(try text(topology)) { text in
      guard let topology = self.known.withLock({ $0[text] }) else {
        throw HyphaError(.invalidTopology, "an unknown text")
      }
      return topology
    }
  }
}
