public import HyphaCore
public import HyphaLog
public import HyphaRuntime
public import HyphaTopology
public import HyphaTransport

/// What the commands need of the program that they are part of: its name, its kinds of agents, and the log and
/// transport that it was built with.
public struct Program: Sendable {
  /// Opens a node's log for writing. `note` is told, in words, what the operator should know of it: such as a process that
  /// keeps old pages from being used again.
  public typealias OpenLog =
    @Sendable (
      _ directory: String, _ node: NodeID, _ settings: LogSettings, _ time: any TimeSource,
      _ note: @escaping @Sendable (String) -> Void
    ) throws -> any EventLog
  /// Opens a log for reading, while its node runs or not.
  public typealias ReadLog = @Sendable (_ directory: String) throws -> any LogReader
  /// Removes the logs in these data directories; none where one of them is being written.
  public typealias RemoveLogs = @Sendable (_ directories: [String]) throws -> Void
  /// Drops the index of the log in a data directory and makes it anew; tells the newest position indexed, and the head.
  public typealias ReindexLog =
    @Sendable (_ directory: String, _ progress: (Position, Position) -> Void) throws -> LogIndexStatus
  /// Makes a node's transport; local sockets go to the runtime directory.
  public typealias MakeTransport =
    @Sendable (_ plan: LinkPlan, _ runtimeDirectory: String, _ limits: WireLimits) throws -> any Transport

  /// The command's name, as a person types it.
  public var name: String
  /// The kinds of agents that it can run.
  public var kinds: KindRegistry
  /// Opens logs for writing.
  public var openLog: OpenLog
  /// Opens logs for reading.
  public var readLog: ReadLog
  /// Removes logs.
  public var removeLogs: RemoveLogs
  /// Makes the index of a log anew.
  public var reindexLog: ReindexLog
  /// Makes room in logs, and copies of them.
  public var retention: any LogRetention
  /// Looks at logs from end to end, and salvages them.
  public var inspection: any LogInspection
  /// Makes nodes' keys.
  public var keys: any LinkKeyMaking
  /// Makes what signs and checks with them.
  public var makeNotary: @Sendable (LinkSecurity) -> any Notary
  /// Makes transports.
  public var makeTransport: MakeTransport

  /// A program of its parts.
  public init(
    name: String, kinds: KindRegistry, openLog: @escaping OpenLog, readLog: @escaping ReadLog,
    removeLogs: @escaping RemoveLogs, reindexLog: @escaping ReindexLog, retention: any LogRetention,
    inspection: any LogInspection, keys: any LinkKeyMaking,
    makeNotary: @escaping @Sendable (LinkSecurity) -> any Notary,
    makeTransport: @escaping MakeTransport
  ) {
    self.name = name
    self.kinds = kinds
    self.openLog = openLog
    self.readLog = readLog
    self.removeLogs = removeLogs
    self.reindexLog = reindexLog
    self.retention = retention
    self.inspection = inspection
    self.keys = keys
    self.makeNotary = makeNotary
    self.makeTransport = makeTransport
  }

  /// The program whose command runs.
  @TaskLocal public static var current: Program?

  /// The program whose command runs.
  ///
  /// - Throws: ``HyphaError/Code/failed`` where a command is run without ``Program/current``.
  static func require() throws -> Program {
    guard let current else {
      throw HyphaError(.failed, "no program is set", remedy: "run commands through HyphaApp")
    }
    return current
  }
}

extension Program {
  /// How the person who runs the command has called it, for advice on what to type next.
  static var calledAs: String { CommandLine.arguments.first ?? "hypha" }
}
