/// Decides when a commit group is complete: at once for a writer that is alone, and under load when those who
/// wrote last time had the chance to write again.
///
/// Appenders that wait for their acknowledgement come back soon after it. Without gathering, the first who
/// does gets a group of its own, and the others a second one: two syncs for what one would have covered. So
/// after a group of several batches the next one waits until as many have come, but never longer than a part
/// of what a commit takes, which is all that it can win.
///
/// Nor may a group be so large that those who come behind it wait for long: an urgent batch cannot overtake the group
/// that is being committed, nor the one that was planned behind it. So a group has at most as many events as are
/// planned within a bounded time, by the measure of the groups before.
///
/// Pure: the writer tells it what happened and asks how long to wait.
public struct GroupPolicy: Sendable {
  /// The most that a group waits for, whatever commits take.
  public var gatherMax: Duration
  /// How much of the time of a usual commit a group may wait.
  public var gatherShare: Double

  /// How long the planning of one group may take.
  public var planMax: Duration
  /// However slow the planning is, a group may have so many events.
  public static var appendCountMin: Int { 32 }

  /// What planning one event has taken lately.
  private var appendCost = Duration.zero
  private var expectedCount = 1
  private var commitDuration = Duration.zero

  /// A policy; the defaults are a quarter of a commit, and two milliseconds at most, and five for planning.
  public init(
    gatherMax: Duration = .milliseconds(2), gatherShare: Double = 0.25, planMax: Duration = .milliseconds(5)
  ) {
    self.gatherMax = gatherMax
    self.gatherShare = gatherShare
    self.planMax = planMax
  }

  /// What to do with the batches that wait.
  public enum Decision: Sendable, Equatable {
    /// Commit them.
    case commit
    /// Let more come: until this many wait, or this long.
    case gather(untilCount: Int, upTo: Duration)
  }

  /// What to do with `waitingCount` batches, the first of which could have been taken `waited` ago.
  public func decide(waitingCount: Int, waited: Duration) -> Decision {
    guard waitingCount < expectedCount else { return .commit }
    let rest = min(gatherMax, commitDuration * gatherShare) - waited
    return rest > .zero ? .gather(untilCount: expectedCount, upTo: rest) : .commit
  }

  /// A group was committed: how many batches it had, how long the commit took, and how many batches came while
  /// it did.
  public mutating func committed(count: Int, duration: Duration, arrivedMeanwhile: Int) {
    // Whoever was in the group, or came while it was written, may come again.
    expectedCount = max(1, count + arrivedMeanwhile)
    // The mean of the last few: one slow sync is no reason to wait long.
    commitDuration = commitDuration == .zero ? duration : (commitDuration * 7 + duration) / 8
  }

  /// The most events of a group, of those that may have up to `bound`.
  public func appendCountMax(upTo bound: Int) -> Int {
    guard appendCost > .zero else { return bound }
    let count = planMax / appendCost
    return count < Double(bound) ? min(bound, max(Self.appendCountMin, Int(count))) : bound
  }

  /// A group of so many events was planned in so much of the processor's time.
  public mutating func planned(appendCount: Int, duration: Duration) {
    // Of a few events the time is that of the group rather than theirs.
    guard appendCount >= Self.appendCountMin else { return }
    let cost = duration / appendCount
    appendCost = appendCost == .zero ? cost : (appendCost * 7 + cost) / 8
  }
}
