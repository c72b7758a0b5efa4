import Foundation
import HyphaCore
import HyphaRuntime
import HyphaTopology

/// `hypha run`: a whole deployment, one node of it, or a simulation of it.
struct RunCommand: Command {
  static let configuration = CommandConfiguration(
    name: "run", abstract: "Run a deployment from its topology file.",
    discussion: """
      Starts every node of the file on this machine, each in a process of its own, and starts again what dies. \
      A deployment whose workers have all finished ends by itself; Ctrl-C ends any run in order, a second \
      Ctrl-C at once. Run again with the same data, it goes on where it was.

      What agents print, on standard output or standard error, comes line by line with the name of their node, on standard error \
      unless the progress is shown on a terminal.

      With --node it runs that node alone, as on a machine of its own. HYPHA_ADDRESS_<NODE> and HYPHA_LISTEN_<NODE> \
      (upper case, '_' for '.' and '-') replace a node's address and listening address in the file.

      Exit status: 0 when all workers have finished, or when a deployment without workers was stopped; 130 \
      when Ctrl-C stopped a run before its end, 143 when SIGTERM did, 129 when the terminal went away; 1 when \
      the run failed. With --node, to be stopped is the normal end: 0.
      """,
    examples: [
      "hypha run topologies/incident-room.yaml", "hypha run acted/topology.yaml --data /tmp/acted --fresh",
      "hypha run topologies/incident-room.yaml --node hq",
      "hypha run lab.yaml --node hq --key /run/secrets/hq.private",
      "hypha run acted/topology.yaml --simulate --seed 7",
    ])

  @Argument(help: "The topology file.", completion: .file) var file: String
  @Option(help: "Run only this node, in this process.", valueName: "name") var node: String?
  @Option(help: "Where the logs are; default data/NAME.", valueName: "directory", completion: .directory)
  var data: String?
  @Option(
    help: "The node's private key; default $HYPHA_KEY, or from the topology's keys.", valueName: "file",
    completion: .file)
  var key: String?
  @Flag(help: "Remove the logs of an earlier run first.") var fresh = false
  @Option(help: "From which all chance follows.") var seed: UInt64 = 1
  @Flag(help: "Run all nodes in one thread of this process, on a clock of its own, without log or network.")
  var simulate = false
  @Flag(help: "Print the summary as JSON; with --node, the status again and again.") var json = false
  @Flag(
    help:
      "Where the node's log is empty, begin with what those of its replicas have that answer within 5 s, rather than wait for the others."
  )
  var withoutReplicas = false
  @Flag(help: "Stop when standard input ends; for programs that start nodes.") var attached = false
  @Flag(
    help:
      "Where the node's log is under another topology file, run under that one, and take newer ones from the nodes that have them."
  )
  var asLogged = false

  func validate() throws {
    guard !(simulate && (node != nil || data != nil || fresh)) else {
      throw HyphaError(
        .usage, "--simulate keeps nothing on disk and runs all nodes",
        remedy: "leave out --node, --data and --fresh")
    }
    guard key == nil || node != nil else {
      throw HyphaError(
        .usage, "--key is the private key of one node",
        remedy: "add --node, or keep the keys in one directory")
    }
    try validateReplicas()
  }

  private func validateReplicas() throws {
    guard withoutReplicas, node == nil else { return }
    throw HyphaError(
      .usage, "--without-replicas is said of one node",
      remedy: "add --node and the name of the node that waits")
  }

  func run() async throws {
    let program = try Program.require()
    let topology = try TopologyLoading.load(file, program.kinds)
    if simulate {
      try await HandlerOutput.keep(apart: json) { try runSimulation(program, topology) }
    } else if let node {
      try await HandlerOutput.keep(apart: json) { try await run(NodeID(node), program, topology) }
    } else {
      try await launch(program, topology)
    }
  }

  // MARK: A whole deployment

