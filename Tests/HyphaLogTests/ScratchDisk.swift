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
    waitForFreedRoom()
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
    waitForFreedRoom()
  }

  /// Waits until the room of removed files is free: a process that another test starts has them open for the moment between its
  /// fork and its exec.
  private func waitForFreedRoom() {
    let deadline = ContinuousClock.now + .seconds(10)
    while takenByteCount > shownByteCount, ContinuousClock.now < deadline { usleep(1_000) }
  }

  private var takenByteCount: Int {
    var facts = statvfs()
    guard statvfs(path, &facts) == 0 else { return 0 }
    return Int(facts.f_blocks - facts.f_bfree) * Int(facts.f_frsize)
  }

  /// What the files that have names take.
  private var shownByteCount: Int {
    let names = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
    return names.reduce(0) { sum, name in
      var facts = stat()
      return lstat("\(path)/\(name)", &facts) == 0 ? sum + Int(facts.st_blocks) * 512 : sum
    }
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
