import Foundation
import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime
import HyphaTopology

/// `hypha rerun`: agents run again on what their nodes' logs have, and what they state now beside what they stated.
struct RerunCommand: Command {
  static let configuration = CommandConfiguration(
    name: "rerun", abstract: "Run agents again on what was recorded, and compare.",
    discussion: """
      Starts the agents again, without a network, and gives each the events that it was given, in the same order, with the times, \
      random numbers and answers that it had. What they state is compared with what they stated; each difference is shown \
      with the event that it comes from, both side by side. Nothing of the recorded logs is changed, and nodes may run. Programs of \
      'exec' agents run anew: what they do beside answering, they do again.

      This takes the program that has the agents' kinds, and the topology file that the logs were written under; settings in it \
      may be others, to see what they would have changed.

      An agent that was moved from node to node is run again on each of them, from what it had when it came to what it had when it \
      left. Agents of whose past a log does not have enough are left out, which is said.

      Exit status: 0; with --verify, 1 where there is a difference, of which the first by time is shown, and where an agent was left out that --except does not name.
      """,
    examples: [
      "hypha rerun topologies/incident-room.yaml --verify",
      "hypha rerun invoices.yaml --data data/invoices --agent ada",
      "hypha rerun invoices.yaml -o data/invoices-again", "hypha rerun invoices.yaml --verify --times 100",
    ])

  @Argument(help: "The topology file.", completion: .file) var file: String
  @Option(help: "Where the logs are; default data/NAME.", valueName: "directory", completion: .directory)
  var data: String?
  @Option(help: "Only the agents of these nodes; default all.", valueName: "name") var node: [NodeID] = []
  @Option(help: "Only these agents; default all.", valueName: "id") var agent: [AgentID] = []
  @Option(help: "Not these agents.", valueName: "id") var except: [AgentID] = []
  @Flag(help: "Show the first difference alone, and fail.") var verify = false
  @Option(help: "Do it so many times: what chance decides shows sooner or later.", valueName: "count")
  var times: AtLeast<1> = 1
  @Flag(help: "Copy the logs into memory first, for many times; not for logs that were pruned.")
  var inMemory = false
  @Option(help: "Show no more differences than this.", valueName: "count") var limit: AtLeast<0> = 10
  @Option(
    name: .shortAndLong, help: "Write what the agents state now to logs here.", valueName: "directory",
    completion: .directory)
  var output: String?
  @Flag(help: "Print as JSON lines.") var json = false

  func validate() throws {
    guard times.value == 1 || output == nil else {
      throw HyphaError(
        .usage, "-o writes what agents state once, and --times is \(times.value)", remedy: "leave one out")
    }
  }

  func run() async throws {
    // The order of sets and dictionaries is the same then as in the nodes that are run again.
    try NodeHashing.enter()
    // What agents print again would come between the lines, or behind them.
    try await HandlerOutput.keep(apart: true) { try await rerun() }
  }

  private func rerun() async throws {
    let program = try Program.require()
    let topology = try TopologyLoading.load(file, program.kinds)
    for agent in agent + except where topology.agent(agent) == nil {
      throw HyphaError(
        .usage, "\(file) has no agent '\(agent)'",
        remedy: "name one of \(topology.agents.prefix(20).map(\.id.text).joined(separator: ", "))")
    }
    let directory = DataPlaces.directory(data, of: topology)
    let logs = try DataPlaces.logs(in: directory).map { try program.readLog($0) }
      .filter { node.isEmpty || node.contains($0.identity.node) }
    guard !logs.isEmpty else {
      throw HyphaError(
        .usage, "\(directory) holds no log of \(node.map { "'\($0)'" }.joined(separator: ", "))",
        remedy: "name a node that has one")
    }
    let wanted = topology.agents.map(\.id).filter {
      (agent.isEmpty || agent.contains($0)) && !except.contains($0)
    }
    var session = RerunSession(
      topology, kinds: program.kinds, agents: Set(wanted), isVerifying: verify,
      shownCountMax: verify ? 1 : limit.value)
    // From here on there may be something to take back.
    let stop = StopSignal()
    if let output { session.writers = try RerunWriters(output, for: logs, program) }
    // Who asks twice does not wait for a handler that takes its time.
    let partial = session.writers?.place.partial
    stop.whenUrgent { signal in
      if let partial { try? FileManager.default.removeItem(atPath: partial) }
      _exit(128 + signal)
    }
    do {
      let view = RerunView(directory, isJSON: json, style: Terminal.current.style())
      try await LiveRegion.run { region in
        let logs: [any LogReader] =
          inMemory ? try logs.map { try MemoryLog(store: MemoryLogStore(copyOf: $0), time: NoTime()) } : logs
        for round in 1...times.value {
          guard !session.isOver else { break }
          session.begin(round)
          for log in logs {
            try await session.run(log, stop) {
              try region.draw([
                times.value > 1 ? "\(Human.count(round)) of \(Human.count(times.value)), \($0)" : $0
              ])
            } show: { outcome, node in
              try region.writeAbove(view.text(of: outcome, on: node))
            }
          }
        }
        if let outcome = session.first.outcome, let node = session.first.node {
          try region.writeAbove(view.text(of: outcome, on: node))
        }
        try region.draw([])
      }
      try session.writers?.finish()
      try view.show(session)
    } catch {
      session.writers?.abandon()
      throw error
    }
    if verify && session.differenceCount > 0 { throw ExitStatus.failure }
    if verify, let error = session.unverified { throw error }
  }

  /// Nothing is written to the copies.
  private struct NoTime: TimeSource {
    func microseconds() -> UInt64 { 0 }
  }
}
