import HyphaCore
public import HyphaLog

extension LMDBLog {
  /// Drops the index of the log in `directory` and makes it anew, as `hypha log reindex` does.
  ///
  /// The log itself is only read. For a log that no process writes: a node that runs keeps its index by itself.
  ///
  /// - Parameter progress: called after each some thousand entries with the newest position indexed and the head.
  /// - Returns: how far the index is: up to the head.
  /// - Throws: ``HyphaError/Code/logLocked`` naming the process that writes; ``HyphaError/Code/logInvalid`` where the log
  ///   is damaged; ``HyphaError/Code/logFull`` when there is no room.
  @discardableResult
  public static func reindex(
    directory: String, settings: LogIndexSettings = .standard,
    progress: (_ position: Position, _ head: Position) -> Void = { _, _ in }
  ) throws -> LogIndexStatus {
    let place = DataDirectory(path: directory)
    let lock = try WriterLock(place)
    defer { withExtendedLifetime(lock) {} }
    let log = try LogOpening.openForReading(place)
    let head = try log.head()
    let builder = try IndexBuilder(
      place.makeIndex(for: log, settings: settings), log: log, settings: settings)
    while try builder.collect(upTo: head) { progress(builder.next.previous, head) }
    try builder.writeRest()
    progress(builder.through, head)
    return LogIndexStatus(
      through: builder.through, lagCount: head.rawValue - builder.through.rawValue, failure: nil)
  }
}
