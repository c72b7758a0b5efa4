import Foundation
import HyphaCore

/// A process that the bench starts to look at a log from outside.
final class ChildProcess {
  private let process = Process()
  private let output = Pipe()
  private let input = Pipe()
  private var rest = Data()

  /// Starts a command, with variables beside those of this process; its standard input ends with
  /// this process at the latest.
  init(_ command: [String], environment: [String: String] = [:]) throws {
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.executableURL = URL(fileURLWithPath: command.first ?? "")
    process.arguments = Array(command.dropFirst())
    process.standardOutput = output
    process.standardInput = input
    do {
      try process.run()
    } catch {
      throw HyphaError(
        .failed, "the bench cannot start '\(command.joined(separator: " "))'",
        remedy: "raise the limit of processes (ulimit -u)", cause: "\(error)")
    }
  }

  deinit { if process.isRunning { process.terminate() } }

  /// The next line that it prints, without its end; nil when there is none any more.
  func readLine() -> String? {
    while true {
      if let end = rest.firstIndex(of: 0x0A) {
        defer { rest.removeSubrange(rest.startIndex...end) }
        return String(decoding: rest[..<end], as: UTF8.self)
      }
      let more = output.fileHandleForReading.availableData
      guard !more.isEmpty else { return nil }
      rest.append(more)
    }
  }

  /// Writes a line to its standard input.
  func write(line: String) throws {
    try input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
  }

  /// Ends its standard input, and with it the process; waits for that.
  func close() {
    try? input.fileHandleForWriting.close()
    process.waitUntilExit()
  }

  /// Waits for its end, and returns the lines that it still prints.
  func finish() -> [String] {
    var lines: [String] = []
    while let line = readLine() { lines.append(line) }
    process.waitUntilExit()
    return lines
  }

  /// What a command prints on its first line.
  static func output(of command: [String], environment: [String: String] = [:]) throws -> String {
    try ChildProcess(command, environment: environment).finish().first ?? ""
  }
}
