import HyphaCore

/// Reads who is in which group: a line `name group` each, separated by tabs, commas, semicolons or spaces; what
/// follows on a line is left out, as are lines that begin with `#`.
public enum GroupFile {
  /// The groups of the file at `path`, plain or gzip, by name.
  ///
  /// - Throws: `invalidInput` naming file and line for a line without a group and for a name that is in two,
  ///   `fileUnavailable`, `tooLarge` past a limit.
  public static func read(path: String, limits: InputLimits = InputLimits()) throws -> [String: String] {
    let lines = LineReader(try GzipInputStream(path: path, limits: limits), limits: limits)
    var groups: [String: String] = [:]
    while let line = try lines.next() {
      guard let first = line.first(where: { !$0.isWhitespace }), first != "#" else { continue }
      let separator = ["\t", ";", ","].first { line.contains($0) } ?? " "
      let fields = line.split(separator: separator).map { $0.trimmed }
      guard fields.count >= 2, !fields[0].isEmpty, !fields[1].isEmpty else {
        throw HyphaError(
          .invalidInput, "\(path) line \(lines.lineNumber): it names no group", remedy: "write 'name group'")
      }
      let (name, group) = (String(fields[0]), String(fields[1]))
      if let other = groups.updateValue(group, forKey: name), other != group {
        throw HyphaError(
          .invalidInput,
          "\(path) line \(lines.lineNumber): '\(name.shown(40))' is in '\(group.shown(40))' and in '\(other.shown(40))'",
          remedy: "keep one of them")
      }
    }
    return groups
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    let start = drop { $0.isWhitespace }
    return start.lastIndex { !$0.isWhitespace }.map { start[...$0] } ?? ""
  }
}
