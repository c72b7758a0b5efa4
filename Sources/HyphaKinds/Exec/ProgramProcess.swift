import Foundation
import HyphaCore
import Synchronization

/// A program at work in a child process, and the thread that moves bytes between the two: what follows from them
/// ``ProgramDialogue`` decides.
///
/// The thread starts the process, reads, writes, sends signals and takes the status, so that nobody else ever has its id.
final class ProgramProcess: Sendable {
  private struct State {
    var dialogue: ProgramDialogue
    var orders = Orders()
    var waiter: CheckedContinuation<[ProgramOutput], any Error>?
    /// Lets alerts leave while the input is open.
    var sendAlert: (@Sendable (ProgramOutput) throws -> Void)?
    /// Does what the program says about decisions.
    var decide: (@Sendable (ProgramDecision) throws -> EventID?)?
    var whenGone: [CheckedContinuation<Void, Never>] = []
    var isGone = false
  }

  /// What the thread is to do.
  private struct Orders {
    var output: [UInt8] = []
    var closesInput = false
    var signals: [Int32] = []
    var waitMax = Duration.seconds(1)
  }

  private let state: Mutex<State>
  private let bell: Bell
  private let clock = SuspendingClock()
  private let began: SuspendingClock.Instant
  /// Takes what the process writes on standard error, and what is to be known beside.
  private let diagnose: @Sendable ([UInt8]) -> Void

