import Foundation
import HyphaCore
import HyphaRuntime
import Synchronization

/// One node of a deployment in a process of its own, as the launcher sees it.
///
/// The child reports its status as JSON lines on standard output, and stops when its standard input ends: so it
/// does not outlive the launcher, however that ends.
final class NodeProcess: Sendable {
  /// How a child ended.
  enum Ending: Sendable, Hashable {
    case exited(Int32)
    case killed(signal: Int32)
  }

  private struct State {
    var status: NodeStatus?
    var ending: (how: Ending, at: ContinuousClock.Instant)?
    var openPipeCount = 2
    var newNotes: [String] = []
    var outputRest: [UInt8] = []
    var errors = LineIntake()
  }

  let node: NodeID
  private let process = Mutex(Process())
  private let input = Pipe()
  private let state = Mutex(State())

  /// Starts `hypha run FILE --node NODE` with what `options` adds.
  init(node: NodeID, executable: String, arguments: [String]) throws {
    self.node = node
    let (output, errors) = (Pipe(), Pipe())
    let input = self.input
    do {
      try process.withLock { process in
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.standardInput = input
        process.standardOutput = output
        process.standardError = errors
        var environment = ProcessInfo.processInfo.environment
        environment["SWIFT_DETERMINISTIC_HASHING"] = "1"
        process.environment = environment
        process.terminationHandler = { [weak self] process in
          let ending: Ending =
            process.terminationReason == .uncaughtSignal
            ? .killed(signal: process.terminationStatus) : .exited(process.terminationStatus)
          self?.state.withLock { $0.ending = (ending, .now) }
          self?.stop()
        }
        try process.run()
      }
    } catch {
      throw HyphaError(
        .failed, "node '\(node)' cannot be started as \(executable)", remedy: "check that it may be executed",
        cause: "\(error)")
    }
    read(output) { $0.takeOutput($1) }
    read(errors) { $0.takeErrors($1) }
  }

  /// Takes what the child writes, until it has closed the pipe. On a thread of its own: one that is given up while something watches
  /// it would end this process.
  private func read(_ pipe: Pipe, _ take: @escaping @Sendable (NodeProcess, Data) -> Void) {
    let handle = pipe.fileHandleForReading
    Thread.detachNewThread { [weak self] in
      while case let bytes = handle.availableData, !bytes.isEmpty { if let self { take(self, bytes) } }
      // It would stay open for as long as Foundation keeps its object for the process.
      try? handle.close()
      self?.ended()
    }
  }

  /// The newest status, or nil before the first.
  var status: NodeStatus? { state.withLock { $0.status } }

  /// How the child ended; nil while it runs, and while what it has written is still being read.
  var ending: Ending? {
    state.withLock { state in
      guard let (how, time) = state.ending else { return nil }
      return state.openPipeCount == 0 || ContinuousClock.now > time + Self.readPatience ? how : nil
    }
  }

  /// How long a pipe of a child that has ended may stay open in other hands.
  private static let readPatience = Duration.seconds(1)

  /// The child's process id.
  var processID: Int32 { process.withLock { $0.processIdentifier } }

  /// Lines that the child wrote on standard error since the last call; what its agents print is among them.
  func takeErrorLines() -> [String] {
    state.withLock { $0.errors.takeLines() }
  }

  /// What the child's status has noted for the operator since the last call.
  func takeNotes() -> [String] {
    state.withLock { state in
      defer { state.newNotes = [] }
      return state.newNotes
    }
  }

  /// Asks the child to stop.
  func stop() { try? input.fileHandleForWriting.close() }

  /// Ends the child at once.
  func kill() { Glibc.kill(processID, SIGKILL) }

  private func takeOutput(_ bytes: Data) {
    let lines = state.withLock { Self.lines(&$0.outputRest, bytes) }
    for line in lines {
      guard let status = try? JSON.decode(NodeStatus.self, from: line) else { continue }
      state.withLock { state in
        let known = Set(state.status?.notes ?? [])
        state.newNotes += status.notes.filter { !known.contains($0) }
        state.status = status
      }
    }
  }

  /// Takes note that the child has closed a pipe, on standard error perhaps within a line.
  private func ended() {
    state.withLock { state in
      state.openPipeCount -= 1
      if state.openPipeCount == 0 { state.errors.end() }
    }
  }

  private func takeErrors(_ bytes: Data) { state.withLock { $0.errors.take(bytes) } }

  /// Takes the whole lines out of `rest` and what follows it.
  private static func lines(_ rest: inout [UInt8], _ bytes: Data) -> [[UInt8]] {
    rest += bytes
    var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
    rest = lines.removeLast()
    return lines.filter { !$0.isEmpty }
  }
}
