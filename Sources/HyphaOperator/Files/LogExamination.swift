import Foundation
import HyphaCore
import HyphaLog

/// Looks at a log that may be damaged, or salvages it, in a child process: LMDB trusts its file, so a damaged page can end
/// the process that reads it by a signal. That is a finding then, and no crash.
///
/// The child is this program itself, running ``LogExamineCommand``, so an author's own program does it too. It ends
/// when nobody reads what it says any more.
struct LogExamination {
  /// The log's data directory.
  let data: String
  /// Raised to end the child early.
  let stop: StopSignal

  /// What reading a log came to where it did not come to its end.
  struct Interruption: Error {
    var code = HyphaError.Code.logInvalid
    /// What happened, naming how far it had come.
    let problem: String
    let remedy: String?
    let cause: String?
    /// What became of the child.
    var end = End.said

    /// How the child ended.
    enum End {
      /// It said itself why.
      case said
      /// Reading the log has ended it.
      case died
      /// Somebody else has ended it.
      case killed
    }

    /// Whether what happened is the log's doing.
    var isFinding: Bool { end == .died || end == .said && (code == .logInvalid || code == .logTooNew) }

    /// As the error of a command that needs the log whole.
    var error: HyphaError { HyphaError(code, problem, remedy: remedy, cause: cause) }
  }

  /// Reads the log from end to end. What keeps it from being read and is not the log's doing is an interruption, and
  /// what was read until then is counted; so it is where ``stop`` is raised.
  func verify(linksAt positions: [Position], progress: (LogProgress) throws -> Void) throws -> LogVerification
  {
    var found = LogVerification()
    var last = Position.start
    do {
      try run("verify", links(at: positions)) { line in
        if let here = line.progress {
          last = here.position
          (found.head, found.entryCount) = (here.head, here.entryCount)
          try progress(here)
        }
        if let verification = line.verification { found = verification }
      }
    } catch is ExitStatus where stop.isRaised {
      found.interruption = "it was stopped at position \(last) of \(found.head)"
    } catch let interruption as Interruption {
      let cause = interruption.cause.map { " (\($0))" } ?? ""
      let remedy = interruption.remedy.map { "; \($0)" } ?? ""
      switch interruption.end {
      case _ where !interruption.isFinding: found.interruption = interruption.problem + cause + remedy
      case .died: found.find(interruption.problem + remedy + cause, at: nil, .damaged)
      default:
        found.find(interruption.problem, at: nil, interruption.code == .logTooNew ? .inconsistent : .damaged)
      }
    }
    return found
  }

  /// Reads a copy of the log `source` from end to end.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` naming the first thing that is wrong and `remedy`;
  ///   ``HyphaError/Code/failed`` where it could not be read to its end.
  func confirmCopy(of source: String, remedy: String, progress: (LogProgress) throws -> Void) throws {
    let found = try verify(linksAt: [], progress: progress)
    if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
    if let problem = found.findings.first {
      let more = found.findings.count > 1 ? ", and \(found.findings.count - 1) more" : ""
      throw HyphaError(.logInvalid, "\(source) is damaged: \(problem)\(more)", remedy: remedy)
    }
    if let interruption = found.interruption {
      throw HyphaError(
        .failed, "the copy of \(source) could not be verified", remedy: "run this again", cause: interruption)
    }
  }

  /// Looks up the chain's links.
  func chain(at positions: [Position]) throws -> ChainLookup {
    var found: ChainLookup?
    try orThrow { try run("chain", links(at: positions)) { found = $0.chain ?? found } }
    guard let found else { throw HyphaError(.failed, "nothing was said of the log in \(data)") }
    return found
  }

  /// Signs the log's head.
  func signedHead() throws -> String {
    var found: String?
    try orThrow { try run("head", []) { found = $0.head ?? found } }
    guard let found else { throw HyphaError(.failed, "nothing was said of the log in \(data)") }
    return found
  }

  /// The most heads of other logs that are read of one.
  static let keptHeadCountMax = 10_000

  /// The heads of other nodes' logs that this one has taken, with their positions here, the newest first.
  func keptHeads() throws -> [(position: Position, head: String)] {
    var found: [(Position, String)] = []
    try orThrow {
      try run("kept", []) { line in
        if let position = line.position, let head = line.head { found.append((position, head)) }
      }
    }
    return found
  }

  /// Reads what can be read of the small tables.
  func tables() throws -> SalvagedTables {
    var tables = SalvagedTables()
    do {
      try run("tables", []) { if let row = $0.row { tables.rows.append(row) } }
    } catch let interruption as Interruption {
      tables.problem = interruption.problem
    }
    return tables
  }

