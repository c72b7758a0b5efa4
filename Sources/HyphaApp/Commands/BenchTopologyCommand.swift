import Glibc
import HyphaBench
import HyphaCore
import HyphaFormats
import HyphaOperator

/// `hypha bench topology`: what the observer comes to in a running deployment, by recorded traffic.
struct BenchTopologyCommand: Command {
  static let configuration = CommandConfiguration(
    name: "topology",
    abstract: "Send recorded traffic once more with and without an observer, and count its frames.",
    discussion: """
      A node for the root and as many others as --nodes says, each in a process of its own with its log, has all who send or \
      receive as agents, dealt out in turn, below a supervisor for each group. Each event of the recording is a persistent \
      event, --rate of them a second. The recording is sent twice, first without an observer. Hops and relays are those of \
      frames that have crossed links; latencies are from publishing to the handler. Promoted pairs are agents on two nodes, \
      four edges apart, that a link joins at the end; of theirs the events count that came two seconds after the link and \
      later, the same in both runs. Beside it stands what the simulation says of the same traffic.

      A missed goal does not change the exit status; faults (lost, doubled, reordered) do.
      """,
    examples: [
      "hypha bench topology email.txt.gz --groups departments.tsv",
      "hypha bench topology email.txt.gz --groups departments.tsv --events 20000 --rate 2000 --json",
    ])

  @Argument(help: "The recording.", completion: .file) var trace: String
  @Option(help: "Who is in which group: lines 'name group'.", valueName: "file", completion: .file)
  var groups: String?
  @Option(help: "Only the first of its events.", valueName: "count") var events: Int?
  @Option(help: "Events a second.", valueName: "count") var rate: Double = 2000
  @Option(help: "Nodes beside that of the root.", valueName: "count") var nodes: Int = 4
  @Option(help: "Where to make the directory to measure in.", completion: .directory) var data = "."
  @Flag(help: "Send realtime events: how long they take says nothing of disks.") var realtime = false
  @Flag(help: "Print JSON lines.") var json = false

  func validate() throws {
    guard rate >= 1, rate <= 1_000_000, (2...64).contains(nodes), events ?? 1 > 0 else {
      throw HyphaError(
        .usage, "--rate, --nodes or --events is out of range",
        remedy: "use a rate of 1 to 1000000, 2 to 64 nodes, and 1 event or more")
    }
  }

  func run() async throws {
    let recording = try RecordedTraffic.read(path: trace)
    let groups = try groups.map { try GroupFile.read(path: $0) }
    let traffic = LiveTraffic(
      groups: groups.map { groups in recording.names.map { groups[$0] } } ?? recording.groups,
      events: recording.events)
    let settings = LiveBench.Settings(
      traffic: traffic, eventCount: events, nodeCount: nodes, rate: rate,
      channel: realtime ? .realtime : .persistent,
      directory: "\(data)/hypha-bench-\(getpid())", socketDirectory: "/tmp/hypha-bench-live-\(getpid())",
      childCommand: BenchChildCommand.command)
    try await BenchOutput(json: json).run { progress, take in
      try await LiveBench(settings, progress: progress).run(take)
    }
  }
}
