import Foundation
import Testing

/// The machine's processes, as /proc has them.
enum ProcessTable {
  struct Entry: Hashable {
    let id: Int32
    let parent: Int32
    /// `R`, `S`, `T` and so on, as proc(5) says; `Z` is a zombie.
    let state: Character
    let command: String
  }

  static var all: [Entry] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { Int32($0) }.compactMap(entry)
  }

  /// Whether a process has ended; nobody need have asked for its status.
  static func hasEnded(_ id: Int32) -> Bool { entry(id).map { $0.state == "Z" } ?? true }

  /// Whether a process has a file open.
  static func hasOpen(_ path: String, process id: Int32) -> Bool {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/fd")) ?? []
    return files.contains {
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/fd/\($0)")) == path
    }
  }

  /// How many ends of pipes a process has open. Timers and queues of the runtime come and go.
  static func openPipeCount(of id: Int32) -> Int {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/fd")) ?? []
    return files.count {
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/fd/\($0)"))?.hasPrefix("pipe:")
        ?? false
    }
  }

  static func children(of parent: Int32) -> [Entry] { all.filter { $0.parent == parent } }

  static func entry(_ id: Int32) -> Entry? {
    guard let stat = FileManager.default.contents(atPath: "/proc/\(id)/stat"),
      let line = FileManager.default.contents(atPath: "/proc/\(id)/cmdline")
    else { return nil }
    // The name in parentheses may have anything in it.
    let text = String(decoding: stat, as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[end...].split(separator: " ")
    guard fields.count > 2, let parent = Int32(fields[2]) else { return nil }
    let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    return Entry(
      id: id, parent: parent, state: fields[1].first ?? "?", command: words.joined(separator: " "))
  }
}

/// How long a test waits for what has to happen: far longer than it takes on a slow machine with a slow disk. A
/// test fails here only where nothing happens any more; how long something took is never what it checks.
let patience = Duration.seconds(120)

/// Waits until `condition` holds, 20 ms at a time.
///
/// - Returns: whether it came to hold before the deadline.
func becomesTrue(within limit: Duration = patience, _ condition: () async throws -> Bool) async rethrows
  -> Bool
{
  let deadline = ContinuousClock.now + limit
  while ContinuousClock.now < deadline {
    if try await condition() { return true }
    try? await Task.sleep(for: .milliseconds(20), clock: .suspending)
  }
  return try await condition()
}
