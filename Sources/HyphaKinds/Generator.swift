public import HyphaCore
public import HyphaRuntime

/// Publishes synthetic load: `count` events, one every `every`, all of which follow from its seed.
///
/// Settings: `event` (`signal`, `alarm` or `entry`), `count`, `every` (milliseconds, may be a fraction; 0
/// publishes as fast as commits allow), `to` (agent ids, taken in turn; none means all subscribers), `subject`
/// (default `load.<agent>`), `padding` (bytes), `seed`.
public actor Generator: Agent {
  public static let kind = "generator"
  public static let publishes: [any Event.Type] = [Signal.self, Alarm.self, Entry.self]
  public static let settingNames: Set<String> = [
    "event", "count", "every", "to", "subject", "padding", "seed",
  ]
  public static let finishes = true

  struct Settings: Decodable {
    enum Load: String, Decodable { case signal, alarm, entry }
    var event: Load
    var count: Int64
    var every: Double?
    var to: [AgentID]?
    var subject: Subject?
    var padding: Int?
    var seed: UInt64?

    func check() throws {
      guard count >= 0, every ?? 0 >= 0, (0...100_000).contains(padding ?? 0) else {
        throw HyphaError(
          .invalidTopology, "a generator's count or every is negative, or its padding out of range",
          remedy: "use count and every from 0, and padding from 0 to 100000")
      }
    }
  }

  public static func check(_ settings: JSONValue) throws {
    try settings.decoded(as: Settings.self).check()
  }

  /// How far the load has come. Realtime load is not worth a commit for each event, so it is not counted here
  /// and begins anew after a restart.
  public struct State: Codable, Sendable {
    var next: Int64 = 0
  }

  /// The most events that are published in one go.
  static let burstMax: Int64 = 64

  public var state = State()
  private var next: Int64 = 0
  private var value: Int64 = 0
  private var random = SeededGenerator(seed: 0)
  private var settings: Settings?
  private var began: Timestamp?

  public init() {}

  public func start(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    try settings.check()
    self.settings = settings
    random = SeededGenerator(seed: settings.seed ?? 1, name: context.agent.text)
    // The values of events that were published before a restart are drawn again.
    while next < state.next { _ = draw() }
    began = context.now
    try await publishDue(in: context)
  }

  public func wake(in context: Context) async throws { try await publishDue(in: context) }

  private func publishDue(in context: Context) async throws {
    guard let settings, let began else { return }
    let elapsed = Double(context.now.since(began).wholeMicroseconds) / 1000
    let every = settings.every ?? 1
    var left = Self.burstMax
    while next < settings.count, left > 0, Double(next - state.next) * every <= elapsed || every == 0 {
      let to = settings.to.flatMap { $0.isEmpty ? nil : $0[Int(next) % $0.count] }
      try await publish(settings, to: to, in: context)
      left -= 1
    }
    if settings.event != .signal { restartClock(in: context) }
    context.report("generated", next)
    if next >= settings.count {
      context.finish()
    } else {
      context.wake(after: .microseconds(Int64(min(every, 60_000) * 1000)))
    }
  }

  /// Durable progress moves, and the time of the next event counts from here.
  private func restartClock(in context: Context) {
    guard state.next < next else { return }
    state.next = next
    began = context.now
  }

  private func publish(_ settings: Settings, to addressee: AgentID?, in context: Context) async throws {
    let subject = try settings.subject ?? Subject("load.\(context.agent)")
    let padding = String(repeating: "x", count: settings.padding ?? 0)
    let index = next
    let value = draw()
    switch settings.event {
    case .signal:
      try await context.publish(
        Signal(subject: subject, index: index, value: value, padding: padding), to: addressee)
    case .alarm:
      try await context.publish(
        Alarm(subject: subject, index: index, value: value, padding: padding), to: addressee)
    case .entry:
      try await context.publish(
        Entry(subject: subject, index: index, value: value, padding: padding), to: addressee)
    }
  }

  private func draw() -> Int64 {
    next += 1
    value += Int64(random.next() % 21) - 10
    return value
  }
}