  private func launch(_ program: Program, _ topology: Topology) async throws {
    let directory = DataPlaces.directory(data, of: topology)
    if fresh {
      try program.removeLogs(topology.nodes.map { DataPlaces.directory(of: $0.id, in: directory) })
    }
    let earlier = try? await LossTable(DeploymentLosses.read(directory))
    let launcher = Launcher(topology, executable: "/proc/self/exe".resolvedLink) {
      [file, seed] node, isAgain in
      ["run", file, "--node", node.text, "--data", directory, "--seed", "\(seed)", "--json", "--attached"]
        + (isAgain || asLogged ? ["--as-logged"] : [])
    }
    let stop = StopSignal()
    let outcome = try await LiveRegion.run { region in
      var view = ProgressView(topology, region: region, style: Terminal.current.style())
      return try await launcher.run(until: stop) { summary, elapsed in
        if !json { try view.update(summary, at: elapsed) }
      } note: { line in
        if region.isActive { try region.writeAbove(line) } else { try Output.standardError.writeLine(line) }
      }
    }
    // Where no node came up there is nothing to report, and the data may be somebody else's.
    if outcome.failure == nil || !outcome.summary.all.isEmpty {
      // The nodes have stopped, and their logs keep what they had counted; one that cannot be read has nothing to say.
      let losses = try? await LossTable(DeploymentLosses.read(directory))
      try report(
        SummaryReport(
          topology, outcome.summary, losses, since: earlier, elapsed: outcome.elapsed,
          isComplete: outcome.isComplete,
          restarts: outcome.restartCount, data: directory, effect: outcome.effect), program)
    }
    if let failure = outcome.failure {
      throw HyphaError(.failed, failure, remedy: "see the messages above")
    }
    // A deployment without workers has no end of its own, so to stop it is its end. Not all nodes need have said
    // what they have, so this is asked of the topology.
    if !outcome.isComplete, try topology.agents.contains(where: { try program.kinds.kind($0.kind).finishes })
    {
      throw stop.signalNumber.map(ExitStatus.stopped) ?? ExitStatus.failure
    }
  }

  private func report(_ report: SummaryReport, _ program: Program) throws {
    if json {
      try Output.standard.writeLine(JSON.text(report))
    } else {
      try Output.standard.writeLine()
      for line in report.lines(command: Program.calledAs, style: Terminal.current.style()) {
        try Output.standard.writeLine(line)
      }
    }
  }

  // MARK: One node

  private func run(_ node: NodeID, _ program: Program, _ topology: Topology) async throws {
    let directory = DataPlaces.directory(data, of: topology)
    let filed = try asFiled(node, topology, in: directory, program)
    if fresh { try program.removeLogs([DataPlaces.directory(of: node, in: directory)]) }
    // Attached, the launcher says when to stop, and what its terminal says is meant for it.
    let stop = attached ? StopSignal([SIGTERM]) : StopSignal()
    if attached {
      signal(SIGINT, SIG_IGN)
      signal(SIGHUP, SIG_IGN)
      Thread.detachNewThread {
        while let byte = try? FileHandle.standardInput.read(upToCount: 1), !byte.isEmpty {}
        stop.raise()
      }
    }
    let runner = NodeRunner(
      program: program, topology: filed.topology, text: filed.text, node: node,
      data: directory, seed: seed, key: key,
      followsLog: asLogged, beginsWithoutReplicas: withoutReplicas ? OperatorClient.authority(nil) : nil)
    // A handler that never returns must not keep the process.
    stop.whenUrgent { exit(ExitStatus.stopped(by: $0).code) }
    let reporter = NodeReporter(json: json)
    try await runner.run(until: stop) { try reporter.show($0) }
  }

  /// The file, where it has the node; else, if the logs count, the newest one that they know and that has it: another file was
  /// applied since, or this one is not applied yet.
  private func asFiled(_ node: NodeID, _ topology: Topology, in directory: String, _ program: Program) throws
    -> (topology: Topology, text: TopologyText)
  {
    let text = try TopologyLoading.text(file, program.kinds)
    if topology.node(node) != nil { return (topology, text) }
    guard asLogged, let paths = try? DataPlaces.logs(in: directory) else { throw unknown(node, topology) }
    let kept = try paths.compactMap { try KeptFile.read(in: program.readLog($0)) }
    let revisions = try Moves.read(paths).revisions.revisions.reversed()
    let texts = revisions.flatMap { [$0.order.file, $0.order.replaced] } + kept.map(\.text)
    for known in texts {
      guard let other = try? text.read(known), other.node(node) != nil else { continue }
      return (other, TopologyText(known, read: text.read))
    }
    throw unknown(node, topology)
  }

  private func unknown(_ node: NodeID, _ topology: Topology) -> HyphaError {
    HyphaError(
      .invalidTopology, "\(file) has no node '\(node)'",
      remedy: "use one of \(topology.nodes.map(\.id.text).joined(separator: ", "))")
  }

  // MARK: A simulation

  private func runSimulation(_ program: Program, _ topology: Topology) throws {
    let deployment = SimulatedDeployment(topology, kinds: program.kinds, seed: seed)
    let began = deployment.loop.microseconds()
    try deployment.start()
    let isComplete = deployment.runToEnd()
    let summary = deployment.summary()
    try deployment.stop()
    let elapsed = Duration.microseconds(Int64(deployment.loop.microseconds() - began))
    try report(
      SummaryReport(topology, summary, elapsed: elapsed, isComplete: isComplete, restarts: 0, data: nil),
      program)
    guard isComplete else {
      throw HyphaError(
        .failed, "the simulation did not come to its end", remedy: "see the summary for what is missing")
    }
  }
}

extension String {
  /// What a symbolic link leads to, or the path itself.
  fileprivate var resolvedLink: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: self)) ?? self
  }
}
