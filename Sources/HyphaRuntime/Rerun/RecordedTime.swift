import HyphaCore
import HyphaTopology

/// How long it took to record what is run again. While nothing comes to a log, its node may have been stopped, or have had nothing to
/// do: such pauses are no time that a re-run saves, and are kept apart. Pure.
public struct RecordedTime: Sendable, Equatable {
  /// The time between entries that are no further apart than ``pauseMin``.
  public private(set) var worked = Duration.zero
  /// The time of the pauses.
  public private(set) var paused = Duration.zero
  /// How many pauses there were.
  public private(set) var pauseCount = 0
  private var newest: Timestamp?

  /// The longest time between two entries that is no pause.
  public static let pauseMin = Duration.seconds(1)

  /// No entries.
  public init() {}

  /// Takes the next entry of a log: when it was appended.
  mutating func take(_ time: Timestamp) {
    defer { newest = max(newest ?? .zero, time) }
    guard let newest, time > newest else { return }
    let gap = time.since(newest)
    guard gap > Self.pauseMin else { return worked += gap }
    paused += gap
    pauseCount += 1
  }

  /// What nodes state of themselves, they state while nothing happens, too.
  static func counts(_ record: RecordView) -> Bool { !record.agent.starts(with: author) }

  private static let author = Array(NodeID.authorPrefix.utf8)
}
