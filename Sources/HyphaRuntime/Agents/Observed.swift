public import HyphaCore
import HyphaLog

/// What an agent's handlers have taken that no log has, and in which order they ran where that does not follow from the log: all
/// that is needed, beside the log, to run them again (docs/replay.md).
///
/// The agent states it, to nobody, in the commit of what those handlers did and before that. An input whose handler took nothing of
/// the kind has no part in it.
public struct Observed: Event {
  public static let eventType = EventTypeName.observed
  /// How many persistent events of the agent follow it in its commit.
  public var left: Int
  /// The calls, in the order in which they were made.
  public var calls: [ObservedCall]
  /// The shared values that the calls have read, each once; missing for none.
  var values: [Input]?

  public var subject: Subject { Subject(slug: Self.eventType.text) }

  /// The most calls in one event, so that its payload stays within bounds; a commit has as many events as it needs.
  static let callCountMax = 256
  /// The most bytes of one event, about: those of inputs and answers are what makes it large.
  static let byteCountMax = 256 << 10
}

/// One call of an agent's, as far as the log does not say how it went.
///
/// Calls with a persistent event, on its first attempt, that took nothing, returned, and published nothing but persistent events
/// caused by it are not recorded: they ran in the order of the log.
public struct ObservedCall: Codable, Sendable {
  /// What was called.
  public enum Kind: String, Codable, Sendable {
    /// ``Agent/start(in:)`` of a new actor.
    case start
    /// ``Agent/wake(in:)``.
    case wake
    /// The handler of an event that the log has.
    case event
    /// The handler of a realtime event.
    case realtime
    /// The function that answers a question.
    case question
    /// None: a timer has fired.
    case timer
  }

  /// Events that the call stated.
  public struct Outputs: Codable, Sendable {
    /// The time of the first, as its record has it. The others are the agent's next ones by time, besides those of the bus.
    public var first: UInt64
    /// How many they are.
    public var count: Int
  }

  /// A timer that the call has set.
  public struct Timer: Codable, Sendable, Hashable {
    /// What the handler was given.
    public var id: EventID
    /// How long until it is due, in microseconds.
    public var after: UInt64
  }

  public var kind: Kind
  /// The place in the log of the newest persistent event that the agent had handled before. For a persistent event on its first
  /// attempt: all before it.
  public var after: UInt64?
  /// Where the event stands in the log.
  public var at: UInt64?
  /// How often the handler was called with it, this time included; missing for the first.
  public var attempt: Int?
  /// The realtime event or the question.
  var input: Input?
  /// Until when the asker waits, as a ``Timestamp``.
  public var dueAt: UInt64?
  /// When the call began, as a ``Timestamp``, where the handler has looked.
  public var now: UInt64?
  /// What it has read from the clock later, as ``Timestamp``s.
  public var clock: [UInt64]?
  /// What it has drawn.
  public var random: [UInt64]?
  /// What its questions came to, by their numbers from 1.
  public var answers: [ObservedAnswer]?
  /// What each of its reads of shared values found: numbers among the ``Observed``'s values, from 0.
  public var reads: [[Int]]?
  /// The same, as records; not encoded.
  var values: [[Record]] = []
  /// The timers that it has set, in order; for a timer that has fired, that one.
  public var timers: [Timer]?
  /// What it stated; missing for nothing.
  public var outputs: Outputs?
  /// What it threw.
  public var threw: String?
  /// Whether it took more than is recorded, and so cannot be made again.
  public var isCut: Bool?

  private enum CodingKeys: String, CodingKey {
    case kind = "call"
    case after, at, attempt, input, dueAt, now, clock, random, answers, reads, timers, outputs, threw
    case isCut = "cut"
  }

  init(_ kind: Kind, after: Position? = nil) {
    self.kind = kind
    self.after = after?.rawValue
  }
}

/// What a question came to.
public struct ObservedAnswer: Codable, Sendable {
  /// Which question of its call it was, from 1.
  public var number: Int
  var answered: Answered?
  /// Why there was no answer.
  var failure: Failure?

  struct Failure: Codable, Sendable {
    /// A ``HyphaError``'s code; missing where the task was cancelled.
    var code: String?
    var problem: String?
    var remedy: String?
    var cause: String?

    init(_ error: any Error) {
      guard let error = error as? HyphaError else { return }
      (code, problem, remedy, cause) = (error.code.description, error.problem, error.remedy, error.cause)
    }

    var error: any Error {
      guard let code, let problem else { return CancellationError() }
      return HyphaError(HyphaError.Code(name: code), problem, remedy: remedy, cause: cause)
    }
  }

  /// What the agent that asked is given.
  func outcome() throws -> Answered.Outcome {
    if let answered { return answered.outcome }
    throw failure?.error ?? CancellationError()
  }
}

extension Input: Codable {
  init(from decoder: any Decoder) throws {
    let bytes = try decoder.singleValueContainer().decode(Base64Bytes.self).bytes
    self = .record(try Record(decoding: bytes))
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(Base64Bytes(try record().bytes))
  }

  /// The event as bytes, encoded where it came as a value.
  func record() throws -> Record {
    switch self {
    case .record(let record): return record
    case .value(let run, let index):
      var payload: [UInt8] = []
      try run.event(at: index).encode(into: &payload)
      return try Record(header, payload: payload)
    }
  }
}

/// What one call has taken so far that no log has.
struct Taken: Sendable {
  var readsNow = false
  var clock: [UInt64] = []
  var random: [UInt64] = []
  var answers: [ObservedAnswer] = []
  /// What each read of shared values found.
  var reads: [[Record]] = []
  private var readByteCount = 0
  /// How long until the timers are due that were set, in microseconds.
  var delays: [UInt64] = []
  var firstAlert: Timestamp?
  var alertCount = 0
  var isCut = false

  /// The most values of one call that are recorded, and the most bytes of shared ones.
  static let countMax = 16_384
  static let readByteCountMax = 256 << 10

  mutating func read(_ values: [Record]) {
    readByteCount += values.reduce(0) { $0 + $1.byteCount }
    if readByteCount > Self.readByteCountMax { isCut = true } else { reads.append(values) }
  }

  /// Whether another value is to be recorded.
  mutating func hasRoom() -> Bool {
    guard clock.count + random.count + answers.count + reads.count >= Self.countMax else { return true }
    isCut = true
    return false
  }
}
