import Glibc
import HyphaBench
import HyphaCore
import HyphaOperator
import Synchronization

/// What every bench prints: what it measures now, and each row.
struct BenchOutput: Sendable {
  /// Whether rows are printed as JSON lines, each as soon as it is measured, instead of as a table at the end.
  let json: Bool

  /// Runs a bench, which is given whom to tell what it measures now, and who takes its rows. A signal ends it after
  /// the slice that runs.
  func run(
    _ bench:
      @escaping @Sendable (
        _ progress: @escaping @Sendable (String) -> Void,
        _ take: @escaping @Sendable (BenchRow) throws -> Void
      ) async throws -> Void
  ) async throws {
    let measured = MeasuredRows()
    let stop = StopSignal()
    var failure: (any Error)?
    do {
      try await LiveRegion.run { region in
        let measuring = Task {
          try await bench(
            { [json] text in if !json { try? region.draw([text]) } },
            { [json] row in
              measured.rows.withLock { $0.append(row) }
              guard json else { return }
              try Output.standard.writeLine(JSON.text(BenchLine(row)))
              try Output.standard.flush()
            })
        }
        stop.whenRaised { measuring.cancel() }
        try await measuring.value
        try region.draw([])
      }
    } catch is CancellationError {
      throw ExitStatus.stopped(by: stop.signalNumber ?? SIGINT)
    } catch {
      failure = error
    }
    let rows = measured.rows.withLock { $0 }
    if !json, failure == nil || !rows.isEmpty {
      try Self.table(of: rows).write()
      for line in Self.reasons(of: rows) { try Output.standard.writeLine(line) }
    }
    if let failure { throw failure }
  }

  /// Why goals are missed, each reason once.
  private static func reasons(of rows: [BenchRow]) -> [String] {
    var names: [(reason: String, names: [String])] = []
    for row in rows {
      guard let reason = row.reason else { continue }
      let place = names.firstIndex { $0.reason == reason } ?? names.endIndex
      if place == names.endIndex { names.append((reason, [])) }
      if !names[place].names.contains(row.name) { names[place].names.append(row.name) }
    }
    return names.map { "\($0.names.joined(separator: ", ")): \($0.reason)" }
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

extension BenchUnit {
  /// A number of this unit as people read it.
  fileprivate func text(_ value: Double) -> String {
    guard value.isFinite else { return "–" }
    switch self {
    case .eventsPerSecond: return Human.rate(value)
    case .seconds: return Human.duration(.nanoseconds(Int64(value * 1e9)))
    case .processorSecondsPerMillion, .hops: return Human.decimal(value, digits: 2)
    case .bytes, .bytesPerEvent: return Human.bytes(Int(value))
    case .bytesPerSecond: return Human.bytes(Int(value)) + "/s"
    case .events: return Human.count(Int(value))
    case .allocationsPerEvent: return Human.decimal(value, digits: 3)
    }
  }
}

/// A row as a line of JSON: every member is there, null where there is nothing to say.
private struct BenchLine: Encodable {
  let row: BenchRow
  init(_ row: BenchRow) { self.row = row }

  private enum Key: String, CodingKey {
    case name, workload, unit, ours, bare, ratio, goal, met, spread, reason
  }

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
    try line.encode(row.reason, forKey: .reason)
  }

  /// JSON has no infinity.
  private static func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }
}
