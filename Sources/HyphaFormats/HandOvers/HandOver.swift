/// Work that passed from one resource to another: two consecutive events of one case, done by two
/// different named resources. Events without a resource do not count; they neither make nor break one.
public struct HandOver: Hashable, Sendable {
  /// The place in the recorded order of all hand-overs, from 0.
  public var index: Int
  /// The case whose work was handed over.
  public var caseID: String
  /// The activity of the receiving event.
  public var activity: String
  /// The resource of the event before.
  public var from: String
  /// The resource of the receiving event.
  public var to: String
  /// The time of the receiving event, in microseconds since 1970-01-01T00:00:00Z.
  public var time: Int64
  /// The index of the hand-over before this one in the same case; less than ``index``.
  public var predecessor: Int?

  /// A hand-over of the case `caseID` at `time`, in microseconds since 1970.
  public init(
    index: Int, caseID: String, activity: String, from: String, to: String, time: Int64,
    predecessor: Int? = nil
  ) {
    self.index = index
    self.caseID = caseID
    self.activity = activity
    self.from = from
    self.to = to
    self.time = time
    self.predecessor = predecessor
  }
}

/// The rules that a list of hand-overs keeps, checked one by one in order: before each write and after
/// each read.
struct HandOverRules {
  private var count = 0
  private var lastTime = Int64.min
  private var lastOfCase: [String: Int] = [:]

  /// What is wrong with `handOver` as the next one; nil when nothing is.
  mutating func violation(_ handOver: HandOver) -> String? {
    defer {
      count += 1
      lastTime = handOver.time
      lastOfCase[handOver.caseID] = handOver.index
    }
    if handOver.index != count { return "the index is \(handOver.index) where \(count) follows" }
    if handOver.caseID.isEmpty { return "the case is empty" }
    if handOver.activity.isEmpty { return "the activity is empty" }
    if handOver.from.isEmpty || handOver.to.isEmpty { return "a resource is empty" }
    if handOver.from == handOver.to { return "from and to are both `\(handOver.to.prefix(80))`" }
    if !RecordedTime.range.contains(handOver.time) { return "the time is outside of the years 1 to 9999" }
    if handOver.time < lastTime { return "the time is before that of the hand-over above" }
    if let predecessor = handOver.predecessor, predecessor >= handOver.index {
      return "the predecessor \(predecessor) is not before the index \(handOver.index)"
    }
    let expected = lastOfCase[handOver.caseID]
    if handOver.predecessor != expected {
      let named = handOver.predecessor.map(String.init) ?? "missing"
      let last = expected.map(String.init) ?? "none"
      return "the predecessor is \(named), but the case's last hand-over is \(last)"
    }
    return nil
  }
}
