public import HyphaCore
public import HyphaLog

/// What one call of an agent came to when it was made again, beside what it came to when it was recorded.
public struct RerunOutcome: Sendable {
  /// The agent.
  public let agent: AgentID
  /// What was called; nil for the agent's state at the end.
  public let call: ObservedCall.Kind?
  /// The event that was handled, or the question; nil where there was none.
  public let input: RecordHeader?
  /// Where the event stands in the log; nil for what no log has.
  public let position: Position?
  /// How often the handler was called with it, this time included.
  public let attempt: Int
  /// What the call stated when it was recorded, in order.
  public let recorded: [Record]
  /// What it states now. Each has the id, time and place of what it stands for.
  public let stated: [Record]
  /// What is not as it was; empty where all is.
  public let differences: [RerunDifference]
  /// The agent's state after the call; nil unless it was asked for.
  var after: StateAfter?

  /// A state, and where in the log it came to be.
  struct StateAfter: Sendable {
    let place: StateStep.Place
    let state: @Sendable () throws -> JSONValue
  }
}

/// Something that is not as it was recorded.
public enum RerunDifference: Sendable {
  /// An event says something else.
  case changed(recorded: Record, stated: Record, parts: [Part])
  /// An event is not stated any more.
  case missing(Record)
  /// An event is stated that was not.
  case added(Record)
  /// The call threw something else, or one time something and the other nothing.
  case threw(recorded: String?, now: String?)
  /// The timers that it sets are others: how long each is to run, in microseconds.
  case timers(recorded: [UInt64], now: [UInt64])
  /// A timer has fired that is not set any more, or with something else.
  case timerFired(Record)
  /// It took something that it had not taken, in words.
  case took(String)
  /// The state at the end is another, as JSON.
  case state(recorded: String, now: String)

  /// What of an event is another.
  public enum Part: String, Sendable, CaseIterable {
    case channel, addressee, type
    case schemaVersion = "schema version"
    case subject
    case contentType = "content type"
    case causation, correlation, payload
  }

  /// The type of the event that it is about.
  public var type: EventTypeName? {
    switch self {
    case .changed(let recorded, _, _), .missing(let recorded), .timerFired(let recorded): recorded.type
    case .added(let stated): stated.type
    case .threw, .timers, .took, .state: nil
    }
  }
}

extension RerunDifference {
  /// What is different between two lists of events.
  static func between(_ recorded: [Record], _ stated: [Record]) -> [RerunDifference] {
    var differences: [RerunDifference] = []
    for index in 0..<max(recorded.count, stated.count) {
      guard index < stated.count else {
        differences.append(.missing(recorded[index]))
        continue
      }
      guard index < recorded.count else {
        differences.append(.added(stated[index]))
        continue
      }
      let parts = parts(recorded[index], stated[index])
      if !parts.isEmpty {
        differences.append(.changed(recorded: recorded[index], stated: stated[index], parts: parts))
      }
    }
    return differences
  }

  private static func parts(_ recorded: Record, _ stated: Record) -> [Part] {
    Part.allCases.filter { part in
      switch part {
      case .channel: recorded.channel != stated.channel
      case .addressee: recorded.addressee != stated.addressee
      case .type: recorded.type != stated.type
      case .schemaVersion: recorded.schemaVersion != stated.schemaVersion
      case .subject: recorded.subject != stated.subject
      case .contentType: recorded.contentType != stated.contentType
      case .causation: recorded.causation != stated.causation
      case .correlation: recorded.correlation != stated.correlation
      case .payload: recorded.payload != stated.payload
      }
    }
  }
}
