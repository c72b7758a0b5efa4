import Glibc
public import HyphaBench
import HyphaCore
public import HyphaOperator
import Synchronization

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

  func validate() throws {
    guard seconds.map({ $0 > 0 && $0 <= 3_600 }) ?? true else {
      throw HyphaError(.usage, "--seconds is out of range; give more than 0 and at most 3600")
    }
  }

  func run() async throws {
    let measured = MeasuredRows()
    let stop = StopSignal()
    do {
      try await LiveRegion.run { region in
        let measuring = Task { try await measure(region, measured) }
        stop.whenRaised { measuring.cancel() }
        try await measuring.value
        try region.draw([])
      }
    } catch is CancellationError {
      throw ExitStatus.stopped(by: stop.signalNumber ?? SIGINT)
    }
    if !json { try Self.table(of: measured.rows.withLock { $0 }).write() }
  }

  private func measure(_ region: LiveRegion, _ measured: MeasuredRows) async throws {
    let bench = LogBench(settings) { [json] text in
      if !json { try? region.draw([text]) }
    }
    try await bench.run { [json] row in
      measured.rows.withLock { $0.append(row) }
      guard json else { return }
      try Output.standard.writeLine(JSON.text(BenchLine(row)))
      try Output.standard.flush()
    }
  }

  private var settings: LogBench.Settings {
    LogBench.Settings(
      duration: .seconds(seconds ?? (quick ? 0.2 : 3)), only: only,
      directory: "\(data)/hypha-bench-\(getpid())",
      isQuick: quick, childCommand: ["/proc/self/exe", "bench", "child"])
  }

  private static func table(of rows: [BenchRow]) -> Table {
    var table = Table([
      .init("name"), .init("workload"), .init("ours", alignment: .right), .init("bare", alignment: .right),
      .init("ratio", alignment: .right), .init("goal"), .init("met"), .init("spread", alignment: .right),
    ])
    for row in rows {
      let isRatio = row.ratio != nil
      let spread = [row.spread.low, row.spread.high].map {
        isRatio ? Human.decimal($0, digits: 2) : row.unit.text($0)
      }
      table.add([
        .string(row.name), .string(row.workload), .string(row.unit.text(row.ours)),
        .optional(row.bare.map(row.unit.text)), row.ratio.map { .double($0, digits: 2) } ?? .none,
        .optional(row.goal?.text),
        row.isMet.map { .string($0 ? "yes" : "no", $0 ? .green : .red) } ?? .none,
        .string(spread.joined(separator: "–")),
      ])
    }
    return table
  }
}

/// What was measured so far.
private final class MeasuredRows: Sendable { let rows = Mutex<[BenchRow]>([]) }

/// `hypha bench child`: what a bench runs in another process.
struct BenchChildCommand: Command {
  static let configuration = CommandConfiguration(
    name: "child", abstract: "Look at a log for a bench in another process.", isHidden: true)

  @Argument(help: "What to do.", valueName: "word") var words: [String]

  func run() async throws { try await LogBenchChild.run(words) }
}

extension LogBench.Part: ExpressibleByArgument {}

extension BenchUnit {
  /// A number of this unit as people read it.
  fileprivate func text(_ value: Double) -> String {
    guard value.isFinite else { return "–" }
    switch self {
    case .eventsPerSecond: return Human.rate(value)
    case .seconds: return Human.duration(.nanoseconds(Int64(value * 1e9)))
    case .bytes, .bytesPerEvent: return Human.bytes(Int(value))
    case .events: return Human.count(Int(value))
    case .allocationsPerEvent: return Human.decimal(value, digits: 3)
    }
  }
}

/// A row as a line of JSON: every member is there, null where there is nothing to say.
private struct BenchLine: Encodable {
  let row: BenchRow
  init(_ row: BenchRow) { self.row = row }

  private enum Key: String, CodingKey { case name, workload, unit, ours, bare, ratio, goal, met, spread }

  func encode(to encoder: any Encoder) throws {
    var line = encoder.container(keyedBy: Key.self)
    try line.encode(row.name, forKey: .name)
    try line.encode(row.workload, forKey: .workload)
    try line.encode(row.unit.rawValue, forKey: .unit)
    try line.encode(Self.finite(row.ours), forKey: .ours)
    try line.encode(row.bare.flatMap(Self.finite), forKey: .bare)
    try line.encode(row.ratio.flatMap(Self.finite), forKey: .ratio)
    try line.encode(row.goal?.text, forKey: .goal)
    try line.encode(row.isMet, forKey: .met)
    try line.encode([row.spread.low, row.spread.high].map(Self.finite), forKey: .spread)
  }

  /// JSON has no infinity.
  private static func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }
}
