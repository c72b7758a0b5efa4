import FaultShim
import Foundation
import Testing

/// A run of `hypha-log-crasher`, which stands beside the test bundle.
final class Child {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var buffer = Data()

  /// - Parameter faults: settings of the fault shim, without `HYPHA_FAULT_`; `DIR` among them.
  init(_ arguments: String..., faults: [String: String] = [:]) throws {
    let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    process.executableURL = URL(fileURLWithPath: bundle).deletingLastPathComponent()
      .appendingPathComponent("hypha-log-crasher")
    process.arguments = arguments
    if !faults.isEmpty { process.environment = FaultShim.environment(faults) }
    process.standardInput = input
    process.standardOutput = output
    try process.run()
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  var id: Int32 { process.processIdentifier }

  /// The next line of output, or nil at its end.
  func readLine() -> String? {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: buffer[buffer.startIndex..<end], as: UTF8.self)
        buffer = Data(buffer[(end + 1)...])
        return line
      }
      let more = output.fileHandleForReading.availableData
      if more.isEmpty { return nil }
      buffer += more
    }
  }

  func readLines() -> [String] {
    var lines: [String] = []
    while let line = readLine() { lines.append(line) }
    return lines
  }

  func write(_ line: String) { input.fileHandleForWriting.write(Data((line + "\n").utf8)) }

  func endInput() { try? input.fileHandleForWriting.close() }

  func killNow() { kill(process.processIdentifier, SIGKILL) }

  /// Whether it ended by itself, and not by a signal.
  func endsWithoutSignal() -> Bool {
    process.waitUntilExit()
    return process.terminationReason == .exit
  }
}
