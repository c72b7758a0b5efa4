import HyphaCore
import HyphaRuntime

/// `hypha nodes`: what the nodes of a running deployment take each other for.
struct NodesCommand: Command {
  static let configuration = CommandConfiguration(
    name: "nodes", abstract: "Say what the nodes take each other for: up, suspected, down, left.",
    discussion: """
      Asks the nodes that run, through the sockets in their data directories. Each judges for itself, by how long it has \
      not heard of another one: 'unknown' was not heard yet since the judging node started, 'suspected' is silent for \
      longer than is usual, 'down' for so long that others do without it, and 'left' has said goodbye. How long that is \
      stands in the section 'membership' of the topology file.

      Silence counts while the judging node is awake. 'suspicions' and 'downs' say how often it has come to that \
      since the judging node started. What changed when, and why, stands in its log: \
      hypha log cat DIR/NODE --type hypha.NodeDown.
      """,
    examples: ["hypha nodes data/incident-room", "hypha nodes data/incident-room/hq --json"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(help: "How to print.") var format: TableFormat = .table
  @Flag(help: "Print as JSON; short for --format json.") var json = false

  func run() async throws {
    let format: TableFormat = json ? .json : format
    var table = Table([
      .init("node"), .init("by"), .init("standing"), .init("silent", key: "silentSeconds"),
      .init("suspicions"), .init("downs"),
    ])
    var notes: [String] = []
    for path in try DataPlaces.logs(in: data) {
      guard let status = try await Self.status(path, &notes) else { continue }
      for (node, peer) in status.peers.sorted(by: { $0.key < $1.key }) {
        table.add([
          .string(node), .string(status.node.text), Self.cell(peer),
          .duration(.microseconds(Int64(clamping: peer.silentMicroseconds))),
          .integer(Int(clamping: peer.suspicionCount)), .integer(Int(clamping: peer.downCount)),
        ])
      }
    }
    if format != .table || !table.rows.isEmpty { try table.write(as: format) }
    guard format == .table else { return }
    if table.rows.isEmpty && notes.isEmpty { notes = ["the deployment has no other node"] }
    for note in notes { try Output.standard.writeLine(note) }
  }

  /// How long a node may take to answer: one that does not is what the others are asked about.
  private static let patience = Duration.seconds(3)

  /// What a node says of itself; nil, with a note, where it does not run or does not answer.
  static func status(_ path: String, _ notes: inout [String]) async throws -> NodeStatus? {
    let request = try OperatorRequest(
      "status", by: OperatorClient.authority(nil), parameters: [String: Int]())
    do {
      let status = try await OperatorClient.ask(path, request, as: NodeStatus.self, within: patience)
      if status == nil { notes.append("no node runs in \(path)") }
      return status
    } catch let error as HyphaError where error.code == .failed {
      notes.append("\(error)")
      return nil
    }
  }

  private static func cell(_ peer: NodeStatus.PeerStatus) -> Table.Cell {
    switch peer.standing {
    case "up": .string(peer.standing, .green)
    case "down": .string(peer.standing, .red)
    case "suspected": .string(peer.standing, .yellow)
    default: .string(peer.standing)
    }
  }
}
