import Foundation
import Synchronization
import Testing

@testable import HyphaBench

/// The bench in its short form. No figure is held against a time: what a test machine gives says nothing.
@Suite struct ShortRunTests {
  @Test func `a short run measures every part that needs no other process, and leaves nothing behind`()
    async throws
  {
    let directory = NSTemporaryDirectory() + "hypha-bench-\(UUID().uuidString)"
    let rows = Mutex<[BenchRow]>([])
    try await LogBench(.init(duration: .milliseconds(1), directory: directory, isQuick: true)).run { row in
      rows.withLock { $0.append(row) }
    }
    let measured = rows.withLock { $0 }
    for part in LogBench.Part.allCases where part != .open && part != .export {
      #expect(measured.contains { $0.name.hasPrefix(part.rawValue) }, "\(part)")
    }
    for row in measured {
      #expect(row.ours.isFinite && row.ours >= 0, "\(row)")
      #expect(row.bare.map { $0 > 0 } ?? true, "\(row)")
      #expect(row.spread.low <= row.spread.high, "\(row)")
    }
    #expect(!FileManager.default.fileExists(atPath: directory))
  }

  @Test func `bare LMDB and the bare file are given the group size that ours achieved`() async throws {
    let directory = NSTemporaryDirectory() + "hypha-bench-\(UUID().uuidString)"
    try Disk.makeDirectory(directory)
    defer { Disk.remove(directory) }
    let parts = try AppendParts(in: directory, .grouped(8))
    let ours = try await parts.appendOurs(until: 0)
    #expect(ours.eventCount == 8 * 16 && ours.groupCount >= 1)
    let groupSize = max(1, Int(ours.groupSize.rounded()))
    for bare in [try await parts.appendLMDB(until: 0), try await parts.appendFile(until: 0)] {
      #expect(bare.groupCount == 1 && bare.eventCount == groupSize)
    }
    try parts.ours.check()
  }

  @Test func `a directory that is there already is refused and left alone`() async throws {
    let directory = NSTemporaryDirectory() + "hypha-bench-\(UUID().uuidString)"
    try Disk.makeDirectory(directory)
    defer { Disk.remove(directory) }
    await #expect(throws: (any Error).self) {
      try await LogBench(.init(duration: .milliseconds(1), directory: directory, isQuick: true)).run { _ in }
    }
    #expect(FileManager.default.fileExists(atPath: directory))
  }

  @Test func `a cancelled run ends and leaves nothing behind`() async throws {
    let directory = NSTemporaryDirectory() + "hypha-bench-\(UUID().uuidString)"
    let bench = LogBench(.init(duration: .seconds(3_600), directory: directory, isQuick: true))
    let run = Task { try await bench.run { _ in } }
    run.cancel()
    await #expect(throws: CancellationError.self) { try await run.value }
    #expect(!FileManager.default.fileExists(atPath: directory))
  }
}
