import HyphaCore

/// The entries of a log that match a query, those that are there and those to come: catch up, then join live.
///
/// ```swift
/// for try await entry in log.follow(query, after: position) { … }
/// ```
///
/// Every matching entry comes once, in the order of the log: what comes is read from the log behind the last position
/// that was looked at, whether it is old or has just been committed, so there is no seam between the two.
///
/// In the process that writes the log, a follower is woken by the commit. In another process it looks at the head every
/// 1 ms while there is traffic, and up to every 20 ms when there is none. It holds no transaction while it waits, and at
/// most one page in memory. Reads run on the task's own thread.
///
/// It ends when its task is cancelled or the upper bound of ``LogQuery/positions`` is reached. When the log is closed or
/// its files are removed or replaced, it throws ``HyphaError/Code/logFailed``. Going on behind the last entry that came,
/// with the log open again, loses and doubles nothing.
public struct LogFollower: AsyncSequence, Sendable {
  public typealias Element = LogEntry

  private let log: any LogReader
  private let query: LogQuery
  private let position: Position
  private let limits: LogPageLimits
  private let clock: any Clock<Duration>

  init(
    _ log: any LogReader, _ query: LogQuery, after position: Position, limits: LogPageLimits,
    clock: any Clock<Duration>
  ) {
    self.log = log
    self.query = query
    self.position = position
    self.limits = limits
    self.clock = clock
  }

  /// A new walk from the begin.
  public func makeAsyncIterator() -> Iterator {
    Iterator(log: log, query: query, position: position, limits: limits, clock: clock)
  }

  /// One walk. For one task at a time.
  public struct Iterator: AsyncIteratorProtocol {
    private let log: any LogReader
    private var query: LogQuery
    private let limits: LogPageLimits
    private let lastPosition: Position
    private let waiting: HeadWait
    private var batch: ArraySlice<LogEntry> = []
    /// Everything up to here was looked at.
    public private(set) var position: Position

    init(
      log: any LogReader, query: LogQuery, position: Position, limits: LogPageLimits,
      clock: any Clock<Duration>
    ) {
      self.log = log
      self.query = query
      self.query.order = .forward
      self.limits = limits
      let begin = query.positions?.lowerBound ?? .start
      self.position = Swift.max(position, begin == .start ? .start : begin.previous)
      lastPosition = query.positions?.upperBound ?? Position(rawValue: .max)
      waiting = HeadWait(log, clock: clock)
    }

    /// The next entry, once there is one; nil at the end.
    public mutating func next() async throws -> LogEntry? {
      if batch.isEmpty { batch = try await nextBatch() ?? [] }
      return batch.popFirst()
    }

    /// The next entries, at least one and at most a page, once there are any; nil at the end.
    ///
    /// What ``next()`` has not given out yet comes first.
    public mutating func nextBatch() async throws -> ArraySlice<LogEntry>? {
      if !batch.isEmpty {
        defer { batch = [] }
        return batch
      }
      while !Task.isCancelled, position < lastPosition {
        let head = try await waiting.head(beyond: position)
        guard let head else { return nil }
        query.positions = position.next...Swift.min(head, lastPosition)
        let page = try log.page(of: query, limits: limits)
        position = page.next?.next.previous ?? Swift.min(head, lastPosition)
        if !page.entries.isEmpty { return page.entries[...] }
        // A long stretch without a match must not keep the thread from others.
        await Task.yield()
      }
      return nil
    }
  }
}

extension LogReader {
  /// The entries behind `position` that match `query`, those that are there and those to come, as ``LogFollower`` says.
  ///
  /// - Parameters:
  ///   - query: what is wanted; its order is always forward.
  ///   - position: where to begin: ``Position/start`` for all, ``head()`` for what is new.
  ///   - limits: how much is read at a time.
  ///   - clock: what the waits between looks at another process's log are measured with.
  public func follow(
    _ query: LogQuery = LogQuery(), after position: Position = .start, limits: LogPageLimits = .standard,
    clock: any Clock<Duration> = SuspendingClock()
  ) -> LogFollower {
    LogFollower(self, query, after: position, limits: limits, clock: clock)
  }
}
