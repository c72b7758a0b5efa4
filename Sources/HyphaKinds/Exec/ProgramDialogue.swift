import HyphaCore
import HyphaReplay
import HyphaRuntime

/// What an agent and its program say to each other, a line each: what the program may say when, and what follows from it.
///
/// A pure state machine. `now` is any clock that only grows. Every byte from the program is taken as hostile: lines, answers and
/// their number are bounded, and what breaks the rules ends the program.
struct ProgramDialogue {
  /// What is to be done.
  enum Effect {
    case write([UInt8])
    case closeInput
    /// Ask the program to end, or end it.
    case terminate, kill
    /// The input that was given is over.
    case finish(Result<[ProgramOutput], any Error>)
    /// Let an alert leave: it does not wait for the input's end. Where that is refused, ``refuse(_:)`` is told.
    case alert(ProgramOutput)
    /// Ask for a decision, or answer one; then tell ``decided(_:to:in:)``.
    case decide(ProgramDecision, line: ProgramDecision.Line?, input: String)
    /// Something that no input fails for, and that somebody should know.
    case note(String)
  }

  struct Limits {
    /// The most bytes of one line: two of the largest payloads, which base64 and escapes may need.
    var lineByteCountMax = 2 * WireLimits.standard.payloadByteCountMax
    /// The most outputs to one input.
    var outputCountMax = 4096
    /// The most bytes of outputs to one input.
    var outputByteCountMax = 16 << 20
    /// How long a program may take to end by itself, once its standard input has ended or it has closed its standard output.
    var endPatience = Duration.seconds(2)
    /// How long it may take once it was asked to.
    var terminationPatience = Duration.seconds(1)
  }

  private struct Question {
    let id: String
    let dueAt: Duration
    var outputs: [ProgramOutput] = []
    var alertCount = 0
    var byteCount = 0
    /// Why the outputs cannot be taken: the first thing that was wrong.
    var refusal: (any Error)?
  }

  private let name: String
  private let limits: Limits
  private var line: [UInt8] = []
  private var open: Question?
  /// Why the program is being ended.
  private var reason: (any Error)?
  private var terminateAt: Duration?
  private var killAt: Duration?
  private var isStopping = false
  /// Whether it has closed its standard output.
  private var isMute = false
  private(set) var hasEnded = false
  /// How many inputs it has answered, in whatever way.
  private(set) var answerCount = 0

  /// - Parameter name: the program, for error texts.
  init(name: String, limits: Limits = Limits()) {
    self.name = name
    self.limits = limits
  }

  /// Whether another input may be given.
  var takesInput: Bool { open == nil && reason == nil && !isMute && !isStopping && !hasEnded }

  /// When ``tick(now:)`` has something to do; nil for never.
  var nextDue: Duration? {
    [reason == nil ? open?.dueAt : nil, terminateAt, killAt].compactMap(\.self).min()
  }

  // MARK: From the agent

  /// Gives the program an input, to be answered within a time. There must be no other.
  mutating func give(_ id: String, _ line: [UInt8], within: Duration, now: Duration) -> [Effect] {
    guard takesInput else {
      return [.finish(.failure(isStopping ? NodeStops() : reason ?? failure("takes no input any more")))]
    }
    open = Question(id: id, dueAt: now + within)
    return [.write(line)]
  }

  /// Lets the program come to its end: its input ends, and it may answer what it is at.
  mutating func stop(now: Duration) -> [Effect] {
    guard !isStopping, !hasEnded else { return [] }
    isStopping = true
    end(after: limits.endPatience, now: now)
    return [.closeInput]
  }

  // MARK: From the program

  /// Takes what it has written on standard output.
  mutating func read(_ bytes: ArraySlice<UInt8>, now: Duration) -> [Effect] {
    var effects: [Effect] = []
    var rest = bytes
    while reason == nil, !rest.isEmpty {
      let newline = rest.firstIndex(of: 0x0A)
      let part = rest[..<(newline ?? rest.endIndex)]
      guard line.count + part.count <= limits.lineByteCountMax else {
        line = []
        effects += end(
          because: failure("wrote a line of more than \(limits.lineByteCountMax) bytes"), now: now)
        break
      }
      line += part
      guard let newline else { break }  // The rest of it is to come.
      let whole = line
      line.removeAll(keepingCapacity: whole.count < 1 << 16)
      effects += take(whole, now: now)
      rest = rest[(newline + 1)...]
    }
    return effects
  }

  /// It has closed its standard output, and so cannot answer any more.
  mutating func outputEnded(now: Duration) -> [Effect] {
    isMute = true
    if !hasEnded, reason == nil { end(after: limits.endPatience, now: now) }
    return []
  }

  /// It has ended, and all that it wrote was read.
  ///
  /// - Parameter how: in words, such as `exited with status 1`.
  mutating func ended(_ how: String) -> [Effect] {
    hasEnded = true
    (terminateAt, killAt) = (nil, nil)
    guard open != nil else {
      if isStopping { return [] }
      return [.note((reason as? HyphaError)?.problem ?? "the program '\(name)' \(how) without an input")]
    }
    // One that was killed for a reason has failed for that one.
    return finish(.failure(isStopping ? NodeStops() : reason ?? failure("\(how) within an input")))
  }

