public import HyphaCore
import HyphaFormats
import HyphaLog
public import HyphaReplay

/// Which events a command is about, on its command line.
struct FilterOptions: ArgumentGroup {
  @Option(help: "Only these streams: AGENT, AGENT/CHANNEL or AGENT@EPOCH/CHANNEL.", valueName: "stream")
  var stream: [EntryFilter.StreamSelection] = []
  @Option(help: "Only subjects that match; '*' is one token, a last '>' the rest.", valueName: "pattern")
  var subject: Pattern?
  @Option(help: "Only these event types.", valueName: "type") var type: [EventTypeName] = []
  @Option(
    help: "No events of types that match, such as 'hypha.>' for what the bus states.", valueName: "pattern")
  var without: [Pattern] = []
  @Option(help: "Only the event with this id.", valueName: "id") var event: EventID?
  @Option(help: "Only events of this conversation.", valueName: "id") var correlation: EventID?
  @Option(help: "Only events that this one caused directly.", valueName: "id") var cause: EventID?
  @Option(help: "Only events of this channel.") var channel: Channel?

  /// The filter that the options describe.
  var filter: EntryFilter {
    var filter = EntryFilter()
    filter.streams = stream
    filter.subject = subject
    filter.types = Set(type)
    filter.excludedTypes = Set(without)
    filter.event = event
    filter.correlation = correlation
    filter.cause = cause
    filter.channel = channel
    return filter
  }
}

extension EntryFilter.StreamSelection: ExpressibleByArgument {
  /// The selection that `argument` spells: `agent`, `agent/channel`, `agent@epoch` or `agent@epoch/channel`.
  public init?(argument: String) {
    guard let value = try? Self(spelled: argument) else { return nil }
    self = value
  }

  /// The selection that `argument` spells, or why it is none.
  public static func parse(argument: String) throws -> Self { try Self(spelled: argument) }

  private init(spelled text: String) throws {
    let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let parts = halves[0].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    self.init(
      agent: try AgentID(String(parts[0])), epoch: parts.count > 1 ? try Self.number(parts[1]) : nil,
      channel: halves.count > 1 ? try Channel.parse(argument: String(halves[1])) : nil)
  }

  private static func number(_ text: Substring) throws -> UInt64 {
    guard let number = UInt64(text) else {
      throw HyphaError(
        .usage, "'\(text)' is no epoch",
        remedy: "use a stream such as ana/persistent, or with an epoch as 'hypha log cat --json' prints it")
    }
    return number
  }
}

/// A moment on the command line: `2026-01-31T12:00:00Z`.
struct Moment: Sendable, ExpressibleByArgument {
  let timestamp: Timestamp

  init?(argument: String) {
    guard let value = try? Self(argument) else { return nil }
    self = value
  }

  init(_ text: String) throws {
    guard let microseconds = RecordedTime.microseconds(text, form: .rfc3339), microseconds >= 0 else {
      throw HyphaError(
        .usage, "'\(text)' is no time", remedy: "use a form such as 2026-01-31T12:00:00Z (RFC 3339)")
    }
    timestamp = Timestamp(microseconds: UInt64(microseconds))
  }

  static func parse(argument: String) throws -> Self { try Self(argument) }
}

extension Timestamp {
  /// The time in UTC with microseconds, as RFC 3339 writes it.
  var text: String { RecordedTime.text(Int64(microseconds)) ?? "\(microseconds) µs" }
}

extension Pattern: ExpressibleByArgument {
  /// The pattern that `argument` spells.
  public init?(argument: String) {
    guard let value = try? Self(argument) else { return nil }
    self = value
  }
  /// The pattern that `argument` spells, or why it is none.
  public static func parse(argument: String) throws -> Pattern { try Pattern(argument) }
}

extension EventID: ExpressibleByArgument {
  /// The id that `argument` spells.
  public init?(argument: String) {
    guard let value = try? Self(argument) else { return nil }
    self = value
  }
  /// The id that `argument` spells, or why it is none.
  public static func parse(argument: String) throws -> EventID { try EventID(argument) }
}

extension EventTypeName: ExpressibleByArgument {
  /// The name that `argument` spells.
  public init?(argument: String) {
    guard let value = try? Self(argument) else { return nil }
    self = value
  }
  /// The name that `argument` spells, or why it is none.
  public static func parse(argument: String) throws -> EventTypeName { try EventTypeName(argument) }
}

extension AgentID: ExpressibleByArgument {
  /// The name that `argument` spells.
  public init?(argument: String) {
    guard let value = try? Self(argument) else { return nil }
    self = value
  }
  /// The name that `argument` spells, or why it is none.
  public static func parse(argument: String) throws -> AgentID { try AgentID(argument) }
}

extension Channel: ExpressibleByArgument {
  /// The channel that `argument` names.
  public init?(argument: String) { self.init(name: argument) }
  /// The channel that `argument` names, or which there are.
  public static func parse(argument: String) throws -> Channel {
    guard let channel = Channel(name: argument) else {
      throw HyphaError(
        .usage, "'\(argument)' is no channel",
        remedy: "use one of \(allCases.map(\.description).joined(separator: ", "))")
    }
    return channel
  }
}

extension NodeID: ExpressibleByArgument {
  /// The name that `argument` spells.
  public init?(argument: String) {
    guard let value = try? Self(argument) else { return nil }
    self = value
  }
  /// The name that `argument` spells, or why it is none.
  public static func parse(argument: String) throws -> NodeID { try NodeID(argument) }
}
