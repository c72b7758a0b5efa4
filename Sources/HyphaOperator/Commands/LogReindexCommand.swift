import HyphaCore
import HyphaLog

/// `hypha log reindex`: the index of a log, made anew from its entries.
struct LogReindexCommand: Command {
  static let configuration = CommandConfiguration(
    name: "reindex", abstract: "Make the index of logs anew.",
    discussion: """
      The index is derived from the log, and every read is right without it; it only takes longer. A node keeps its \
      index by itself, and makes it anew where it is damaged. For logs that no node is writing.
      """,
    examples: ["hypha log reindex data/incident-room/hq"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Flag(help: "Print the result as JSON, a line for each log.") var json = false

  private struct Row: Encodable {
    let path: String
    let through: UInt64
    let lag: UInt64
  }

  func run() async throws {
    let program = try Program.require()
    for path in try DataPlaces.logs(in: data) {
      let status = try await LiveRegion.run { region in
        try program.reindexLog(path) { position, head in
          try? region.draw([
            "\(path): \(Human.count(position.rawValue)) of \(Human.count(head.rawValue)) entries"
          ])
        }
      }
      let row = Row(path: path, through: status.through.rawValue, lag: status.lagCount)
      try Output.standard.writeLine(
        json ? JSON.text(row) : "\(path): \(Human.count(row.through)) entries are indexed")
    }
  }
}