  /// Makes a new log of what is whole; `take` is given how much was searched, and records without a place.
  ///
  /// - Throws: what salvage throws; ``HyphaError/Code/failed`` when the child has died.
  func salvage(
    to output: String, owner: StatedOwner, isLooseWanted: Bool, _ take: (ExaminationLine) throws -> Void
  ) throws -> SalvageReport {
    let stated =
      (owner.node.map { ["--node", $0.text] } ?? []) + (owner.id.map { ["--log-id", "\($0)"] } ?? [])
    var report: SalvageReport?
    do {
      try run("salvage", ["--output", output] + stated + (isLooseWanted ? ["--loose"] : [])) { line in
        report = line.salvage ?? report
        try take(line)
      }
    } catch let interruption as Interruption {
      guard interruption.end == .died else { throw interruption.error }
      throw HyphaError(
        .failed, "the process that salvaged \(data) died",
        remedy: "remove \(output) and run it again; if it dies again, report it with the file",
        cause: interruption.cause)
    }
    guard let report else { throw HyphaError(.failed, "nothing was said of the log in \(data)") }
    return report
  }

  private func links(at positions: [Position]) -> [String] {
    positions.flatMap { ["--link-at", "\($0)"] }
  }

  private func orThrow(_ body: () throws -> Void) throws {
    do { try body() } catch let interruption as Interruption { throw interruption.error }
  }
}

// MARK: The child

extension LogExamination {
  private func run(_ part: String, _ options: [String], _ take: (ExaminationLine) throws -> Void) throws {
    let child = Process()
    let (output, errors) = (Pipe(), Pipe())
    // The program that runs, even where another was installed in its place meanwhile.
    child.executableURL = URL(fileURLWithPath: "/proc/self/exe")
    child.arguments = ["log", "examine", part, data] + options
    child.standardInput = FileHandle.nullDevice
    child.standardOutput = output
    child.standardError = errors
    var environment = ProcessInfo.processInfo.environment
    environment["SWIFT_BACKTRACE"] = "enable=no"
    child.environment = environment
    do {
      try child.run()
    } catch {
      throw HyphaError(
        .failed, "the program cannot start itself to look at \(data)",
        remedy: "check that it may be executed",
        cause: "\(error)")
    }
    let id = child.processIdentifier
    stop.whenRaised { kill(id, SIGKILL) }
    var last = Position.start
    var isComplete = false
    var failure: ExaminationLine.Failure?
    do {
      try forEachLine(of: output.fileHandleForReading) { bytes in
        guard let line = try? JSON.decode(ExaminationLine.self, from: bytes) else { return }
        last = line.progress?.position ?? last
        failure = line.failure ?? failure
        isComplete = isComplete || line.isComplete == true
        try take(line)
      }
    } catch {
      child.terminate()
      throw error
    }
    let words = String(
      decoding: errors.fileHandleForReading.readDataToEndOfFile().prefix(400), as: UTF8.self)
    child.waitUntilExit()
    if stop.isRaised { throw ExitStatus.stopped(by: stop.signalNumber ?? SIGINT) }
    if let failure {
      let code = Self.codes.first { $0.description == failure.code } ?? .logInvalid
      throw Interruption(code: code, problem: failure.problem, remedy: failure.remedy, cause: failure.cause)
    }
    guard !isComplete else { return }
    let how =
      child.terminationReason == .uncaughtSignal
      ? Self.name(ofSignal: child.terminationStatus) : "status \(child.terminationStatus)"
    let said = words.split(whereSeparator: \.isNewline).first.map { ": \($0.shown(200))" } ?? ""
    if child.terminationReason == .uncaughtSignal, Self.isOthers(child.terminationStatus) {
      throw Interruption(
        code: .failed, problem: "the process that read the log in \(data) was killed at position \(last)",
        remedy: "find out what sends it, such as a limit of memory, and run this again", cause: how,
        end: .killed)
    }
    let place = last > .start ? "beyond position \(last)" : "at all"
    throw Interruption(
      problem: "the log cannot be read \(place): its pages are damaged, and the process that read them died",
      remedy: "run '\(Program.calledAs) log salvage \(data) --output NEW'", cause: how + said, end: .died)
  }

  /// What a child may have met.
  private static let codes: [HyphaError.Code] = [
    .logInvalid, .logTooNew, .logLocked, .logFull, .logFailed, .fileUnavailable, .invalidInput, .failed,
  ]

  private func forEachLine(of handle: FileHandle, _ body: ([UInt8]) throws -> Void) throws {
    var rest: [UInt8] = []
    while true {
      let more = handle.availableData
      if more.isEmpty { return }
      rest += more
      var begin = rest.startIndex
      while let end = rest[begin...].firstIndex(of: UInt8(ascii: "\n")) {
        try body(Array(rest[begin..<end]))
        begin = end + 1
      }
      rest.removeSubrange(..<begin)
    }
  }

  /// Whether a signal comes from somebody else, rather than from what the process does.
  private static func isOthers(_ number: Int32) -> Bool {
    ![SIGBUS, SIGSEGV, SIGABRT, SIGILL, SIGTRAP, SIGFPE, SIGSYS].contains(number)
  }

  private static func name(ofSignal number: Int32) -> String {
    switch number {
    case SIGKILL: "SIGKILL"
    case SIGTERM: "SIGTERM"
    case SIGBUS: "SIGBUS"
    case SIGSEGV: "SIGSEGV"
    case SIGABRT: "SIGABRT"
    case SIGILL, SIGTRAP: "a failed check"
    default: "signal \(number)"
    }
  }
}
