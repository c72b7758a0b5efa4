import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaTopology
import Testing

extension Processes {
  /// A file system that fills up under a run.
  @Suite(
    .enabled(
      if: Places.hasRecording("coselog-receipt.xes.gz"), "the public event logs are not in ../shared/data"))
  struct FullDiskTests {
    @Test(.enabled(if: SmallDisk.canMount, "this user may not mount a tmpfs"))
    func `a full disk is reported, loses nothing, and the run goes on when there is room`() async throws {
      let scratch = try Scratch()
      let disk = try SmallDisk(at: scratch("data"), kibibytes: 900)
      let acted = try await ActedLog("coselog-receipt.xes.gz", in: scratch)
      let run = try acted.start()
      #expect(await becomesTrue { run.errors.contains("its file system is full; free space on it") })
      #expect(run.isRunning, "it waits for room")
      // What is there now was acknowledged.
      let before = try acted.topology.nodes.map { node in
        let log = try acted.log(of: node.id)
        return try log.read(after: .start, limit: .max, byteLimit: .max)
      }
      try disk.resize(kibibytes: 65_536)
      let result = await run.end()
      try acted.expectAllDelivered(result)
      for (node, entries) in zip(acted.topology.nodes, before) {
        let after = try acted.log(of: node.id).read(after: .start, limit: entries.count, byteLimit: .max)
        #expect(after == entries, "\(node.id)")
      }
      // The operator hears of it once from each node that has no room, not with every attempt.
      let reports = result.errorLines.filter { $0.contains("its file system is full") }
      #expect(!reports.isEmpty && reports.count <= acted.topology.nodes.count, "\(result.errors)")
      scratch.expectNothingLeft()
    }

    @Test(.enabled(if: SmallDisk.canMount, "this user may not mount a tmpfs"))
    func `a disk without room for the beginning is one line, and the next run succeeds`() async throws {
      let scratch = try Scratch()
      let disk = try SmallDisk(at: scratch("data"), kibibytes: 64)
      let acted = try await ActedLog("coselog-receipt.xes.gz", in: scratch)
      let result = await (try acted.start()).end()
      #expect(result.status == 1)
      #expect(result.errors.contains("free space on"), "\(result.errors)")
      #expect(result.errorLines.last?.contains("could not start; see the messages above") == true)
      try disk.resize(kibibytes: 65_536)
      try acted.expectAllDelivered(await acted.start().end())
      scratch.expectNothingLeft()
    }
  }
}

/// A small file system in memory.
final class SmallDisk {
  private let path: String

  init(at path: String, kibibytes: Int) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try #require(Self.run("/bin/mount", "-t", "tmpfs", "-o", "size=\(kibibytes)k", "hypha", path))
  }

  deinit {
    // A node that is just being killed may still have its log open.
    _ = Self.run("/bin/umount", "--lazy", path)
  }

  /// Changes the size while the disk is in use.
  func resize(kibibytes: Int) throws {
    try #require(Self.run("/bin/mount", "-o", "remount,size=\(kibibytes)k", path))
  }

  /// Whether the user may mount, found out by trying.
  static let canMount: Bool = {
    guard let scratch = try? Scratch(), (try? SmallDisk(at: scratch("d"), kibibytes: 64)) != nil else {
      return false
    }
    return true
  }()

  private static func run(_ tool: String, _ arguments: String...) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: tool)
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}
