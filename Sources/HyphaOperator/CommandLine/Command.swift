/// A verb of the command line: its arguments are properties, its work is ``run()``.
///
/// ```swift
/// struct LogCat: Command {
///   static let configuration = CommandConfiguration(
///     name: "cat", abstract: "Print the events of a log.",
///     examples: ["hypha log cat data/hq --subject 'incident.>'"])
///
///   @Argument(help: "The data directory.", completion: .directory) var path: String
///   @Option(name: .shortAndLong, help: "Only matching events.", valueName: "pattern") var subject: String?
///   @Flag(help: "Print JSON lines.") var json = false
///
///   func run() async throws { try Output.standard.writeLine(path) }
/// }
/// ```
///
/// A command that lists `subcommands` groups them and declares no arguments of its own. The type needs
/// `init()`, which a struct whose properties all carry a wrapper or a default has by itself. Commands are
/// `Sendable`, so child tasks of ``run()`` may read the arguments.
public protocol Command: Sendable {
  /// The name of the command and what its help page says.
  static var configuration: CommandConfiguration { get }

  /// A command whose arguments have their defaults.
  init()

  /// Checks what single arguments cannot: ranges, options that exclude each other. Throw a `HyphaError`
  /// with the code `.usage`; it ends the program with status 2. Does nothing unless implemented.
  mutating func validate() throws

  /// Does the work, on the global executor. A thrown `HyphaError` is printed in one line and ends the
  /// program with status 1, or 2 for `.usage`; a thrown ``ExitStatus`` ends it without a word.
  mutating func run() async throws
}

extension Command {
  /// Accepts the arguments as they are.
  public mutating func validate() throws {}

  /// Traps: only a command with subcommands may leave `run()` out, and such a command is never run.
  public mutating func run() async throws {
    preconditionFailure("\(Self.self) has neither subcommands nor a run() method of its own")
  }
}

/// The name of a ``Command`` and what its help page says.
public struct CommandConfiguration: Sendable {
  /// The word that selects the command, in kebab-case.
  public var name: String
  /// One sentence that says what the command does.
  public var abstract: String
  /// Paragraphs that follow the usage line; a blank line separates two of them.
  public var discussion: String
  /// Complete command lines. A command without subcommands has at least one; ``CommandTree/lint(_:)`` parses them.
  public var examples: [String]
  /// The commands below this one, in the order of the help page.
  public var subcommands: [any Command.Type]
  /// Whether help and completion leave the command out.
  public var isHidden: Bool

  /// The name of a command and what its help page says.
  public init(
    name: String, abstract: String, discussion: String = "", examples: [String] = [],
    subcommands: [any Command.Type] = [], isHidden: Bool = false
  ) {
    self.name = name
    self.abstract = abstract
    self.discussion = discussion
    self.examples = examples
    self.subcommands = subcommands
    self.isHidden = isHidden
  }
}

/// Arguments that several commands share; a command takes them in with ``OptionGroup``.
///
/// ```swift
/// struct DataOptions: ArgumentGroup {
///   @Option(help: "The data directory.", completion: .directory) var data = "data"
/// }
/// struct LogInfo: Command { @OptionGroup var common: DataOptions }
/// ```
public protocol ArgumentGroup: Sendable {
  /// A group whose arguments have their defaults.
  init()
}

/// Ends the program with a status and without a message: throw it from ``Command/run()``.
public struct ExitStatus: Error, Hashable, Sendable {
  /// The status that the shell sees, 0 to 255.
  public let code: Int32

  /// The exit status `code`, 0 to 255.
  public init(_ code: Int32) { self.code = code }

  /// The command did what it was asked to: 0.
  public static let success = ExitStatus(0)
  /// The command failed: 1.
  public static let failure = ExitStatus(1)
  /// The command line was wrong: 2.
  public static let usage = ExitStatus(2)
  /// The reader of standard output went away: 141, which is 128 + SIGPIPE, as a shell reports for `cat`
  /// in `cat big | head -1`.
  public static let brokenPipe = ExitStatus(141)

  /// A signal stopped the command before its end, in order: 128 and the signal's number, as a shell reports.
  public static func stopped(by signal: Int32) -> ExitStatus { ExitStatus(128 + signal) }
}
