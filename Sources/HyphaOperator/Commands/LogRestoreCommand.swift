import HyphaCore
import HyphaLog

/// `hypha log restore`: a node's data from a backup.
struct LogRestoreCommand: Command {
  static let configuration = CommandConfiguration(
    name: "restore", abstract: "Check a backup from end to end and put it in a data directory.",
    discussion: """
      The directory must be empty or not be there; --replace moves one that is not aside, and removes nothing. Its key \
      is taken over, where the log is the same and the backup has none (see 'log backup --with-key'). Where there is no \
      key, the node makes a new one when it starts: what was signed with the old one is 'other-key' then, unless \
      --key gives that one.

      A restored log is older than what the node has sent since. When the node starts again, each agent begins an \
      epoch that is higher than any before, whatever the log has of them. What it stated after the backup is not in its \
      log any more: other nodes keep what they took of it, and tell it as a fork ('hypha forks').
      """,
    examples: [
      "hypha log restore backups/hq-monday --data data/incident-room/hq",
      "hypha log restore backups/hq-monday --data data/incident-room/hq --replace",
    ])

  @Argument(help: "A backup of a node.", completion: .directory) var backup: String
  @Option(help: "The node's data directory.", valueName: "directory", completion: .directory) var data: String
  @Flag(help: "Move aside what is there.") var replace = false
  @Flag(help: "Print the result as JSON.") var json = false

  func run() async throws {
    let path = try DataPlaces.log(at: backup)
    let retention = try Program.require().retention
    let stop = StopSignal()
    let report = try await LiveRegion.run { region in
      try stop.cleaningUp("\(data) is as it was") {
        try retention.restore(
          path, to: data, replaces: replace, progress: region.progress("\(data): copying", stop),
          verify: region.verification(
            of: path, as: data, stop,
            remedy: "run '\(Program.calledAs) log verify \(path)', and use another backup"))
      }
    }
    if json {
      return try Output.standard.writeLine(
        JSON.text(CopyJSON(report.copy, path: data, movedAside: report.movedAside)))
    }
    try Output.standard.writeLine("\(data): \(report.copy.line)")
    if let aside = report.movedAside {
      try Output.standard.writeLine("  what was there is in \(aside)")
    }
    if !report.hasKey {
      try Output.standard.writeLine(
        "  there is no node.key: put the node's key there, or it makes a new one, and heads that were signed before do "
          + "not match that")
    }
    try Output.standard.writeLine(
      "  what the node stated after position \(report.copy.head) is not in this log")
  }
}
