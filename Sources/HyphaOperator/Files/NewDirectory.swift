import Foundation
import HyphaCore

/// A directory that a command makes, with its parents, and takes back where the command does not come to its end.
final class NewDirectory {
  let path: String
  /// What was made, parents first.
  private var made: [String] = []

  init(_ path: String) { self.path = path }

  /// - Throws: ``HyphaError/Code/fileUnavailable`` where there is something at the path.
  func confirmAbsence() throws {
    if FileManager.default.fileExists(atPath: path) { throw isThere }
  }

  /// Makes it (mode 0700). What is in it from now on is this command's.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` where it is there already, or may not be made.
  func make() throws {
    var end = path.startIndex
    while end < path.endIndex {
      let slash = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
      let directory = String(path[..<slash])
      if mkdir(directory, 0o700) == 0 {
        made.append(directory)
      } else if slash == path.endIndex {
        guard errno != EEXIST else { throw isThere }
        throw HyphaError(
          .fileUnavailable, "\(path) cannot be made", remedy: "give another data directory",
          cause: "mkdir: \(String(cString: strerror(errno)))")
      }
      end = slash
    }
  }

  /// Removes it with all that is in it, and the parents that were made for it alone.
  func remove() {
    guard made.last == path else { return }
    try? FileManager.default.removeItem(atPath: path)
    for parent in made.dropLast().reversed() { rmdir(parent) }
    made = []
  }

  private var isThere: HyphaError {
    HyphaError(
      .fileUnavailable, "\(path) is there already", remedy: "give another --data directory or --node")
  }
}
