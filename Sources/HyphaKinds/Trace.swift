public import HyphaCore
import HyphaFormats
public import HyphaRuntime

/// One resource of a recorded process hands a case over to the next.
public struct HandedOver: Event {
  public static let eventType: EventTypeName = "work.HandedOver"
  /// The place in the recorded order of all hand-overs, from 0.
  public var index: Int
  /// The case, as the recording names it.
  public var caseID: String
  /// What the next resource is to do.
  public var activity: String
  /// When it was recorded, in microseconds since 1970.
  public var recordedAt: Int64

  public var subject: Subject { Subject(ofCase: caseID) }
}

/// The resource that got a case last is done with it. Without this it would state nothing, and whoever looks for who did what
/// would not find it.
public struct CaseClosed: Event {
  public static let eventType: EventTypeName = "work.CaseClosed"
  /// The case, as the recording names it.
  public var caseID: String
  /// What the resource has done.
  public var activity: String

  public var subject: Subject { Subject(ofCase: caseID) }
}

extension Subject {
  fileprivate init(ofCase caseID: String) {
    let name = caseID.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : "-" }
    self = (try? Subject("case.\(String(name.prefix(60)))")) ?? "case"
  }
}

/// Acts out one resource of a recorded process: makes its hand-overs in recorded order, each once the case has
/// reached it, and checks that it gets all that the recording has for it, each once.
///
/// Settings: `file` (a hand-over file or an event log), `resource` (its name in the recording; default the one
/// whose agent this is), `speed` (times recorded speed; 0, the default, does not wait).
public actor Trace: Agent {
  public static let kind = "trace"
  public static let handles = Handlers(Trace.self).on(HandedOver.self) { try await $0.take($1, in: $2) }
  public static let publishes: [any Event.Type] = [HandedOver.self, CaseClosed.self]
  public static let settingNames: Set<String> = ["file", "resource", "speed"]
  public static let finishes = true

  struct Settings: Decodable {
    var file: String
    var resource: String?
    var speed: Double?
  }

  public static func check(_ settings: JSONValue) throws { _ = try settings.decoded(as: Settings.self) }

  /// How far the agent has come.
  public struct State: Codable, Sendable {
    /// When it began, in microseconds since 1970.
    var began: UInt64?
    /// How many of its hand-overs it has made.
    var made = 0
    /// Which hand-overs it got: a bit for each, by its place among those for this resource.
    var got: [UInt64] = []
    var gotCount: Int64 = 0
    /// Hand-overs that it got a second time; there must be none.
    var doubled: Int64 = 0
    /// Hand-overs that came before an earlier one from the same agent; there must be none.
    var disordered: Int64 = 0
    /// Hand-overs that the recording does not have for this resource; there must be none.
    var strange: Int64 = 0
    /// What brought the cases that are here and not handed on yet, by the index of the hand-over that did.
    var causes: [Int: Cause] = [:]
    /// The index of the newest hand-over from each agent.
    var newest: [String: Int] = [:]
  }

  /// The most hand-overs that are made in one go.
  static let burstMax = 128

  public var state = State()
  private var script = HandOverScript(of: "", in: [], ResourceAgents([]))
  private var speed = 0.0
  private var isWaiting = false

  public init() {}

  public func start(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    let (recording, agents) = try Recordings.load(settings.file)
    let resource = settings.resource ?? agents.agents.first { $0.value == context.agent }?.key
    guard let resource, agents.agents[resource] == context.agent else {
      throw HyphaError(
        .invalidTopology, "agent '\(context.agent)' acts out no resource of \(settings.file)",
        remedy: "write the topology with 'hypha init --from \(settings.file)'")
    }
    let script = HandOverScript(of: resource, in: recording, agents)
    if state.began == nil {
      state.began = context.now.microseconds
      state.got = Array(repeating: 0, count: (script.incoming.count + 63) / 64)
    }
    guard state.got.count == (script.incoming.count + 63) / 64, state.made <= script.outgoing.count else {
      throw HyphaError(
        .invalidInput, "\(settings.file) is not the recording that agent '\(context.agent)' began with",
        remedy: "give the same file, or begin with an empty data directory")
    }
    self.script = script
    speed = max(0, settings.speed ?? 0)
    try await makeDue(in: context)
  }

  public func wake(in context: Context) async throws {
    isWaiting = false
    try await makeDue(in: context)
  }

  private func take(_ event: HandedOver, in context: Context) async throws {
    let sender = context.event?.agent.text ?? ""
    if let place = script.incoming[event.index] {
      if has(place) {
        state.doubled += 1
      } else {
        state.got[place / 64] |= 1 << UInt64(place % 64)
        state.gotCount += 1
        if script.handedOn.contains(event.index) {
          state.causes[event.index] = context.cause
        } else {
          try await context.publish(CaseClosed(caseID: event.caseID, activity: event.activity))
        }
      }
    } else {
      state.strange += 1
    }
    if let newest = state.newest[sender], newest >= event.index { state.disordered += 1 }
    state.newest[sender] = max(event.index, state.newest[sender] ?? 0)
    try await makeDue(in: context)
  }

  /// Makes the hand-overs whose time has come and whose case is here.
  private func makeDue(in context: Context) async throws {
    var left = Self.burstMax
    while state.made < script.outgoing.count {
      let next = script.outgoing[state.made]
      if let predecessor = next.predecessor {
        guard let place = script.incoming[predecessor], has(place) else { break }
      }
      let wait = timeUntil(next, now: context.now)
      guard wait <= .zero, left > 0 else {
        wake(after: max(wait, .zero), in: context)
        break
      }
      let event = HandedOver(
        index: next.index, caseID: next.caseID, activity: next.activity, recordedAt: next.time)
      let cause = next.predecessor.flatMap { state.causes.removeValue(forKey: $0) }
      try await context.publish(event, to: script.agents[next.to], because: cause ?? .nothing)
      state.made += 1
      left -= 1
    }
    report(in: context)
  }

  private func has(_ place: Int) -> Bool { state.got[place / 64] >> UInt64(place % 64) & 1 == 1 }

  private func timeUntil(_ handOver: HandOver, now: Timestamp) -> Duration {
    guard speed > 0, let began = state.began else { return .zero }
    let due = Double(began) + Double(handOver.time - script.start) / speed
    return .microseconds(Int64(min(due - Double(now.microseconds), 3.6e9)))
  }

  private func wake(after delay: Duration, in context: Context) {
    guard !isWaiting else { return }
    isWaiting = true
    context.wake(after: delay)
  }

  private func report(in context: Context) {
    context.report("hand-overs recorded", Int64(script.incoming.count))
    context.report("hand-overs delivered", state.gotCount)
    context.report("hand-overs doubled", state.doubled)
    context.report("hand-overs out of order", state.disordered)
    context.report("hand-overs not recorded", state.strange)
    if state.made == script.outgoing.count && state.gotCount == Int64(script.incoming.count) {
      context.finish()
    }
  }
}
