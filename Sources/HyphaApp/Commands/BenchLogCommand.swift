import Glibc
public import HyphaBench
import HyphaCore
public import HyphaOperator

/// `hypha bench log`: Hypha's log beside the bare parts that bound it.
struct BenchLogCommand: Command {
  static let configuration = CommandConfiguration(
    name: "log", abstract: "Measure the log beside bare LMDB and a plain file.",
    discussion: """
      Ours and the bare parts take turns in slices of at most 100 ms, since a machine's own speed drifts. The ratio \
      is the median of what neighbouring slices gave, the spread its quartiles; where there is nothing to compare \
      with, the spread is that of ours. Nothing else should run meanwhile.

      It takes some minutes and some GiB of disk, which are free again at the end. JSON lines are in events a \
      second, seconds and bytes, as their member "unit" says. A missed goal does not change the exit status.
      """,
    examples: [
      "hypha bench log --quick", "hypha bench log --only append --seconds 5 --json", "hypha bench log",
    ])

  @Option(help: "Measure only this part.", valueName: "part") var only: LogBench.Part?
  @Option(help: "How long each comparison lasts; 3, or 0.2 with --quick, if not given.") var seconds: Double?
  @Option(help: "Where to make the directory to measure in.", completion: .directory) var data = "."
  @Flag(help: "Only see that everything runs, on little data, in some seconds.") var quick = false
  @Flag(help: "Print JSON lines, each as soon as it is measured.") var json = false

  func validate() throws { try Self.check(seconds) }

  /// Checks how long a comparison is to last.
  static func check(_ seconds: Double?) throws {
    guard seconds.map({ $0 > 0 && $0 <= 3_600 }) ?? true else {
      throw HyphaError(.usage, "--seconds is out of range; give more than 0 and at most 3600")
    }
  }

  func run() async throws {
    let bench = settings
    try await BenchOutput(json: json).run { progress, take in
      try await LogBench(bench, progress: progress).run(take)
    }
  }

  private var settings: LogBench.Settings {
    LogBench.Settings(
      duration: .seconds(seconds ?? (quick ? 0.2 : 3)), only: only,
      directory: "\(data)/hypha-bench-\(getpid())",
      isQuick: quick, childCommand: BenchChildCommand.command)
  }
}

extension LogBench.Part: ExpressibleByArgument {}

/// `hypha bench replay`: what a replay gives, beside a bare scan.
struct BenchReplayCommand: Command {
  static let configuration = CommandConfiguration(
    name: "replay", abstract: "Measure replays and traces beside bare LMDB.",
    discussion: "The part 'replay' of 'hypha bench log', which says how it is measured.",
    examples: ["hypha bench replay", "hypha bench replay --quick --json"])

  @Option(help: "How long each comparison lasts; 3, or 0.2 with --quick, if not given.") var seconds: Double?
  @Option(help: "Where to make the directory to measure in.", completion: .directory) var data = "."
  @Flag(help: "Only see that everything runs, on little data, in some seconds.") var quick = false
  @Flag(help: "Print JSON lines, each as soon as it is measured.") var json = false

  func validate() throws { try BenchLogCommand.check(seconds) }

  func run() async throws {
    let bench = LogBench.Settings(
      duration: .seconds(seconds ?? (quick ? 0.2 : 3)), only: .replay,
      directory: "\(data)/hypha-bench-\(getpid())", isQuick: quick, childCommand: BenchChildCommand.command)
    try await BenchOutput(json: json).run { progress, take in
      try await LogBench(bench, progress: progress).run(take)
    }
  }
}
