import Glibc
import HyphaBench
import HyphaCore
import HyphaOperator

/// `hypha bench channels`: delivery between processes beside bare libzmq.
struct BenchChannelsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "channels", abstract: "Measure delivery between processes beside bare libzmq.",
    discussion: """
      Nodes with typed agents, logs and everything on run in processes of their own; bare libzmq runs beside them \
      over the same transport with one event a message. Ours and the bare part take turns in slices of at most \
      100 ms; publishers run ahead of their slowest receiver by a bounded window, so that nothing is dropped. A rate \
      is what arrived. Latencies are one way, at 1,000 events a second (alerts: 100) and at half of the rate that \
      each side gave. CPU is that of all processes of a side. Nothing else should run meanwhile.

      A missed goal does not change the exit status.
      """,
    examples: [
      "hypha bench channels --quick", "hypha bench channels --only isolation --json", "hypha bench channels",
    ])

  @Option(help: "Measure only this part.", valueName: "part") var only: ChannelPart?
  @Option(help: "Measure only workloads whose words contain this.", valueName: "text") var match = ""
  @Option(help: "How long each comparison lasts; 3, or 0.2 with --quick, if not given.") var seconds: Double?
  @Option(help: "Where to make the directory to measure in.", completion: .directory) var data = "."
  @Flag(help: "Only see that everything runs, in some seconds.") var quick = false
  @Flag(help: "Print JSON lines, each as soon as it is measured.") var json = false

  func validate() throws { try BenchLogCommand.check(seconds) }

  func run() async throws {
    let parts = only.flatMap { ChannelBench.Part(rawValue: $0.rawValue) }.map { [$0] }
    let settings = ChannelBench.Settings(
      duration: .seconds(seconds ?? (quick ? 0.2 : 3)), parts: parts ?? ChannelBench.Part.channels,
      match: match,
      directory: "\(data)/hypha-bench-\(getpid())", isQuick: quick, childCommand: BenchChildCommand.command)
    try await BenchOutput(json: json).run { progress, take in
      try await ChannelBench(settings, progress: progress).run(take)
    }
  }
}

/// `hypha bench e2e`: persistent events from publishing to being handled elsewhere, both logs synced.
struct BenchEndToEndCommand: Command {
  static let configuration = CommandConfiguration(
    name: "e2e", abstract: "Measure persistent events from one durable log to the next.",
    discussion: """
      An event counts once it was synced in its publisher's log, travelled to another process, was synced in the log \
      there, and was handled. Beside it two processes do the same with LMDB and libzmq called directly, without an \
      index. The rate is printed with the indexes of both logs caught up, too. 'observed' is a deployment that an \
      observer watches, beside the same that nobody watches.

      A missed goal does not change the exit status.
      """,
    examples: ["hypha bench e2e --quick", "hypha bench e2e --seconds 10", "hypha bench e2e --json"])

  @Option(help: "Measure only workloads whose words contain this.", valueName: "text") var match = ""
  @Option(help: "How long each comparison lasts; 3, or 0.2 with --quick, if not given.") var seconds: Double?
  @Option(help: "Where to make the directory to measure in.", completion: .directory) var data = "."
  @Flag(help: "Only see that everything runs, in some seconds.") var quick = false
  @Flag(help: "Print JSON lines, each as soon as it is measured.") var json = false

  func validate() throws { try BenchLogCommand.check(seconds) }

  func run() async throws {
    let settings = ChannelBench.Settings(
      duration: .seconds(seconds ?? (quick ? 0.2 : 3)), parts: [.durable, .observed], match: match,
      directory: "\(data)/hypha-bench-\(getpid())", isQuick: quick, childCommand: BenchChildCommand.command)
    try await BenchOutput(json: json).run { progress, take in
      try await ChannelBench(settings, progress: progress).run(take)
    }
  }
}

/// The parts of `hypha bench channels`.
enum ChannelPart: String, CaseIterable, ExpressibleByArgument {
  case realtime, alert, isolation, lanes
}
