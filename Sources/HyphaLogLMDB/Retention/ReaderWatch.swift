public import HyphaLog

/// A reader of a log that looks at one commit for long. The pages of that commit and of all later ones cannot be used
/// again meanwhile, so the log's file grows with everything that is appended.
public struct LongReader: Hashable, Sendable, CustomStringConvertible {
  /// Who it is, and how far behind.
  public let reader: LogReaderMark
  /// For how long it was seen to look at its commit.
  public let duration: Duration

  /// What an operator should know. It is the same for one reader however long it lasts.
  public var description: String {
    "process \(reader.process) reads the log as it was some time ago, and keeps its pages from being used again: the log's "
      + "file grows with everything that is appended until it lets go; stop it, or let it read in parts"
  }
}

/// Decides which readers look at one commit for too long. Pure; told of all readers now and then.
struct ReaderWatch {
  /// A reader that is this many commits behind is reported, and one that is behind for this long.
  static let lagMax: UInt64 = 10_000
  static let durationMax = Duration.seconds(10)
  /// Looking takes some microseconds, so it is not done at each commit.
  static let interval = Duration.seconds(1)

  private struct Sight {
    var since: ContinuousClock.Instant
    var isReported = false
  }
  private struct Look: Hashable {
    let process: Int32
    let thread: UInt64
    let commit: UInt64
  }

  private var sights: [Look: Sight] = [:]
  private var nextLook: ContinuousClock.Instant?

  /// Whether it is time to look.
  func isDue(at now: ContinuousClock.Instant) -> Bool { nextLook.map { now >= $0 } ?? true }

  /// Takes in all readers there are; returns those that are to be reported, each once for each commit it looks at.
  mutating func look(_ readers: [LogReaderMark], at now: ContinuousClock.Instant) -> [LongReader] {
    nextLook = now + Self.interval
    var seen: [Look: Sight] = [:]
    var long: [LongReader] = []
    for reader in readers where reader.lag > 0 {
      guard let commit = reader.commit else { continue }
      let look = Look(process: reader.process, thread: reader.thread, commit: commit)
      var sight = sights[look] ?? Sight(since: now)
      let duration = now - sight.since
      if !sight.isReported && (reader.lag > Self.lagMax || duration > Self.durationMax) {
        sight.isReported = true
        long.append(LongReader(reader: reader, duration: duration))
      }
      seen[look] = sight
    }
    sights = seen
    return long
  }
}
