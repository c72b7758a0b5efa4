import HyphaCore

/// What a reader may add to the reads of queries; each has a default.
extension LogReader {
  /// What an index beside the log knows of the entries in `range` that have at least one term of each group. A reader
  /// without an index, as the in-memory log is, keeps the default.
  ///
  /// - Parameters:
  ///   - groups: not empty, and none of them is.
  ///   - limit: the most positions; at least 1. With more the answer covers less.
  /// - Returns: nil where the index covers nothing of the range. The part that is covered may lie anywhere in it.
  public func indexedPositions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) throws -> IndexedPositions? { nil }

  /// Whether what is read is still the log at its place: a reader may have files open that were removed or replaced.
  ///
  /// - Throws: ``HyphaError/Code/logFailed`` when it is not.
  public func confirmPresence() throws {}

  /// There is no index.
  public func indexStatus() throws -> LogIndexStatus? { nil }
}
