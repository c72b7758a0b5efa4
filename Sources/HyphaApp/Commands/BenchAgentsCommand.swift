import Glibc
public import HyphaBench
import HyphaCore
public import HyphaOperator

/// `hypha bench agents`: what a node gives between its agents.
struct BenchAgentsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "agents",
    abstract:
      "Measure agents of one node: local events, durable steps, questions, shared values, idle agents, starts.",
    discussion: """
      One node in this process, with its log on LMDB. 'local-rate' hands typed values from one agent to another, beside a \
      locked queue between two threads. A step of 'step-rate' is one persistent event consumed, the state changed and one \
      persistent event published, synced together with the cursor. 'ask' is a question and its answer, one after the \
      other. 'ask-copy-p50' asks the same again, answered from a copy. 'shared-rate' reads a value that another agent has shared, a hundred times a call. 'idle' starts agents that wait for events. Each figure is the median of ten slices; nothing else should \
      run meanwhile.

      'recovery' lets event-sourced agents without a snapshot begin on logs of millions of events, each time in a process \
      of its own: the time until they have begun, and the most memory of its own that the process had. It takes some \
      minutes and some GiB of disk.

      A missed goal does not change the exit status.
      """,
    examples: ["hypha bench agents --quick", "hypha bench agents --json"])

  @Option(help: "Measure only this part.", valueName: "part") var only: AgentBench.Part?
  @Option(help: "How long each figure is measured; 3, or 0.2 with --quick, if not given.") var seconds:
    Double?
  @Option(help: "Where to make the directory to measure in.", completion: .directory) var data = "."
  @Flag(help: "Only see that everything runs, with few agents, in some seconds.") var quick = false
  @Flag(help: "Print JSON lines, each as soon as it is measured.") var json = false

  func validate() throws { try BenchLogCommand.check(seconds) }

  func run() async throws {
    let settings = AgentBench.Settings(
      duration: .seconds(seconds ?? (quick ? 0.2 : 3)), directory: "\(data)/hypha-bench-\(getpid())",
      isQuick: quick, only: only, childCommand: BenchChildCommand.command)
    try await BenchOutput(json: json).run { progress, take in
      try await AgentBench(settings, progress: progress).run(take)
    }
  }
}

extension AgentBench.Part: ExpressibleByArgument {}
