import Foundation
import Testing

/// A run of a program, `hypha` unless told, with its output in files of the scratch directory.
final class Hypha {
  /// How a run ended.
  struct Result: Hashable {
    /// The exit status; 128 and more where a signal ended it, as in a shell.
    var status: Int32
    var output: String
    var errors: String

    /// The lines on standard error that are not empty.
    var errorLines: [String] { errors.split(separator: "\n").map(String.init) }

    /// The same without those that only say that something takes its time, as it may on a slow machine.
    var complaints: [String] {
      errorLines.filter { line in
        !line.hasPrefix("waiting for ") && !line.contains("not all nodes took their links within ")
      }
    }

    var lines: [String] { output.split(separator: "\n").map(String.init) }
  }

  private let process = Process()
  private let files: (output: String, errors: String)

  /// Starts the program.
  ///
  /// - Parameters:
  ///   - directory: where it is started; default the scratch directory.
  ///   - environment: variables beside those of the tests.
  init(
    _ arguments: [String], in scratch: Scratch, program: String = Places.hypha, directory: String? = nil,
    environment: [String: String] = [:]
  ) throws {
    let name = String(UInt32.random(in: .min ... .max), radix: 36)
    files = (scratch("\(name).out"), scratch("\(name).err"))
    var all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    all["XDG_RUNTIME_DIR"] = scratch.runtime
    for variable in ["NO_COLOR", "CLICOLOR_FORCE"] where environment[variable] == nil { all[variable] = nil }
    process.environment = all
    process.executableURL = URL(fileURLWithPath: program)
    process.currentDirectoryURL = URL(fileURLWithPath: directory ?? scratch.path)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    let handles = [try Self.create(files.output), try Self.create(files.errors)]
    (process.standardOutput, process.standardError) = (handles[0], handles[1])
    // The program has its own by now. Foundation lets go of them only with the last of the process' objects, if ever, and reads
    // behind a buffer's end where a process with more than some 1,300 open files starts another.
    defer { for handle in handles { try? handle.close() } }
    try process.run()
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  private static func create(_ path: String) throws -> FileHandle {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    return try #require(FileHandle(forWritingAtPath: path))
  }

  var id: Int32 { process.processIdentifier }
  var isRunning: Bool { process.isRunning }

  /// What it has written so far.
  var output: String { Self.text(files.output) }
  var errors: String { Self.text(files.errors) }

  private static func text(_ path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }

  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// The process of a node that this launcher has started, but for `former`: a process that was killed may be
  /// seen for a while.
  func node(_ name: String, after former: Set<Int32> = []) -> Int32? {
    ProcessTable.children(of: id).first {
      $0.command.contains("--node \(name) ") && $0.state != "Z" && !former.contains($0.id)
    }?.id
  }

  func nodes() -> [Int32] { ProcessTable.children(of: id).map(\.id) }

  /// Waits for the end; a program that does not end in time is killed and the test fails.
  func end(within limit: Duration = patience, _ location: SourceLocation = #_sourceLocation) async
    -> Result
  {
    let isOver = await becomesTrue(within: limit) { !process.isRunning }
    if !isOver {
      Issue.record("the program did not end within \(limit)", sourceLocation: location)
      kill(process.processIdentifier, SIGKILL)
      _ = await becomesTrue { !process.isRunning }
    }
    let status =
      process.terminationReason == .uncaughtSignal
      ? 128 + process.terminationStatus : process.terminationStatus
    return Result(status: status, output: output, errors: errors)
  }

  /// Runs `hypha` to its end.
  static func run(
    _ arguments: [String], in scratch: Scratch, environment: [String: String] = [:],
    within limit: Duration = patience, _ location: SourceLocation = #_sourceLocation
  ) async throws -> Result {
    try await Hypha(arguments, in: scratch, environment: environment).end(within: limit, location)
  }
}

extension Scratch {
  /// Runs `hypha` here to its end.
  func hypha(
    _ arguments: String..., environment: [String: String] = [:], within limit: Duration = patience,
    _ location: SourceLocation = #_sourceLocation
  ) async throws -> Hypha.Result {
    try await Hypha.run(arguments, in: self, environment: environment, within: limit, location)
  }

  /// Runs `hypha` here to its end.
  func hypha(_ arguments: [String], _ location: SourceLocation = #_sourceLocation) async throws
    -> Hypha.Result
  {
    try await Hypha.run(arguments, in: self, location)
  }

  /// Starts `hypha` here.
  func start(_ arguments: String...) throws -> Hypha { try Hypha(arguments, in: self) }
}
