import HyphaCore

/// What became of alerts: how many were stated, and how many of these somebody has answered. Pure.
///
/// An alert may have several addressees, each of which answers, and a supervisor that it was escalated to answers for them; so
/// answers are not set against alerts one by one. The newest ``followedCountMax`` alerts are followed: about 2 MiB.
struct ReportAlerts {
  /// An alert whose answers are waited for.
  private struct Followed {
    /// When it was stated, in microseconds.
    let time: UInt64
    /// The alert that it was escalated from, where it was.
    let origin: EventID?
    /// Whether the bus itself has stated it.
    let isOwn: Bool
    var isAnswered = false
  }

  /// The most alerts that are followed at a time; beyond that the oldest is let go of.
  static let followedCountMax = 16_384

  /// Alerts of agents.
  private(set) var statedCount = 0
  /// Those of them that somebody has answered: an addressee, or a supervisor in its place.
  private(set) var answeredCount = 0
  /// Answers to them, one of each agent that answered.
  private(set) var answerCount = 0
  /// Answers to what the bus itself has stated, such as dead letters.
  private(set) var busAnswerCount = 0
  /// Answers to alerts that are in none of the logs, or not followed any more.
  private(set) var strayAnswerCount = 0
  private var followed: [EventID: Followed] = [:]
  /// In the order of coming; the oldest is at `oldest`, once there are as many as may be.
  private var order: [EventID] = []
  private var oldest = 0

  /// Takes note of an alert that wants an answer.
  ///
  /// - Parameters:
  ///   - isOwn: whether the bus has stated it.
  ///   - origin: the alert that it tells a supervisor of.
  mutating func state(_ id: EventID, at time: UInt64, isOwn: Bool, origin: EventID? = nil) {
    guard followed[id] == nil else { return }
    if !isOwn { statedCount += 1 }
    followed[id] = Followed(time: time, origin: origin, isOwn: isOwn)
    if order.count < Self.followedCountMax { return order.append(id) }
    followed[order[oldest]] = nil
    order[oldest] = id
    oldest = (oldest + 1) % Self.followedCountMax
  }

  /// Takes note of an answer to an alert; how long after it, in microseconds, where that is known.
  mutating func answer(_ id: EventID, at time: UInt64) -> UInt64? {
    guard let alert = followed[id] else {
      strayAnswerCount += 1
      return nil
    }
    // A supervisor answers in the place of those that the alert was for.
    let about = alert.origin.flatMap { followed[$0] == nil ? nil : $0 } ?? id
    if let original = followed[about], !original.isOwn {
      answerCount += 1
      if !original.isAnswered { answeredCount += 1 }
      followed[about]?.isAnswered = true
    } else {
      busAnswerCount += 1
    }
    return time >= alert.time ? time - alert.time : nil
  }
}