  private init(_ dialogue: ProgramDialogue, _ bell: Bell, _ diagnose: @escaping @Sendable ([UInt8]) -> Void) {
    state = Mutex(State(dialogue: dialogue))
    self.bell = bell
    self.diagnose = diagnose
    began = clock.now
  }

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - variables: its whole environment.
  ///   - diagnose: takes what it writes on standard error; called on a thread of its own.
  /// - Throws: ``HyphaError/Code/agentFailed`` where it cannot be started.
  static func start(
    _ settings: ExecSettings, variables: [String: String], limits: ProgramDialogue.Limits = .init(),
    diagnose: @escaping @Sendable ([UInt8]) -> Void
  ) async throws -> ProgramProcess {
    let (words, directory, name) = (settings.words, settings.directory, settings.name)
    return try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        do {
          let bell = try Bell()
          let child = try Child(words, variables: variables, directory: directory)
          let process = ProgramProcess(ProgramDialogue(name: name, limits: limits), bell, diagnose)
          continuation.resume(returning: process)
          process.run(child)
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
  }

  // MARK: For the agent, on any thread

  /// Whether another input may be given.
  var takesInput: Bool { state.withLock { $0.dialogue.takesInput } }
  /// How many inputs it has answered, in whatever way.
  var answerCount: Int { state.withLock { $0.dialogue.answerCount } }

  /// Gives the program an input, and waits for its answer; one at a time.
  ///
  /// - Parameters:
  ///   - sendAlert: lets an alert leave, or throws why it must not; called on the process's thread, before this returns.
  ///   - decide: asks for a decision or answers one, or throws why not; called likewise.
  /// - Throws: what it says that has failed; that it has ended, was too slow, or broke the rules; `NodeStops` after ``stop()``.
  func handle(
    _ id: String, _ line: [UInt8], within deadline: Duration,
    sendAlert: @escaping @Sendable (ProgramOutput) throws -> Void = { _ in },
    decide: @escaping @Sendable (ProgramDecision) throws -> EventID? = { _ in nil }
  ) async throws -> [ProgramOutput] {
    try await withCheckedThrowingContinuation { continuation in
      update { state, now in
        state.waiter = continuation
        (state.sendAlert, state.decide) = (sendAlert, decide)
        return state.dialogue.give(id, line, within: deadline, now: now)
      }
      bell.ring()
    }
  }

  /// Lets the program come to its end, within some seconds.
  func stop() {
    update { $0.dialogue.stop(now: $1) }
    bell.ring()
  }

  /// Waits until the program has ended.
  func ended() async {
    await withCheckedContinuation { continuation in
      let isGone = state.withLock { state in
        if !state.isGone { state.whenGone.append(continuation) }
        return state.isGone
      }
      if isGone { continuation.resume() }
    }
  }

  /// Changes the state, and does what follows, except for what is the thread's.
  private func update(_ change: (inout sending State, Duration) -> [ProgramDialogue.Effect]) {
    let now = began.duration(to: clock.now)
    var notes: [String] = []
    var alerts: [ProgramOutput] = []
    var decisions: [(decision: ProgramDecision, line: ProgramDecision.Line?, input: String)] = []
    var (finished, sendAlert, decide) = state.withLock { state in
      var finished: (CheckedContinuation<[ProgramOutput], any Error>, Result<[ProgramOutput], any Error>)?
      let (sendAlert, decide) = (state.sendAlert, state.decide)
      for effect in change(&state, now) {
        switch effect {
        case .write(let bytes): state.orders.output += bytes
        case .closeInput: state.orders.closesInput = true
        case .terminate: state.orders.signals.append(SIGTERM)
        case .kill: state.orders.signals.append(SIGKILL)
        case .alert(let alert): alerts.append(alert)
        case .decide(let decision, let line, let input): decisions.append((decision, line, input))
        case .finish(let result):
          (state.sendAlert, state.decide) = (nil, nil)
          if let waiter = state.waiter.take() { finished = (waiter, result) }
        case .note(let text): notes.append(text)
        }
      }
      return (finished, sendAlert, decide)
    }
    do {
      for alert in alerts { try sendAlert?(alert) }
    } catch {
      // It may be that the program has gone on to the end meanwhile.
      if case .success? = finished?.1 { finished?.1 = .failure(error) }
      state.withLock { $0.dialogue.refuse(error) }
    }
    for (decision, line, input) in decisions {
      let result = Result { try decide?(decision) ?? nil }
      if case .failure(let error) = result, case .success? = finished?.1 { finished?.1 = .failure(error) }
      state.withLock { state in
        for case .write(let bytes) in state.dialogue.decided(result, to: line, in: input) {
          state.orders.output += bytes
        }
      }
    }
    for note in notes { diagnose(Array("\(note)\n".utf8)) }
    if let (waiter, result) = finished { waiter.resume(with: result) }
  }

  // MARK: The thread

  private func run(_ child: consuming Child) {
    Child.blockPipeSignal()
    var streams = Streams(child)
    var isHurried = false
    while !streams.child.hasEnded() {
      let orders = takeOrders()
      for signal in orders.signals { streams.child.signal(signal) }
      isHurried = isHurried || !orders.signals.isEmpty
      streams.write(orders.output, thenClose: orders.closesInput)
      streams.wait(for: isHurried || streams.isMute ? .milliseconds(10) : orders.waitMax, bell)
      pump(&streams)
      update { $0.dialogue.tick(now: $1) }
    }
    // What it wrote before it ended counts. Nobody else writes any more, but for a process that has left its group.
    var readCount = 0
    while readCount < Self.lastReadCountMax, pump(&streams) { readCount += 1 }
    let how = streams.child.reap()
    update { state, _ in state.dialogue.ended(how) }
    let waiters = state.withLock { state in
      state.isGone = true
      defer { state.whenGone = [] }
      return state.whenGone
    }
    for waiter in waiters { waiter.resume() }
  }

  /// How many times 64 KiB are read at the most from a process that has ended; a pipe has at most 1 MiB.
  private static let lastReadCountMax = 32

  private func takeOrders() -> Orders {
    let now = began.duration(to: clock.now)
    return state.withLock { state in
      var orders = state.orders
      state.orders = Orders()
      if let due = state.dialogue.nextDue { orders.waitMax = min(orders.waitMax, max(.zero, due - now)) }
      return orders
    }
  }

  /// Reads what there is, once of each stream. Returns whether there was anything.
  @discardableResult
  private func pump(_ streams: inout Streams) -> Bool {
    let errors = streams.readErrors()
    if !errors.isEmpty { diagnose(Array(errors)) }
    let wasMute = streams.isMute
    let output = streams.readOutput()
    if !output.isEmpty { update { $0.dialogue.read(output, now: $1) } }
    if streams.isMute, !wasMute { update { $0.dialogue.outputEnded(now: $1) } }
    return !errors.isEmpty || !output.isEmpty
  }
}
