import Foundation
import Testing

/// A small file system in memory, where the user may mount one.
final class ScratchDisk {
  let path = NSTemporaryDirectory() + "hypha-disk-\(UUID().uuidString)"
  private var ballast: String { path + "/ballast" }
  private(set) var isFilled = false

  /// Whether this user may mount one.
  static let isPossible = ScratchDisk(mebibytes: 1) != nil
  static let isMissing: Comment = "this user may not mount a file system (run as root)"

  /// - Parameter mebibytes: its size.
  init?(mebibytes: Int = 4) {
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard Self.run("/bin/mount", "-t", "tmpfs", "-o", "size=\(mebibytes)m", "hypha", path) else {
      try? FileManager.default.removeItem(atPath: path)
      return nil
    }
  }

  deinit {
    // A process that was killed a moment ago may still hold a file.
    _ = Self.run("/bin/umount", "-l", path)
    try? FileManager.default.removeItem(atPath: path)
  }

  /// Takes all the room that is left.
  func fill() throws {
    isFilled = true
    let file = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(file) }
    let block = [UInt8](repeating: 1, count: 4_096)
    while write(file, block, block.count) > 0 {}
  }

  /// Gives it back.
  func empty() throws {
    guard isFilled else { return }
    isFilled = false
    try FileManager.default.removeItem(atPath: ballast)
  }

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
