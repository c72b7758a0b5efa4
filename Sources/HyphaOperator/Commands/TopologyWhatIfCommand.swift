import HyphaCore
import HyphaTopology

/// `hypha topology what-if`: recorded traffic under another topology, or another policy of the observer.
struct TopologyWhatIfCommand: Command {
  static let configuration = CommandConfiguration(
    name: "what-if", abstract: "Try another topology or policy on recorded traffic.",
    discussion: """
      Takes the traffic of a deployment as its nodes have reported it to the observer, or, where nobody observed, as its logs \
      have it, and puts side by side what it cost with the links that there were and what it would have cost with those that the \
      observer would have made in another hierarchy, or under another policy. It says where the two part for the first time, \
      and why each does not have the other's links.

      Costs are counted on the paths of both. A change costs the charge of the recorded policy on both sides. Operators' commands are \
      given to both. Whom an event was for is as recorded. Without --policy and --topology the observer decides again as it did; \
      it is the same program that decides, so the two do not part.
      """,
    examples: [
      "hypha topology what-if topologies/incident-room.yaml --policy eager.yaml",
      "hypha topology what-if topologies/incident-room.yaml --topology flat.yaml --json",
    ])

  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "The other hierarchy, with its policy.", valueName: "file", completion: .file)
  var topology: String?
  @Option(help: "The other policy.", valueName: "file", completion: .file) var policy: String?
  @Option(help: "Show no more differences than this.", valueName: "count") var limit: AtLeast<0> = 10
  @Flag(help: "Print as a line of JSON.") var json = false

  func run() async throws {
    let recorded = try deployment.topology()
    let program = try Program.require()
    let directory = DataPlaces.directory(deployment.data, of: recorded)
    let logs = try DataPlaces.logs(in: directory).map { try program.readLog($0) }
    var other = try topology.map { try TopologyFiles.topology($0) } ?? recorded
    if let policy { other = try other.replacing(observer: TopologyFiles.policy(policy)) }
    var session = try WhatIfSession(recorded, other, logs: logs, directory: directory)
    let stop = StopSignal()
    try await LiveRegion.run { region in
      try session.read(stop, region)
      try region.draw([])
    }
    let view = WhatIfView(session: session, directory: directory, otherName: "other")
    if json { try view.writeJSON() } else { try view.show(differencesMax: limit.value) }
  }
}
