import HyphaCore
import HyphaRuntime

/// `hypha replicas`: how far the copies of what nodes state are.
struct ReplicasCommand: Command {
  static let configuration = CommandConfiguration(
    name: "replicas", abstract: "Say how far the replicas of each node are, and what waits for them.",
    discussion: """
      Asks the nodes that run, through the sockets in their data directories; those without replicas are left out. \
      'behind' is the number of lanes of the node's agents of which the replica is not known to have the newest event; 0 \
      is all of it. 'level' is how many replicas must have an event before it leaves the node, 'held' how many groups of \
      events wait for that now, and 'in doubt' how many have left without it since the node started, because their time \
      was over. Which those are stands in the node's log: hypha log cat DIR/NODE --type hypha.LeftInDoubt. \
      A node whose disk was lost asks its replicas first what they have of it; what came back is told by hypha.Rejoined there.

      Who is whose replica stands in the topology file, at the nodes: replicas, replicated, in-doubt-after.
      """,
    examples: ["hypha replicas data/incident-room", "hypha replicas data/incident-room/hq --json"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(help: "How to print.") var format: TableFormat = .table
  @Flag(help: "Print as JSON; short for --format json.") var json = false

  func run() async throws {
    let format: TableFormat = json ? .json : format
    var table = Table([
      .init("node"), .init("replica"), .init("behind", key: "behindLaneCount"), .init("level"),
      .init("held", key: "heldCount"), .init("in doubt", key: "inDoubtCount"),
    ])
    var notes: [String] = []
    var isAnyRunning = false
    for path in try DataPlaces.logs(in: data) {
      guard let status = try await NodesCommand.status(path, &notes) else { continue }
      isAnyRunning = true
      guard let replication = status.replication else { continue }
      if let awaited = replication.awaited {
        notes.append(
          "\(status.node) has an empty log and asks its replicas what they have of it before it begins"
            + (awaited.isEmpty ? "" : "; no answer from \(awaited.joined(separator: ", "))"))
      }
      for (replica, behindCount) in replication.behindLaneCounts.sorted(by: { $0.key < $1.key }) {
        table.add([
          .string(status.node.text), .string(replica), .integer(behindCount), .integer(replication.level),
          .integer(replication.heldCount), .integer(Int(clamping: replication.inDoubtCount)),
        ])
      }
    }
    if format != .table || !table.rows.isEmpty { try table.write(as: format) }
    guard format == .table else { return }
    if table.rows.isEmpty && isAnyRunning { notes.append("no node that runs has replicas") }
    for note in notes { try Output.standard.writeLine(note) }
  }
}
