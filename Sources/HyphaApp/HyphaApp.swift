import Glibc
@_exported public import Hypha
import HyphaCore
import HyphaKinds
import HyphaLogLMDB
import HyphaOperator
import HyphaTopology
import HyphaTransportZMQ

/// A program with its own kinds of agents and the whole command line of `hypha`.
///
/// ```swift
/// import HyphaApp
///
/// @main struct Invoices: HyphaApp {
///   static let agents: [any Agent.Type] = [Approver.self]
/// }
/// ```
///
/// Such a program runs the nodes of a deployment itself: `invoices run topology.yaml`. It keeps logs on LMDB
/// and speaks ZeroMQ.
public protocol HyphaApp {
  /// The command's name in help and messages. Default: the type's name in lower case.
  static var name: String { get }
  /// The kinds of agents beside the built-in ones. There is no default: an array of one kind has another type where that is not
  /// written down, and would be taken for none.
  static var agents: [any Agent.Type] { get }
}

extension HyphaApp {
  public static var name: String { String(describing: Self.self).lowercased() }

  /// Runs the command that the command line asks for, and exits with its status.
  public static func main() async {
    exit(await run())
  }

  /// Runs the command that `arguments` ask for.
  ///
  /// - Returns: the exit status: 0 ok, 1 failed, 2 misuse, 128 and more stopped by a signal.
  public static func run(arguments: [String] = Array(CommandLine.arguments.dropFirst())) async -> Int32 {
    do {
      let program = try HyphaProgram.make(name: name, agents: agents)
      return await Program.$current.withValue(program) {
        await CommandLineRunner.main(
          ProgramCommand.self, name: name, arguments: arguments, version: HyphaVersion.text)
      }
    } catch {
      try? Output.standardError.writeLine("\(name): \(error)")
      return 1
    }
  }
}

/// The program that ``HyphaApp`` and `hypha` are: their kinds, the log on LMDB and the transport on ZeroMQ.
enum HyphaProgram {
  static func make(name: String, agents: [any Agent.Type]) throws -> Program {
    Program(
      name: name, kinds: try KindRegistry(BuiltInKinds.all + agents),
      openLog: { directory, node, settings, time, note in
        let byteCountMax = Int(clamping: settings.mapByteCount)
        let standard = LMDBLogSettings.standard.mapByteCount
        return try LMDBLog(
          directory: directory, node: node,
          settings: LMDBLogSettings(
            mapByteCount: min(byteCountMax, standard), mapByteCountMax: byteCountMax,
            inlinePayloadByteCountMax: Int(clamping: settings.inlinePayloadByteCountMax),
            reportLongReader: { note($0.description) }), time: time)
      },
      readLog: { try LMDBLogReader(directory: $0) },
      removeLogs: { try LMDBLog.remove(directories: $0) },
      reindexLog: { try LMDBLog.reindex(directory: $0, progress: $1) },
      retention: LMDBRetention(),
      inspection: LMDBLogInspection(),
      keys: LinkKeys(),
      makeNotary: { LinkNotary($0) },
      makeTransport: { plan, directory, limits in
        try ZMQTransport(
          plan: plan,
          options: .init(runtimeDirectory: directory, messageByteCountMax: limits.frameByteCountMax))
      })
  }
}
