public import HyphaCore

/// What a walk over a whole log found.
public struct LogVerification: Sendable {
  /// How many entries were read and found whole.
  public var entryCount: UInt64 = 0
  /// How many of them an agent of the log's node stated.
  public var statedCount: UInt64 = 0
  /// The bytes of their records.
  public var recordByteCount: UInt64 = 0
  /// How many entries are gone because they were pruned.
  public var prunedCount: UInt64 = 0
  /// How many entries are gone because they were damaged.
  public var quarantinedCount: UInt64 = 0
  /// The first position at which something is wrong.
  public var firstBroken: Position?
  /// What is wrong, in the order of the log; at most ``findingCountMax``.
  public var findings: [String] = []

  /// The most findings that are kept.
  public static let findingCountMax = 100

  /// A verification that has found nothing yet.
  public init() {}

  /// Whether nothing is wrong. What was pruned or quarantined is accounted for, so it is no finding.
  public var isSound: Bool { findings.isEmpty }

  /// Takes down a finding.
  public mutating func find(_ what: String, at position: Position? = nil) {
    if let position, firstBroken == nil { firstBroken = position }
    guard findings.count < Self.findingCountMax else { return }
    findings.append(position.map { "position \($0): \(what)" } ?? what)
  }
}

extension LogReader {
  /// Reads every entry and checks what the log promises: positions without a gap up to the head, records
  /// whose checksums match, times that grow, lanes and stated streams without a gap, links that lead to the
  /// entry before, and heads that equal the last entries.
  ///
  /// - Parameter progress: called about every 10,000 entries with how many were read and the head.
  public func verify(progress: (UInt64, Position) -> Void = { _, _ in }) throws -> LogVerification {
    let end = try head()
    var check = EntryCheck(gaps: try gaps())
    guard end > .start else { return check.verification }
    do {
      try visit(Position(rawValue: 1)...end, .forward) { entry in
        check.check(entry)
        if check.verification.entryCount.isMultiple(of: 10_000) {
          progress(check.verification.entryCount, end)
        }
        return true
      }
    } catch let error as HyphaError where error.code == .logInvalid {
      check.verification.find(error.problem)
      return check.verification
    }
    // A writer may have gone on meanwhile, so heads are compared only when it has not.
    let heads = try heads()
    if heads.position == end { check.compare(lanes: heads.lanes, streams: heads.streams) }
    return check.verification
  }
}

/// Checks entry after entry against those before it. Pure.
///
/// Each entry names the one before it of its lane and of its stream, so lanes and streams are found by the
/// position of their newest entry: a number to look up, and no name to take apart.
public struct EntryCheck {
  /// What was found so far.
  public var verification = LogVerification()
  private let gaps: [LogGap]
  private var lastTime = Timestamp.zero
  private var lanes = LinkTable()
  private var streams = LinkTable()

  /// A check of a log in which `gaps` are gone.
  public init(gaps: [LogGap]) {
    self.gaps = gaps
    for gap in gaps {
      let count = gap.range.upperBound.rawValue - gap.range.lowerBound.rawValue + 1
      if gap.kind == .pruned {
        verification.prunedCount += count
      } else {
        verification.quarantinedCount += count
      }
    }
  }

  /// Checks the next entry.
  public mutating func check(_ entry: EntryView) {
    let position = entry.position
    if entry.appendedAt <= lastTime {
      verification.find("its time does not lie after that of the entry before", at: position)
    }
    lastTime = max(lastTime, entry.appendedAt)
    checkLane(entry)
    checkStream(entry)
    verification.entryCount += 1
    if entry.source == .stated { verification.statedCount += 1 }
    verification.recordByteCount += UInt64(entry.record.bytes.count)
  }

  private mutating func checkLane(_ entry: EntryView) {
    let record = entry.record
    let point = LanePoint(epoch: record.epoch, sequence: record.sequence)
    let before = lanes.advance(from: entry.previousInLane, to: entry.position, point: point) { key in
      key.append(record.channel.rawValue)
      key.append(record.addressee.isEmpty ? 1 : 0)
      key.append(UInt8(truncatingIfNeeded: record.agent.count))
      key.append(contentsOf: record.agent)
      key.append(contentsOf: record.addressee.isEmpty ? record.type : record.addressee)
    }
    let previous = record.previous
    switch before {
    case .entry(let end):
      let continues = previous == end || (point.epoch > end.epoch && previous < end)
      if !continues || point <= end {
        verification.find(
          "event \(point) follows \(previous), but its lane stands at \(end)", at: entry.position)
      }
    case .none:
      if previous != .start {
        verification.find("event \(point) follows \(previous), but its lane begins here", at: entry.position)
      }
    case .elsewhere: checkGone(entry.previousInLane, entry.position)
    case .second: verification.find("its links do not lead to the entries before it", at: entry.position)
    }
  }

