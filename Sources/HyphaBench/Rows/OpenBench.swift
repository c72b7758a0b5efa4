import HyphaCore
import HyphaLog

extension LogBench {
  /// Opening a large log and a small one, each time in a new process, and what that takes of memory.
  func openRows() async throws -> [BenchRow] {
    guard let child = settings.childCommand else { return [] }
    let counts = settings.isQuick ? (large: 20_000, small: 2_000) : (large: 10_000_000, small: 10_000)
    return try await withDirectory("open") { directory in
      for (name, count) in [("large", counts.large), ("small", counts.small)] {
        progress("open: writing \(count) events")
        let log = try OwnLog("\(directory)/\(name)", .grouped(8))
        try await log.append(eventCount: count)
        try log.check()
        log.close()
      }
      var openings: [[Opening]] = []
      for _ in 0..<(settings.isQuick ? 3 : 9) {
        try Task.checkCancellation()
        progress("open: opening \(counts.large) events")
        openings.append(
          try [("write", "large"), ("write", "small"), ("read", "large"), ("lmdb", "large")].map {
            try Opening(child, $0.0, "\(directory)/\($0.1)")
          })
      }
      return rows(openings, large: "128 B, \(counts.large) events", small: "\(counts.small) events")
    }
  }

  private func rows(_ openings: [[Opening]], large: String, small: String) -> [BenchRow] {
    func spread(_ part: Int, _ figure: (Opening) -> Double) -> Spread {
      Spread(openings.map { figure($0[part]) }) ?? Spread(.nan)
    }
    func ratios(_ part: Int, to other: Int, _ figure: (Opening) -> Double) -> Spread {
      Spread(openings.map { figure($0[part]) / figure($0[other]) }) ?? Spread(.nan)
    }
    let bareTime = spread(3, \.seconds).median
    return [
      BenchRow(
        "open-time", "\(large), for writing", .seconds, ours: spread(0, \.seconds), bare: bareTime,
        ratios: ratios(0, to: 3, \.seconds), goal: .openTime),
      BenchRow(
        "open-time-reader", "\(large), for reading", .seconds, ours: spread(2, \.seconds), bare: bareTime,
        ratios: ratios(2, to: 3, \.seconds), goal: .openTime),
      BenchRow(
        "open-memory", "\(large); bare: ours with \(small)", .bytes, ours: spread(0, \.residentByteCount),
        bare: spread(1, \.residentByteCount).median, ratios: ratios(0, to: 1, \.residentByteCount),
        goal: .openMemory),
    ]
  }
}

/// What a child says of having opened a log.
private struct Opening {
  let seconds: Double
  /// What the process has in memory more than before.
  let residentByteCount: Double

  init(_ command: [String], _ mode: String, _ directory: String) throws {
    let words = try ChildProcess.output(of: command + ["open", mode, directory]).split(separator: " ")
    guard words.count == 2, let nanoseconds = Double(words[0]), let byteCount = Double(words[1]) else {
      throw HyphaError(
        .failed, "the bench's child process could not open \(directory)",
        remedy: "see what it has printed above")
    }
    (seconds, residentByteCount) = (nanoseconds / 1e9, max(1, byteCount))
  }
}
