import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTransport

/// `hypha forks`: where a lane goes on beside what was taken of it.
struct ForksCommand: Command {
  static let configuration = CommandConfiguration(
    name: "forks", abstract: "List events that nodes have taken and that their origin then lost.",
    discussion: """
      Reads the logs; the nodes may run or not. An alert is sent while it is being written. When its node is killed in \
      between, those who took it have what its author's log has not: the lane then goes on in a new epoch, and has \
      forked. Both sides stay as they are, and are never merged.

      'common' is the last event that both have, as epoch:sequence; 'kept' the last one that was taken here and is \
      lost there, 'lost' how many there are, and 'goes on' the first one that the origin has instead. JSON has the \
      events' ids, too, for 'hypha trace'.

      What contradicts a lane within an epoch is refused and stands in no log: the notes of the node that has refused \
      it say so.
      """,
    examples: ["hypha forks data/incident-room", "hypha forks data/incident-room/hq --json"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(help: "How to print.") var format: TableFormat = .table
  @Flag(help: "Print as JSON; short for --format json.") var json = false

  func run() async throws {
    let program = try Program.require()
    let found = try DataPlaces.logs(in: data).flatMap { path in
      let log = try program.readLog(path)
      return try RecordedFork.all(in: log).map { (node: log.identity.node, found: $0) }
    }
    let forks = found.sorted { ($0.found.foundAt, $0.node) < ($1.found.foundAt, $1.node) }
    let format: TableFormat = json ? .json : format
    guard format == .table else { return try Self.full(forks).write(as: format) }
    guard !forks.isEmpty else { return try Output.standard.writeLine("no lane has forked") }
    try Self.brief(forks).write()
  }

  /// All there is to know, for programs.
  private static func full(_ forks: [(node: NodeID, found: RecordedFork)]) -> Table {
    var table = Table([
      .init("lane"), .init("node"), .init("lost"), .init("common"), .init("kept"),
      .init("kept event", key: "keptEvent"), .init("goes on", key: "goesOn"),
      .init("goes on event", key: "goesOnEvent"), .init("found at", key: "foundAt"), .init("position"),
    ])
    for (node, found) in forks {
      let fork = found.fork
      table.add([
        .string(found.lane.description), .string(node.text), .integer(found.lostCount),
        .string(fork.common.description), .string(fork.kept.point.description),
        .string(fork.kept.event.description), .string(fork.other.point.description),
        .string(fork.other.event.description), .string(found.foundAt.text),
        .integer(Int(clamping: found.position.rawValue)),
      ])
    }
    return table
  }

  /// What a person needs, in 80 columns.
  private static func brief(_ forks: [(node: NodeID, found: RecordedFork)]) -> Table {
    var table = Table([
      .init("lane"), .init("node"), .init("lost"), .init("common", alignment: .right),
      .init("kept", alignment: .right), .init("goes on", alignment: .right), .init("found"),
    ])
    for (node, found) in forks {
      table.add([
        .string(found.lane.description), .string(node.text), .integer(found.lostCount),
        .string(found.fork.common.description), .string(found.fork.kept.point.description),
        .string(found.fork.other.point.description), .string(found.foundAt.text),
      ])
    }
    return table
  }
}
