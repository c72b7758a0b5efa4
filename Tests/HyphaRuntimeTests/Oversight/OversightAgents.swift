import HyphaCore
import HyphaRuntime
import HyphaTopology

/// Something that is to be decided on.
struct Request: Event {
  static let eventType: EventTypeName = "test.Request"
  var number: Int
}

/// Requests again and again.
actor Requester: Agent {
  static let kind = "requester"
  static let settingNames: Set<String> = ["count", "to", "every"]
  static let publishes: [any Event.Type] = [Request.self]
  static let finishes = true
  struct Settings: Decodable {
    var count: Int
    var to: AgentID?
    /// Milliseconds.
    var every: Int64?
  }
  struct State: Codable { var count = 0 }
  var state = State()

  func start(in context: Context) async throws { context.wake(after: .milliseconds(5)) }

  func wake(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    guard state.count < settings.count else { return context.finish() }
    state.count += 1
    context.wake(after: .milliseconds(settings.every ?? 5))
    try await context.publish(Request(number: state.count), to: settings.to)
  }
}

/// Takes requests; as a head of others it states those with even numbers once more.
actor Desk: Agent {
  static let kind = "desk"
  static let settingNames: Set<String> = ["passes"]
  static let publishes: [any Event.Type] = [Request.self]
  static let handles = Handlers(Desk.self)
    .on(Request.self) { try await $0.take($1, in: $2) }
    .on(OversightDigest.self) { desk, digest, _ in desk.state.digests.append(digest) }
    .on(HandlerFailed.self) { _, _, _ in }

  struct Settings: Decodable { var passes: Bool? }
  struct State: Codable {
    var authors: [AgentID] = []
    var numbers: [Int] = []
    var digests: [OversightDigest] = []
  }
  var state = State()

  private func take(_ request: Request, in context: Context) async throws {
    guard let author = context.event?.agent else { return }
    state.authors.append(author)
    state.numbers.append(request.number)
    guard try context.settings(Settings.self).passes == true, request.number.isMultiple(of: 2) else { return }
    try await context.publish(request)
  }
}
