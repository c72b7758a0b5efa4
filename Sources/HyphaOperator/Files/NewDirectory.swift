import Foundation
import HyphaCore

/// A directory that a command makes, with its parents, and takes back where the command does not come to its end.
final class NewDirectory {
  let path: String
  /// Where it is until ``finish()``: beside its place, under a name that no node's log is looked for under.
  let partial: String
  /// What was made, parents first.
  private var made: [String] = []

  /// What such names end in.
  static let partialSuffix = ".partial"

  init(_ path: String) {
    self.path = path
    partial = "\(path).\(UUID().uuidString.prefix(8))\(Self.partialSuffix)"
  }

  /// What commands that were killed have left beside the path: nobody knows whether one of them still runs.
  var leftovers: [String] {
    let place = URL(fileURLWithPath: path)
    let names = try? FileManager.default.contentsOfDirectory(
      atPath: place.deletingLastPathComponent().path)
    return (names ?? []).sorted().filter {
      $0.hasPrefix(place.lastPathComponent + ".") && $0.hasSuffix(Self.partialSuffix)
    }.map { (path as NSString).deletingLastPathComponent + "/" + $0 }
  }

  /// - Throws: ``HyphaError/Code/fileUnavailable`` where there is something at the path.
  func confirmAbsence() throws {
    if FileManager.default.fileExists(atPath: path) { throw isThere }
  }

  /// Makes it (mode 0700), under the name that it has until it is finished. What is in it from now on is this command's.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` where there is something at the path, or it may not be made.
  func make() throws {
    try confirmAbsence()
    var end = partial.startIndex
    while end < partial.endIndex {
      let slash = partial[partial.index(after: end)...].firstIndex(of: "/") ?? partial.endIndex
      let directory = String(partial[..<slash])
      if mkdir(directory, 0o700) == 0 {
        made.append(directory)
      } else if slash == partial.endIndex {
        throw HyphaError(
          .fileUnavailable, "\(path) cannot be made", remedy: "give another data directory",
          cause: "mkdir: \(String(cString: strerror(errno)))")
      }
      end = slash
    }
  }

  /// Gives it its name.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` where there is something at the path by now.
  func finish() throws {
    guard rename(partial, path) == 0 else {
      guard errno != EEXIST, errno != ENOTEMPTY, errno != ENOTDIR else { throw isThere }
      throw HyphaError(
        .fileUnavailable, "\(partial) cannot be renamed to \(path)", remedy: "give another data directory",
        cause: "rename: \(String(cString: strerror(errno)))")
    }
    made = []
  }

  /// Removes it with all that is in it, and the parents that were made for it alone. Does nothing once it is finished.
  func remove() {
    guard made.last == partial else { return }
    try? FileManager.default.removeItem(atPath: partial)
    for parent in made.dropLast().reversed() { rmdir(parent) }
    made = []
  }

  private var isThere: HyphaError {
    HyphaError(
      .fileUnavailable, "\(path) is there already", remedy: "give another --data directory or --node")
  }
}
