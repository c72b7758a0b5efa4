import HyphaCore
import HyphaLog

/// `hypha log compact`: making a log's file smaller.
struct LogCompactCommand: Command {
  static let configuration = CommandConfiguration(
    name: "compact", abstract: "Write a node's log anew without the room that a prune has freed.",
    discussion: """
      The log is verified from end to end first, and one that is damaged is refused. The copy takes the log's place at \
      one stroke when it was compared with it; at any moment there is a whole log. Blocks \
      stay as they are, so heads that were signed before can still be checked. The node must not be running, nobody \
      may be reading the log, and the disk must have room for the copy.
      """,
    examples: ["hypha log compact data/incident-room/hq"])

  @Argument(help: "A node's data directory.", completion: .directory) var data: String
  @Flag(help: "Print the result as JSON.") var json = false

  private struct Result: Encodable {
    let path: String
    let bytesBefore, bytesAfter: UInt64
  }

  func run() async throws {
    let path = try DataPlaces.log(at: data)
    let retention = try Program.require().retention
    let stop = StopSignal()
    let report = try await LiveRegion.run { region in
      try stop.cleaningUp("the log in \(path) is as it was") {
        try retention.compact(
          path, progress: region.progress("\(path): compacting", stop),
          verify: region.verification(
            of: path, as: path, stop,
            remedy:
              "run '\(Program.calledAs) log salvage \(path) --output NEW', or restore a backup; the log is as it was"
          ))
      }
    }
    if json {
      let result = Result(
        path: path, bytesBefore: report.byteCountBefore, bytesAfter: report.byteCountAfter)
      return try Output.standard.writeLine(JSON.text(result))
    }
    try Output.standard.writeLine(
      "\(path): \(Human.bytes(report.byteCountBefore)) before, \(Human.bytes(report.byteCountAfter)) now")
  }
}

extension LiveRegion {
  /// Draws how far a copy has come; a signal ends it.
  func progress(_ what: String, _ stop: StopSignal) -> CopyProgress {
    { written, total in
      if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
      let share = total == 0 ? 100 : min(written * 100 / total, 100)
      try? self.draw(["\(what), \(Human.bytes(written)) of \(Human.bytes(total)), \(share) %"])
    }
  }
}

extension StopSignal {
  /// Calls `body`, and says what there is where a signal has ended it.
  func cleaningUp<Value>(_ what: String, _ body: () throws -> Value) throws -> Value {
    do { return try body() } catch let status as ExitStatus where isRaised {
      try Output.standardError.writeLine("stopped: \(what)")
      throw status
    }
  }
}