  private mutating func checkStream(_ entry: EntryView) {
    let record = entry.record
    let point = LanePoint(epoch: record.epoch, sequence: record.sequence)
    let before = streams.advance(from: entry.previousInStream, to: entry.position, point: point) { key in
      key.append(record.channel.rawValue)
      withUnsafeBytes(of: record.epoch) { key.append(contentsOf: $0) }
      key.append(contentsOf: record.agent)
    }
    switch before {
    case .entry(let end):
      if entry.source == .stated, record.sequence != end.sequence &+ 1 {
        verification.find(
          "event \(record.sequence) of its stream follows event \(end.sequence)", at: entry.position)
      }
    case .none:
      if entry.source == .stated, record.sequence != 1 {
        verification.find("its stream begins with event \(record.sequence)", at: entry.position)
      }
    case .elsewhere: checkGone(entry.previousInStream, entry.position)
    case .second: verification.find("its links do not lead to the entries before it", at: entry.position)
    }
  }

  /// A link that leads to no newest entry must lead to one that is gone.
  private mutating func checkGone(_ link: Position, _ position: Position) {
    if !gaps.contains(where: { $0.range.contains(link) }) {
      verification.find("its links do not lead to the entries before it", at: position)
    }
  }

  /// Compares the heads that the log has with those that its entries give.
  public mutating func compare(lanes laneHeads: [Lane: LaneHead], streams streamHeads: [StreamID: StreamHead])
  {
    // What was pruned still has heads, and counts.
    let isWhole = gaps.isEmpty
    for head in laneHeads.values where !gaps.contains(where: { $0.range.contains(head.position) }) {
      guard let end = lanes.end(at: head.position), end.point == head.point,
        !isWhole || end.count == head.count
      else { return verification.find("the table of lane heads does not equal the entries") }
    }
    for head in streamHeads.values where !gaps.contains(where: { $0.range.contains(head.position) }) {
      guard let end = streams.end(at: head.position), end.sequenceMax == head.sequence,
        !isWhole || end.count == head.count
      else { return verification.find("the table of stream heads does not equal the entries") }
    }
    if lanes.count > laneHeads.count { verification.find("the table of lane heads does not have all lanes") }
    if streams.count > streamHeads.count {
      verification.find("the table of stream heads does not have all streams")
    }
  }
}

/// The newest entries of lanes, or of streams, found by their positions.
private struct LinkTable {
  struct End {
    let key: [UInt8]
    var position: Position
    var point: LanePoint
    var sequenceMax: UInt64
    var count: UInt64
  }

  /// What a link led to.
  enum Before {
    /// The newest entry, with its place in the lane.
    case entry(LanePoint)
    /// Nothing, and there is nothing.
    case none
    /// Nothing here.
    case elsewhere
    /// Nothing, though there is something.
    case second
  }

  private var ends: [End] = []
  private var byPosition: [UInt64: Int] = [:]
  private var byKey: [[UInt8]: Int] = [:]
  private var scratch: [UInt8] = []

  var count: Int { ends.count }

  func end(at position: Position) -> End? { byPosition[position.rawValue].map { ends[$0] } }

  mutating func advance(
    from link: Position, to position: Position, point: LanePoint, key write: (inout [UInt8]) -> Void
  ) -> Before {
    scratch.removeAll(keepingCapacity: true)
    write(&scratch)
    if let number = byPosition[link.rawValue], ends[number].key == scratch {
      let before = ends[number].point
      byPosition[link.rawValue] = nil
      move(number, to: position, point)
      return .entry(before)
    }
    if let number = byKey[scratch] {
      // Its newest entries may be among those that are gone; then the link is beyond what is known.
      let isBeyond = link > ends[number].position
      byPosition[ends[number].position.rawValue] = nil
      move(number, to: position, point)
      return isBeyond ? .elsewhere : .second
    }
    byKey[scratch] = ends.count
    byPosition[position.rawValue] = ends.count
    ends.append(End(key: scratch, position: position, point: point, sequenceMax: point.sequence, count: 1))
    return link == .start ? .none : .elsewhere
  }

  private mutating func move(_ number: Int, to position: Position, _ point: LanePoint) {
    byPosition[position.rawValue] = number
    ends[number].position = position
    ends[number].point = point
    ends[number].sequenceMax = max(ends[number].sequenceMax, point.sequence)
    ends[number].count += 1
  }
}
