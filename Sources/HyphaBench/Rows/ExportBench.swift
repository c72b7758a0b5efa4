import HyphaCore
import HyphaReplay

extension LogBench {
  /// What exports take of memory, each in a process of its own: of a long log beside one a tenth as long, in which each sixteen
  /// events are of a case.
  func exportRows() async throws -> [BenchRow] {
    guard let child = settings.childCommand else { return [] }
    let counts = settings.isQuick ? (large: 100_000, small: 10_000) : (large: 10_000_000, small: 1_000_000)
    return try await withDirectory("export") { directory in
      for (name, count) in [("large", counts.large), ("small", counts.small)] {
        progress("export: writing \(count) events")
        let log = try OwnLog("\(directory)/\(name)", .grouped(8), chainLength: 16, namesCases: true)
        try await log.append(eventCount: count)
        log.close()
      }
      return try ExportFormat.allCases.map { format in
        try Task.checkCancellation()
        progress("export: \(format.rawValue) of \(counts.large) events")
        let (large, small) = (
          try Exporting(child, format, of: "\(directory)/large", counts.large),
          try Exporting(child, format, of: "\(directory)/small", counts.small)
        )
        let ratio = large.memoryByteCount / small.memoryByteCount
        return BenchRow(
          "export-memory-\(format.rawValue)",
          "128 B, \(counts.large) events, 16 a case; bare: ours with \(counts.small) events", .bytes,
          ours: Spread(large.memoryByteCount), bare: small.memoryByteCount, ratios: Spread(ratio),
          goal: .exportMemory)
      }
    }
  }
}

/// What a child says of having exported a log.
private struct Exporting {
  /// The most memory of its own that the process was seen to have.
  let memoryByteCount: Double

  init(_ command: [String], _ format: ExportFormat, of directory: String, _ eventCount: Int) throws {
    let path = "\(directory)/exported"
    defer { Disk.remove(path) }
    let words = try ChildProcess.output(of: command + ["export", format.rawValue, directory, path])
      .split(separator: " ")
    // Appenders share the events, and none appends a part of one.
    guard words.count == 2, let count = Int(words[0]), count >= eventCount, let memory = Double(words[1])
    else {
      throw HyphaError(
        .failed, "the bench's child process could not export \(directory) as \(format.rawValue)",
        remedy: "see what it has printed above")
    }
    memoryByteCount = max(1, memory)
  }
}
