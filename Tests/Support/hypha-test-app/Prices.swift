import HyphaApp

/// What does an article cost?
struct Price: Question {
  typealias Answer = Int
  var article: String
}

/// What a ``Buyer`` was told; nil where nobody has answered.
struct PriceHeard: Event {
  static let eventType: EventTypeName = "test.PriceHeard"
  var number: Int
  var cents: Int?
}

/// Has one price for everything.
actor Shop: Agent {
  static let handles = Handlers(Shop.self).answer(Price.self, mayBeShared: true) { _, price, _ in
    price.article.utf8.count * 100
  }
}

/// Asks the shop for the price of a pen, again and again; an answer of the last two seconds will do.
actor Buyer: Agent {
  static let publishes: [any Event.Type] = [PriceHeard.self]
  static let settingNames: Set<String> = ["count"]
  static let finishes = true

  struct Settings: Decodable { var count: Int }
  struct State: Codable { var number = 0 }
  var state = State()

  func start(in context: Context) { context.wake(after: .milliseconds(10)) }

  func wake(in context: Context) async throws {
    var heard = PriceHeard(number: state.number)
    do {
      heard.cents = try await context.ask(
        "shop", Price(article: "pen"), within: .milliseconds(500), maxAge: .seconds(2))
    } catch let error as HyphaError where error.code == .askExpired {}
    try await context.publish(heard)
    state.number += 1
    if try state.number < context.settings(Settings.self).count {
      context.wake(after: .milliseconds(10))
    } else {
      context.finish()
    }
  }
}

/// Tells each of some agents the same, one by one, so many times.
actor Crier: Agent {
  static let publishes: [any Event.Type] = [Job.self]
  static let settingNames: Set<String> = ["to", "times"]

  struct Settings: Decodable {
    var to: [AgentID]
    var times: Int
  }
  private var times = 0

  func start(in context: Context) { context.wake(after: .milliseconds(10)) }

  func wake(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    for agent in settings.to { try await context.publish(Job(number: times), to: agent) }
    times += 1
    if times < settings.times { context.wake(after: .milliseconds(30)) }
  }
}
