import Foundation
import HyphaCore
import HyphaLog

/// `hypha log salvage`: a new log of what is whole in a damaged one.
struct LogSalvageCommand: Command {
  static let configuration = CommandConfiguration(
    name: "salvage", abstract: "Make a new log of what is whole in a damaged one.",
    discussion: """
      Searches the bytes of the damaged file, which is only read, for blocks whose checksums and hashes match, and \
      writes them to a new data directory, at the same positions and byte by byte: the chain and all signed heads \
      before the damage go on to hold. What cannot be kept is quarantined there, and reading it says so. Consumers' \
      places, snapshots, idempotency keys, payloads and the node's key are taken along as far as they can be read. \
      The node must not run. Where the pages are lost that say whose log it is, its index and the chain do, or --node \
      and --log-id, as a signed head or a backup has them; with --node alone the new log gets a new id. All of that is done by a process of its own: should damaged bytes end it, that is said.

      --loose writes the records that are whole while nothing says where in the log they stood: a line of JSON \
      each, with the record's bytes as base64.

      Exit status 0 when the new log was made, whatever is missing in it.
      """,
    examples: ["hypha log salvage data/incident-room/hq --output salvaged/hq"])

  @Argument(help: "The damaged log's data directory.", completion: .directory) var data: String
  @Option(
    name: .shortAndLong, help: "The data directory to make.", valueName: "directory", completion: .directory)
  var output: String
  @Option(help: "Write records without a place here.", valueName: "file", completion: .file) var loose:
    String?
  @Option(help: "Whose log it is, where nothing else says so.", valueName: "name") var node: NodeID?
  @Option(help: "Which log it is, where nothing else says so.", valueName: "id") var logID: EventID?
  @Flag(help: "Print the report as JSON, on one line.") var json = false

  func run() async throws {
    let path = try DataPlaces.log(at: data)
    let stop = StopSignal()
    let examination = LogExamination(data: path, stop: stop)
    let wasThere = FileManager.default.fileExists(atPath: output)
    let file = try loose.map { try LooseFile($0) }
    let report: SalvageReport
    do {
      report = try await salvage(examination, file)
    } catch {
      // What it has so far is of no log that was made.
      if let loose { try? FileManager.default.removeItem(atPath: loose) }
      if stop.isRaised {
        // The child was killed, and has tidied up nothing.
        if !wasThere { try? FileManager.default.removeItem(atPath: output) }
        try Output.standardError.writeLine("stopped: nothing was salvaged to \(output)")
      }
      throw error
    }
    try file?.finish()
    if json { try Output.standard.writeLine(JSON.text(report)) } else { try show(report, of: path) }
  }

  private func salvage(_ examination: LogExamination, _ file: LooseFile?) async throws -> SalvageReport {
    try await LiveRegion.run { region in
      let owner = StatedOwner(node: node, id: logID)
      let report = try examination.salvage(to: output, owner: owner, isLooseWanted: file != nil) { line in
        if let record = line.loose { try file?.write(record) }
        guard let searched = line.searched else { return }
        let share = searched.all == 0 ? 100 : searched.done * 100 / searched.all
        try region.draw([
          "\(examination.data): \(Human.bytes(searched.done)) of \(Human.bytes(searched.all)) searched, \(share) %"
        ])
      }
      try region.draw([])
      return report
    }
  }

  private func show(_ report: SalvageReport, of path: String) throws {
    func say(_ line: String) throws { try Output.standard.writeLine(line) }
    try say(
      "\(path): \(Human.count(report.entryCount)) entries in \(Human.count(report.blockCount)) blocks were kept, "
        + "up to position \(Human.count(report.head.rawValue))")
    try say(
      "  \(report.cursorCount) consumers' places, \(report.snapshotCount) snapshots, \(report.keyCount) idempotency "
        + "keys, \(report.payloadCount) payloads beside the log")
    if report.prunedCount > 0 { try say("  \(Human.count(report.prunedCount)) entries were pruned before") }
    try say("  \(Human.count(report.quarantinedCount)) entries are quarantined")
    for range in report.quarantined {
      let place =
        range.first == range.last ? "position \(range.first)" : "positions \(range.first) to \(range.last)"
      try say("    \(place): \(range.reason)")
    }
    if report.looseCount > 0 {
      try say(
        "  \(Human.count(report.looseCount)) records without a place"
          + (loose.map { " are in \($0)" } ?? "; --loose FILE writes them"))
    }
    for note in report.notes { try say("  \(note)") }
    try say("next: \(Program.calledAs) log verify \(output)")
  }
}

/// The file of records without a place.
private final class LooseFile {
  private let handle: FileHandle
  private let output: Output

  init(_ path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil),
      let handle = FileHandle(forWritingAtPath: path)
    else {
      throw HyphaError(
        .fileUnavailable, "\(path) cannot be written", remedy: "give another --loose file")
    }
    self.handle = handle
    output = Output(descriptor: handle.fileDescriptor, name: path)
  }

  func write(_ loose: LooseLine) throws { try output.writeLine(JSON.text(loose)) }

  func finish() throws { try output.flush() }
}

/// A record without a place, as a line of JSON.
struct LooseLine: Codable {
  let offset: UInt64
  let id: EventID
  let time: String
  let channel: String
  let agent: AgentID
  let epoch, sequence: UInt64
  let addressee: AgentID?
  let type: EventTypeName
  let subject: Subject
  let record: String

  init(_ loose: LooseRecord) {
    let header = loose.record.header
    offset = loose.offset
    id = header.id
    time = header.time.text
    channel = header.channel.description
    agent = header.agent
    epoch = header.epoch
    sequence = header.sequence
    addressee = header.addressee
    type = header.type
    subject = header.subject
    record = Data(loose.record.bytes).base64EncodedString()
  }
}
