public import HyphaCore
import HyphaFormats
import HyphaLog

/// Which entries of a log a command prints.
struct EntryFilter: Sendable {
  /// A stream, or all of an agent's: `agent`, `agent/channel`, `agent@epoch` or `agent@epoch/channel`.
  struct StreamSelection: Sendable, ExpressibleByArgument {
    let agent: AgentID
    let epoch: UInt64?
    let channel: Channel?

    init?(argument: String) {
      guard let value = try? Self(argument) else { return nil }
      self = value
    }

    init(_ text: String) throws {
      let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      let parts = halves[0].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
      agent = try AgentID(String(parts[0]))
      epoch = parts.count > 1 ? try Self.number(parts[1]) : nil
      channel = halves.count > 1 ? try Self.channel(halves[1]) : nil
    }

    static func parse(argument: String) throws -> Self { try Self(argument) }

    private static func number(_ text: Substring) throws -> UInt64 {
      guard let number = UInt64(text) else {
        throw HyphaError(.usage, "'\(text)' is no epoch", remedy: "use a stream such as ana@1/persistent")
      }
      return number
    }

    private static func channel(_ text: Substring) throws -> Channel {
      try Channel.parse(argument: String(text))
    }

    func matches(_ header: RecordHeader) -> Bool {
      header.agent == agent && (epoch == nil || header.epoch == epoch)
        && (channel == nil || header.channel == channel)
    }
  }

  var event: EventID?
  var cause: EventID?
  var streams: [StreamSelection] = []
  var subject: Pattern?
  var types: Set<EventTypeName> = []
  var correlation: EventID?
  var channel: Channel?
  var since: Timestamp?
  var until: Timestamp?

  /// What of it a log can be asked: everything that it finds nothing for is nothing that matches.
  var query: LogQuery {
    var query = LogQuery()
    query.event = event
    query.causes = cause.map { [$0] } ?? []
    query.correlation = correlation
    query.channel = channel
    query.types = types.sorted()
    query.subject = subject
    if streams.count == 1, let selection = streams.first {
      query.agent = selection.agent
      if let epoch = selection.epoch, let channel = selection.channel {
        query.stream = StreamID(agent: selection.agent, epoch: epoch, channel: channel)
      }
    }
    return query
  }

  /// Whether an entry is one of them; times are those of the event.
  func matches(_ entry: LogEntry) -> Bool {
    let header = entry.record.header
    if let event, header.id != event { return false }
    if let cause, header.causation != cause { return false }
    if let channel, header.channel != channel { return false }
    if !streams.isEmpty && !streams.contains(where: { $0.matches(header) }) { return false }
    if let subject, !subject.matches(header.subject) { return false }
    if !types.isEmpty && !types.contains(header.type) { return false }
    if let correlation, header.correlation != correlation { return false }
    if let since, header.time < since { return false }
    if let until, header.time >= until { return false }
    return true
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
