/// A recording of hand-overs in either of its forms.
public enum HandOverRecording {
  /// The hand-overs of the file at `path`: as they stand in a hand-over file, or extracted from an event log.
  ///
  /// - Throws: as ``HandOverFile/load(path:maximumHandOvers:limits:)`` and ``HandOvers/read(path:options:limits:)``.
  public static func load(_ path: String) throws -> [HandOver] {
    let lines = LineReader(try GzipInputStream(path: path))
    if try lines.next() == HandOverFile.header { return try HandOverFile.load(path: path) }
    return try HandOvers.read(path: path).all
  }
}
