import Foundation
public import HyphaCore
import HyphaReplay
public import HyphaRuntime
import HyphaTopology
import Synchronization

/// An agent in any language: a program that gets each event as a line on standard input, and answers on standard output with
/// the events that it publishes and a line that it is done (docs/exec.md).
///
/// Its event types are those that the topology file names under `publishes` and `subscribes`; there `hypha.DecisionRequested` lets it ask
/// for decisions, and `hypha.DecisionAnswered` take them. Settings: `command`, `arguments`,
/// `environment`, `directory`, `alerts`.
public actor Exec: Agent {
  public static let kind = "exec"
  public static let handles = Handlers(Exec.self).onOthers { try await $0.take($1, in: $2) }
  public static let publishes: [any Event.Type] = [
    DiagnosticsWritten.self, DecisionRequested.self, DecisionAnswered.self,
  ]
  public static let settingNames: Set<String> = [
    "command", "arguments", "environment", "directory", "alerts",
  ]
  public static let reachesOutside = true

  public static func check(_ settings: JSONValue) throws {
    try settings.decoded(as: ExecSettings.self).check()
  }

  public static func alertTypes(_ settings: JSONValue) -> Set<EventTypeName> {
    // What makes no sense is told by the check.
    let names = (try? settings.decoded(as: ExecSettings.self))?.alerts ?? []
    return Set(names.compactMap { try? EventTypeName($0) })
  }

  private let seat = ProgramSeat()
  private var settings: ExecSettings?
  private var startedCount: Int64 = 0
  /// How many processes in a row have ended before they had answered anything.
  private var vainCount = 0

  public init() {}

  public func start(in context: Context) async throws {
    let settings = try context.settings(ExecSettings.self)
    try settings.check()
    self.settings = settings
    seat.setWaker(context.waker)
    context.whenNodeStops { [seat] in seat.stop() }
    _ = try await program(in: context)
  }

  /// Records what the program has written on standard error.
  public func wake(in context: Context) async throws {
    switch seat.diagnostics.withLock({ $0.next(now: context.now) }) {
    case .nothing: break
    case .later(let wait): context.wake(after: wait)
    case .record(let text, let omittedByteCount):
      try await context.publish(DiagnosticsWritten(text: text, omittedByteCount: omittedByteCount))
    }
  }

  public func end(in context: Context) async {
    seat.stop()
    await seat.process?.ended()
  }

  private func take(_ record: Record, in context: Context) async throws {
    let line = try CloudEventLine.bytes(of: record, adding: ("hyphaattempt", context.attempt))
    let program = try await program(in: context)
    seat.diagnostics.withLock { $0.begin() }
    let outputs: [ProgramOutput]
    do {
      outputs = try await program.handle("\(record.id)", line, within: context.handlerDeadline) { alert in
        try context.publish(alert.event, to: alert.addressee, within: alert.within)
      } decide: {
        try $0.carryOut(in: context)
      }
    } catch let error as HyphaError where error.code == .agentFailed {
      let lastWords = seat.diagnostics.withLock { $0.lastWords }
      throw HyphaError(
        error.code, error.problem, remedy: error.remedy, cause: lastWords.map { "its last words: \($0)" })
    }
    for output in outputs { try context.publish(output.event, to: output.addressee) }
  }

  /// The program that runs, or a new one where it has ended: at once, or after a while where the ones before have answered nothing.
  private func program(in context: Context) async throws -> ProgramProcess {
    if let process = seat.process {
      if process.takesInput { return process }
      // One that is out of step is being ended, and gone before another takes its place.
      await process.ended()
      vainCount = process.answerCount > 0 ? 0 : vainCount + 1
      try await rest(for: Self.wait(afterVain: vainCount))
    }
    guard !seat.isStopped, let settings else { throw NodeStops() }
    let variables = settings.variables(of: context.agent, beside: ProcessInfo.processInfo.environment)
    let process = try await ProgramProcess.start(settings, variables: variables) { [seat] in seat.diagnose($0)
    }
    seat.take(process)
    startedCount += 1
    context.report("programs started", startedCount)
    return process
  }

  /// How long to wait after so many processes in a row have ended before they had answered anything.
  static func wait(afterVain count: Int) -> Duration {
    count < 2 ? .zero : min(.milliseconds(100) * (1 << min(count - 2, 10)), .seconds(10))
  }

  private func rest(for duration: Duration) async throws {
    let end = SuspendingClock.now + duration
    while SuspendingClock.now < end {
      guard !seat.isStopped else { throw NodeStops() }
      let pause: Duration = min(end - SuspendingClock.now, .milliseconds(50))
      try? await Task.sleep(for: pause, clock: .suspending)
    }
  }
}

/// What an agent and its program's thread have in common.
private final class ProgramSeat: Sendable {
  private struct State {
    var process: ProgramProcess?
    var isStopped = false
    var waker: Waker?
  }

  let diagnostics = Mutex(Diagnostics())
  private let state = Mutex(State())

  var process: ProgramProcess? { state.withLock { $0.process } }
  var isStopped: Bool { state.withLock { $0.isStopped } }

  func setWaker(_ waker: Waker) { state.withLock { $0.waker = waker } }

  func take(_ process: ProgramProcess) {
    let isStopped = state.withLock { state in
      state.process = process
      return state.isStopped
    }
    if isStopped { process.stop() }
  }

  func stop() {
    let process = state.withLock { state in
      state.isStopped = true
      return state.process
    }
    process?.stop()
  }

  func diagnose(_ bytes: [UInt8]) {
    if diagnostics.withLock({ $0.add(bytes) }) { state.withLock { $0.waker }?() }
  }
}
