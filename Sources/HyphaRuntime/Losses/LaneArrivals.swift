import HyphaCore

/// Which events of one realtime lane have come to a node: each counts once, however often and in whatever order it
/// comes.
///
/// A pure state machine. As every event names the one before it in its lane, what is in order costs a comparison; a gap is
/// remembered until what is late fills it. At most ``gapCountMax`` gaps are: an event in an older one counts as having come
/// before.
struct LaneArrivals: Sendable {
  /// Nothing of what lies behind `after` up to and including `through` has come.
  private struct Gap {
    var after: LanePoint
    var through: LanePoint
  }

  /// An agent of the node that the lane is for, the subjects that it takes (none means all), and how many events have come
  /// for it.
  private struct Taker {
    let agent: AgentID
    let subjects: [Pattern]
    var count: UInt64 = 0
  }

  private var newest = LanePoint.start
  private var gaps: [Gap] = []
  private var takers: [Taker]

  /// The most gaps that are remembered.
  static let gapCountMax = 256

  /// Nothing has come.
  init(for takers: [(agent: AgentID, subjects: [Pattern])]) {
    self.takers = takers.map { Taker(agent: $0.agent, subjects: $0.subjects) }
  }

  /// How many events have come for each agent.
  var counts: [(agent: AgentID, count: UInt64)] { takers.map { ($0.agent, $0.count) } }

  /// Counts an event for those who take it, if it comes for the first time. Returns whether it does.
  mutating func take(_ record: Record) -> Bool {
    guard isNew(record.point, after: record.previous) else { return false }
    count(record.subject, 1)
    return true
  }

  /// The same for events that follow each other, if they come behind all that have come. Returns whether they do; nothing is
  /// counted where they do not.
  mutating func take(run records: [Record]) -> Bool {
    guard let first = records.first, let last = records.last, first.point > newest else { return false }
    _ = isNew(first.point, after: first.previous)
    newest = last.point
    var begin = 0
    while begin < records.count {
      let end = records.endOfStretch(at: begin)
      count(records[begin].subject, end - begin)
      begin = end
    }
    return true
  }

  private mutating func count(_ subject: Subject, _ count: Int) {
    for index in takers.indices {
      let subjects = takers[index].subjects
      if subjects.isEmpty || subjects.contains(where: { $0.matches(subject) }) {
        takers[index].count += UInt64(count)
      }
    }
  }

  private mutating func isNew(_ point: LanePoint, after previous: LanePoint) -> Bool {
    // The first of an epoch names none before it, and the end of the epoch before may come yet.
    let through = max(previous, LanePoint(epoch: point.epoch, sequence: 0))
    if point > newest {
      if through > newest { gaps.append(Gap(after: newest, through: through)) }
      if gaps.count > Self.gapCountMax { gaps.removeFirst() }
      newest = point
      return true
    }
    guard let place = gaps.lastIndex(where: { $0.after < point && point <= $0.through }) else { return false }
    let gap = gaps.remove(at: place)
    if point < gap.through { gaps.insert(Gap(after: point, through: gap.through), at: place) }
    if through > gap.after { gaps.insert(Gap(after: gap.after, through: through), at: place) }
    return true
  }
}