  /// An alert could not leave: the input fails for that when it ends.
  mutating func refuse(_ error: any Error) {
    guard open != nil, open?.refusal == nil else { return }
    open?.refusal = error
    open?.outputs = []
  }

  /// What became of what the program has said about a decision. One that asks for one waits for a line.
  ///
  /// - Parameter line: the line that asks; nil for one that answers.
  mutating func decided(
    _ result: Result<EventID?, any Error>, to line: ProgramDecision.Line?, in input: String
  )
    -> [Effect]
  {
    if case .failure(let error) = result, open?.id == input { refuse(error) }
    guard let line else { return [] }
    return [.write(ProgramDecision.reply(to: line, in: input, result))]
  }

  // MARK: Time

  /// Does what is due.
  mutating func tick(now: Duration) -> [Effect] {
    var effects: [Effect] = []
    if let question = open, question.dueAt <= now, reason == nil {
      effects += end(because: failure("did not answer within the handler deadline and was killed"), now: now)
    }
    if let due = terminateAt, due <= now {
      terminateAt = nil
      effects.append(.terminate)
      // Whoever stops does not wait for an answer any longer.
      if isStopping, open != nil { effects += finish(.failure(NodeStops())) }
    }
    if let due = killAt, due <= now {
      killAt = nil
      effects.append(.kill)
    }
    return effects
  }

  private mutating func end(after patience: Duration, now: Duration) {
    guard terminateAt == nil, killAt == nil else { return }
    terminateAt = now + patience
    killAt = now + patience + limits.terminationPatience
  }

  /// Ends the program at once: it is out of step. The input fails when it is gone.
  private mutating func end(because error: any Error, now: Duration) -> [Effect] {
    reason = error
    (terminateAt, killAt) = (nil, nil)
    // What it has said already is of no use, and it may be much.
    line = []
    open?.outputs = []
    return [.kill]
  }

  private mutating func finish(_ result: Result<[ProgramOutput], any Error>) -> [Effect] {
    open = nil
    return [.finish(result)]
  }

  private func failure(_ what: String, _ remedy: String? = nil) -> HyphaError {
    HyphaError(.agentFailed, "the program '\(name)' \(what)", remedy: remedy)
  }
}

// MARK: Lines

extension ProgramDialogue {
  /// The event types that end an input.
  private static let (handled, failed) = ("hypha.handled", "hypha.failed")

  private mutating func take(_ bytes: [UInt8], now: Duration) -> [Effect] {
    let line: CloudEventLine
    do { line = try CloudEventLine(bytes) } catch {
      let shown = String(decoding: bytes.prefix(200), as: UTF8.self).shown(80)
      return end(
        because: failure(
          "wrote a line on standard output that \(error.text): '\(shown)'",
          "write CloudEvents there and nothing else; diagnostics go to standard error"), now: now)
    }
    let type = line.text("type") ?? ""
    guard let question = open else {
      return end(because: failure("wrote '\(type.shown(80))' when it had no input"), now: now)
    }
    guard let cause = line.text("causationid"), cause == question.id else {
      let named = line.text("causationid").map { "names the input '\($0.shown(80))'" } ?? "names no input"
      return end(
        because: failure(
          "wrote '\(type.shown(80))', which \(named), when it was given \(question.id)",
          "give each line the input's id as causationid"), now: now)
    }
    switch type {
    case Self.handled:
      answerCount += 1
      return finish(question.refusal.map { .failure($0) } ?? .success(question.outputs))
    case Self.failed:
      answerCount += 1
      return finish(.failure(ProgramFailure(line).error))
    default: return take(line, type, question, now: now)
    }
  }

  private mutating func take(
    _ line: CloudEventLine, _ type: String, _ question: Question, now: Duration
  ) -> [Effect] {
    guard question.outputs.count + question.alertCount < limits.outputCountMax,
      question.byteCount + line.byteCount <= limits.outputByteCountMax
    else {
      return end(
        because: failure(
          "answered one input with more than \(limits.outputCountMax) events or \(limits.outputByteCountMax) bytes"
        ),
        now: now)
    }
    open?.byteCount += line.byteCount
    let asking = ProgramDecision.Line(line, type: type)
    do {
      if let decision = try ProgramDecision(line, type: type) {
        open?.alertCount += 1
        if let refusal = question.refusal { throw refusal }
        return [.decide(decision, line: asking, input: question.id)]
      }
    } catch {
      return decided(.failure(error), to: asking, in: question.id)
    }
    // It may go on, and its answer says when it is done; but none of it counts.
    guard question.refusal == nil else { return [] }
    do {
      let output = try ProgramOutput(line, type: type)
      guard output.event.channel == .alert else {
        open?.outputs.append(output)
        return []
      }
      open?.alertCount += 1
      return [.alert(output)]
    } catch {
      refuse(error)
      return []
    }
  }
}
