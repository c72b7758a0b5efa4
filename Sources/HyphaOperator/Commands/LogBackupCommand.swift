import HyphaCore
import HyphaLog

/// `hypha log backup`: a copy of a node's data, while it runs or not.
struct LogBackupCommand: Command {
  static let configuration = CommandConfiguration(
    name: "backup", abstract: "Copy a node's log and payloads as they are at one moment.",
    discussion: """
      The node may be running. The copy is a data directory itself, so every 'hypha log' command reads it; it has \
      its name only once it was verified from end to end and is on the disk. A damaged log is refused, and nothing \
      is left of its copy. Keep the printed link: it stands for every event up to the \
      position.

      Pages that the log frees meanwhile cannot be used again before the copy is made, so its file grows; by how \
      much is said.
      """,
    examples: [
      "hypha log backup data/incident-room/hq --output backups/hq-monday",
      "hypha log backup data/incident-room/hq --output backups/hq-monday --with-key --json",
    ])

  @Argument(help: "A node's data directory.", completion: .directory) var data: String
  @Option(
    name: .shortAndLong, help: "The directory to make.", valueName: "directory", completion: .directory)
  var output: String
  @Flag(help: "Copy the node's private key as well; keep such a copy as safe as the key.") var withKey = false
  @Flag(help: "Print the result as JSON.") var json = false

  func run() async throws {
    let path = try DataPlaces.log(at: data)
    let retention = try Program.require().retention
    let stop = StopSignal()
    let report = try await LiveRegion.run { region in
      try stop.cleaningUp("nothing is left of \(output)") {
        try retention.backUp(
          path, to: output, withKey: withKey, progress: region.progress("\(output): copying", stop),
          verify: region.verification(of: path, as: output, stop, remedy: Self.remedy(path)))
      }
    }
    if json { return try Output.standard.writeLine(JSON.text(CopyJSON(report, path: output))) }
    try Output.standard.writeLine("\(output): \(report.line)")
    if report.grownByteCount > 0 {
      try Output.standard.writeLine(
        "  the log's file grew by \(Human.bytes(report.grownByteCount)) meanwhile")
    }
  }

  private static func remedy(_ path: String) -> String {
    "run '\(Program.calledAs) log verify \(path)', keep the backups that there are, and restore one or run "
      + "'\(Program.calledAs) log salvage \(path) --output NEW'"
  }
}

extension LiveRegion {
  /// What verifies a copy in a process of its own, and says how far it is.
  func verification(
    of source: String, as name: String, _ stop: StopSignal, remedy: String
  ) -> CopyVerification {
    { copy in
      try LogExamination(data: copy, stop: stop).confirmCopy(of: source, remedy: remedy) { progress in
        let (done, head) = (Human.count(progress.position.rawValue), Human.count(progress.head.rawValue))
        try self.draw(["\(name): verifying, \(done) of \(head) entries"])
      }
    }
  }
}

/// A copy as one line of JSON.
struct CopyJSON: Encodable {
  let path: String
  let node: NodeID
  let log: EventID
  let head: UInt64
  let time: String?
  let link: String
  let bytes: UInt64
  let grownBytes: UInt64
  var movedAside: String?

  init(_ report: CopyReport, path: String, movedAside: String? = nil) {
    self.path = path
    self.movedAside = movedAside
    node = report.identity.node
    log = report.identity.id
    head = report.head.rawValue
    time = report.head == .start ? nil : report.time.text
    link = report.link.description
    bytes = report.byteCount
    grownBytes = report.grownByteCount
  }
}

extension CopyReport {
  /// What the copy holds, for people.
  var line: String {
    let newest = head == .start ? "no events" : "events up to position \(head) of \(time.text)"
    return "log of node \(identity.node), \(newest), \(Human.bytes(byteCount)), link \(link)"
  }
}
