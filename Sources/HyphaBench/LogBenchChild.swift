import Foundation
import Glibc
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaReplay

/// What the bench runs in another process: `open MODE DIR`, `allocations DIR`, `follow DIR COUNT`,
/// `export FORMAT DIR FILE`.
public enum LogBenchChild {
  /// Does what `words` say and prints what it measured.
  ///
  /// - Throws: what opening the log throws, or `HyphaError` with the code `usage` for other words.
  public static func run(_ words: [String]) async throws {
    switch words.first {
    case "open" where words.count == 3: try open(words[1], words[2])
    case "follow" where words.count == 3:
      try await follow(words[1], eventCount: Int(words[2]) ?? 0)
    case "allocations" where words.count == 2: try countAllocations(words[1])
    case "export" where words.count == 4: try export(words[1], words[2], to: words[3])
    default:
      throw HyphaError(.usage, "'\(words.joined(separator: " "))' is nothing to do for the bench's child")
    }
  }

  /// Opens a log; prints the nanoseconds that it took and the bytes that the process has more in memory.
  private static func open(_ mode: String, _ directory: String) throws {
    let memory = ProcessMemory.residentByteCount
    let begin = Monotonic.nanoseconds()
    let opened: any Sendable
    switch mode {
    case "write":
      let log = try LMDBLog(directory: directory, node: "bench", time: WallClock())
      _ = try log.head()
      opened = log
    case "read":
      let log = try LMDBLogReader(directory: directory)
      _ = try log.head()
      opened = log
    default: opened = try BareLMDB(opening: directory + "/log")
    }
    let end = Monotonic.nanoseconds()
    print("\(end - begin) \(ProcessMemory.residentByteCount - memory)")
    withExtendedLifetime(opened) {}
  }

  /// Scans a log; prints how many events it has seen and how often it allocated.
  private static func countAllocations(_ directory: String) throws {
    let log = try LMDBLogReader(directory: directory)
    var next = Position(rawValue: 1)
    // The first scan makes what the later ones keep.
    var slice = try LogAccess.scan(log, from: &next, until: 0)
    next = Position(rawValue: 1)
    let count = try AllocationTrace.count { slice = try LogAccess.scan(log, from: &next, until: 0) }
    if let count { print("\(slice.eventCount) \(count)") }
  }

  /// Exports a log; prints how many events that were, and the most memory of its own that the process was seen to have.
  private static func export(_ format: String, _ directory: String, to path: String) throws {
    guard let format = ExportFormat(rawValue: format) else {
      throw HyphaError(.usage, "'\(format)' is no format", remedy: "give one that exports have")
    }
    let log = try LMDBLogReader(directory: directory)
    var replay = try Replay(of: [log], filter: format.narrowing(EntryFilter()))
    try replay.look()
    var (peak, count) = (0, 0)
    func sample() { peak = max(peak, ProcessMemory.ownByteCount) }
    func visit(_ add: (ReplayedEntry) throws -> Void) throws {
      try replay.visit { replayed in
        try add(replayed)
        count += 1
        if count.isMultiple(of: 2_048) { sample() }
        return true
      }
      sample()
    }
    if format == .ocelSQLite {
      let database = try OCELDatabase(path: path)
      try visit { try database.add($0) }
      try database.finish()
    } else {
      guard let file = fopen(path, "w") else {
        throw HyphaError(.fileUnavailable, "\(path) cannot be written", remedy: "name a file that can")
      }
      defer { _ = fclose(file) }
      var exporter = try LogExporter(format, expectedCount: replay.leftCount, spillDirectory: directory) {
        guard fwrite($0.baseAddress, 1, $0.count, file) == $0.count else {
          throw HyphaError(.fileUnavailable, "\(path) cannot be written", remedy: "make room on its disk")
        }
      }
      try visit { try exporter.add($0) }
      try exporter.finish { _, _ in sample() }
    }
    sample()
    print("\(count) \(peak)")
  }

  /// Follows a log that another process writes; prints when each event came. It ends with that process.
  private static func follow(_ directory: String, eventCount: Int) async throws {
    Thread.detachNewThread {
      var byte: UInt8 = 0
      while Glibc.read(STDIN_FILENO, &byte, 1) > 0 {}
      exit(1)
    }
    let log = try LMDBLogReader(directory: directory)
    print("ready")
    fflush(nil)
    for time in try await LogBench.arrivals(of: eventCount, in: log) { print(time) }
  }
}
