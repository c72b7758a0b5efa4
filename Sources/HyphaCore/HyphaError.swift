/// What went wrong, on which object, and what to do about it.
///
/// Every error that Hypha throws is of this type, so a caller can switch over ``code`` and a person
/// can read ``description``: one line, the object first, the remedy last.
///
/// ```swift
/// throw HyphaError(.logLocked, "the log at data/hq is open for writing by process 4711",
///                  remedy: "stop that process, or give another --data directory")
/// ```
public struct HyphaError: Error, Sendable, CustomStringConvertible {
  /// The kind of failure, stable across versions.
  public let code: Code
  /// What happened, naming the object that it happened to.
  public let problem: String
  /// What to do next, as an imperative.
  public let remedy: String?
  /// Where the failure came from, such as a C call with its message.
  public let cause: String?

  /// An error for `problem`; `remedy` says what to do next, `cause` quotes the call that failed.
  public init(_ code: Code, _ problem: String, remedy: String? = nil, cause: String? = nil) {
    self.code = code
    self.problem = problem
    self.remedy = remedy
    self.cause = cause
  }

  /// One line: `code: problem; remedy (cause)`.
  public var description: String {
    var line = "\(code): \(problem)"
    if let remedy { line += "; \(remedy)" }
    if let cause { line += " (\(cause))" }
    return line
  }
}

extension StringProtocol {
  /// The first `count` scalars as an error quotes them, on one line: what would steer a terminal is spelt out.
  public func shown(_ count: Int = 255) -> String {
    unicodeScalars.prefix(count).reduce(into: "") { shown, scalar in
      switch scalar.properties.generalCategory {
      case .control, .lineSeparator, .paragraphSeparator:
        shown += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
      default: shown.unicodeScalars.append(scalar)
      }
    }
  }
}

extension HyphaError {
  /// The kind of a ``HyphaError``. New kinds may be added in any version.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    private let name: String
    private init(_ name: String) { self.name = name }
    /// The kind of a name that ``description`` has given.
    package init(name: String) { self.name = name }

    /// The kind's stable name.
    public var description: String { name }

    /// An identifier, subject or pattern breaks the rules of its grammar.
    public static let invalidName = Code("invalidName")
    /// Bytes that should be a record are cut short, altered or of an unknown version.
    public static let invalidRecord = Code("invalidRecord")
    /// Bytes that should be a frame or a control message are cut short, altered or of an unknown version.
    public static let invalidFrame = Code("invalidFrame")
    /// A payload does not decode as the event type that its record names.
    public static let invalidPayload = Code("invalidPayload")
    /// Something is larger than its configured limit.
    public static let tooLarge = Code("tooLarge")
    /// A clock reading lies too far ahead of the local clock.
    public static let clockAhead = Code("clockAhead")
    /// No handler or upcaster covers this schema version.
    public static let schemaUnknown = Code("schemaUnknown")

    /// The directory or file is not a log, or is damaged.
    public static let logInvalid = Code("logInvalid")
    /// The log was written by a newer version of Hypha.
    public static let logTooNew = Code("logTooNew")
    /// Another process has the log open for writing.
    public static let logLocked = Code("logLocked")
    /// The log cannot grow: the disk or the map is full.
    public static let logFull = Code("logFull")
    /// An append does not continue its lane or stream.
    public static let logConflict = Code("logConflict")
    /// The log was closed, or the call failed for another reason.
    public static let logFailed = Code("logFailed")

    /// An endpoint cannot be bound.
    public static let addressInUse = Code("addressInUse")
    /// The transport failed for another reason.
    public static let transportFailed = Code("transportFailed")

    /// The topology file breaks a rule.
    public static let invalidTopology = Code("invalidTopology")
    /// An input file is not what its name or options say.
    public static let invalidInput = Code("invalidInput")
    /// A file or directory is missing or may not be used.
    public static let fileUnavailable = Code("fileUnavailable")

    /// Another process runs the same node, and began later.
    public static let superseded = Code("superseded")

    /// An agent did what it has not declared.
    public static let undeclared = Code("undeclared")
    /// An agent's handler or its kind failed.
    public static let agentFailed = Code("agentFailed")
    /// A question was not answered in time.
    public static let askExpired = Code("askExpired")
    /// Agents would wait for each other's answers.
    public static let askCycle = Code("askCycle")
    /// The agent that was asked has thrown.
    public static let askFailed = Code("askFailed")
    /// The command line is wrong.
    public static let usage = Code("usage")
    /// A run, a node or a check did not succeed.
    public static let failed = Code("failed")
  }
}
