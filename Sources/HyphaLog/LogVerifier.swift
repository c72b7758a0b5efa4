public import HyphaCore

/// What a walk over a whole log found.
public struct LogVerification: Hashable, Sendable, Codable {
  /// What kind of thing is wrong.
  public enum Kind: String, Hashable, Sendable, Codable {
    /// A checksum does not match: bytes were lost or flipped.
    case damaged
    /// All checksums match, and a hash or a link of the chain does not: somebody wrote other bytes on purpose.
    case altered
    /// Parts that are whole contradict each other, or something is missing.
    case inconsistent
  }

  /// One thing that is wrong.
  public struct Finding: Hashable, Sendable, Codable {
    /// What kind of thing.
    public let kind: Kind
    /// Where in the log, as far as it has a place there.
    public let position: Position?
    /// What it is.
    public let problem: String
  }

  /// The log's id, once it was read.
  public var id: EventID?
  /// The log's node, once it was read.
  public var node: NodeID?
  /// The position up to which the log was looked at.
  public var head = Position.start
  /// How many entries were read and found whole.
  public var entryCount: UInt64 = 0
  /// How many of them an agent of the log's node stated.
  public var statedCount: UInt64 = 0
  /// The bytes of their records.
  public var recordByteCount: UInt64 = 0
  /// How many blocks were read, where the backend has blocks.
  public var blockCount: UInt64 = 0
  /// How many payloads beside the log were read and found whole.
  public var payloadCount: UInt64 = 0
  /// The payloads beside the log that no entry refers to; as long as the log is written some of them may be of commits
  /// under way.
  public var loosePayloads = LoosePayloads()
  /// How many entries are gone because they were pruned.
  public var prunedCount: UInt64 = 0
  /// How many entries are gone because they were damaged.
  public var quarantinedCount: UInt64 = 0
  /// How many blocks' links of the chain cannot be proven, because what they follow from is quarantined.
  public var unprovenCount: UInt64 = 0
  /// How many findings are of damage.
  public private(set) var damagedCount: UInt64 = 0
  /// How many findings are of bytes that were written by intent.
  public private(set) var alteredCount: UInt64 = 0
  /// The first position at which something is wrong.
  public private(set) var firstBroken: Position?
  /// What is wrong, by position; at most ``findingCountMax``.
  public private(set) var details: [Finding] = []
  /// Why reading ended early, where that says nothing of the log: who read was killed, or may not read. What is counted
  /// was read before.
  public var interruption: String?
  /// The chain's links at the positions that were asked for.
  public var links: [Position: ChainLink] = [:]

  /// The most findings that are kept.
  public static let findingCountMax = 100

  /// A verification that has found nothing yet.
  public init() {}

  /// Whether all was read and nothing is wrong. What was pruned or quarantined is accounted for, so it is no finding.
  public var isSound: Bool { details.isEmpty && interruption == nil }

  /// What was found of the chain, once the log's identity was read.
  public var chain: ChainLookup? {
    guard let id, let node else { return nil }
    return ChainLookup(id: id, node: node, head: head, links: links)
  }

  /// What is wrong, a line each, in the order of the log.
  public var findings: [String] {
    details.map { finding in
      let kind = finding.kind == .altered ? "altered: " : ""
      // What a reader would have thrown names the position itself.
      guard let position = finding.position, !finding.problem.contains("position \(position)") else {
        return kind + finding.problem
      }
      return "\(kind)position \(position): \(finding.problem)"
    }
  }

  /// Takes down a finding.
  public mutating func find(_ problem: String, at position: Position? = nil, _ kind: Kind = .inconsistent) {
    switch kind {
    case .damaged: damagedCount += 1
    case .altered: alteredCount += 1
    case .inconsistent: break
    }
    if let position { firstBroken = min(position, firstBroken ?? position) }
    guard details.count < Self.findingCountMax else { return }
    let place = position.flatMap { position in
      details.firstIndex { $0.position.map { $0 > position } ?? true }
    }
    details.insert(
      Finding(kind: kind, position: position, problem: problem), at: place ?? details.endIndex)
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
    check.verification.id = identity.id
    check.verification.node = identity.node
    check.verification.head = end
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
      check.verification.find(error.problem, at: nil, .damaged)
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
/// Each entry names the one before it of its lane and of its stream, which must be the newest one of that name.
public struct EntryCheck {
  /// What was found so far.
  public var verification = LogVerification()
  /// What is gone, in ascending order.
  public private(set) var gaps: [LogGap]
  /// The time of the newest entry.
  public private(set) var lastTime = Timestamp.zero
  /// What was found to be damaged, in ascending order.
  private var lost: [ClosedRange<Position>] = []
  private var lanes = NewestEntries()
  private var streams = NewestEntries()
  /// What the log says that it was pruned of, in its order.
  private var prunes: [(position: Position, last: UInt64, anchor: String)] = []

  /// A check of a log in which `gaps` are gone.
  public init(gaps: [LogGap]) {
    self.gaps = []
    update(gaps: gaps)
  }

  /// Takes note that other entries are gone by now: the log is pruned while it is read.
  public mutating func update(gaps: [LogGap]) {
    self.gaps = gaps
    verification.prunedCount = 0
    verification.quarantinedCount = 0
    for gap in gaps {
      let count = gap.range.upperBound.rawValue - gap.range.lowerBound.rawValue + 1
      if gap.kind == .pruned {
        verification.prunedCount += count
      } else {
        verification.quarantinedCount += count
      }
    }
  }

  /// Takes note that entries are damaged, so that those that link to them do not count as wrong too.
  public mutating func pass(_ range: ClosedRange<Position>) {
    if let last = lost.last, last.upperBound.next == range.lowerBound {
      lost[lost.count - 1] = last.lowerBound...range.upperBound
    } else {
      lost.append(range)
    }
  }

  /// The gap that a position lies in, or nil.
  public func gap(at position: Position) -> LogGap? {
    Self.index(of: position, count: gaps.count) { gaps[$0].range }.map { gaps[$0] }
  }

  /// The number of the range that a position lies in, of `count` in ascending order.
  private static func index(
    of position: Position, count: Int, range: (Int) -> ClosedRange<Position>
  ) -> Int? {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if range(middle).upperBound < position { low = middle + 1 } else { high = middle }
    }
    return low < count && range(low).contains(position) ? low : nil
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
    if entry.source == .stated, entry.record.type.elementsEqual(Self.pruned) { takePrune(entry) }
  }

  private static let pruned = Array(LogPruned.eventType.text.utf8)

  private mutating func takePrune(_ entry: EntryView) {
    guard let said = try? LogPruned.decode(entry.entry().record) else { return }
    prunes.append((entry.position, said.last, said.anchor))
  }

  /// What is gone as if it were pruned, and no event behind it says that it was; once all entries were checked.
  ///
  /// Where entries behind it were quarantined or are damaged, the event may be among them: then that is not known.
  public var unstatedPrunes: [LogGap] {
    gaps.filter { gap in
      let end = gap.range.upperBound
      return gap.kind == .pruned && !lost.contains { $0.upperBound > end }
        && !gaps.contains { $0.kind != .pruned && $0.range.upperBound > end }
        && !prunes.contains {
          $0.position > end
            && ($0.last > end.rawValue || $0.last == end.rawValue && $0.anchor == gap.anchor?.description)
        }
    }
  }

  /// Whether a position was passed over as damaged.
  public func isLost(_ position: Position) -> Bool {
    Self.index(of: position, count: lost.count, range: { lost[$0] }) != nil
  }

  private mutating func checkLane(_ entry: EntryView) {
    let record = entry.record
    let point = LanePoint(epoch: record.epoch, sequence: record.sequence)
    let isAddressed = !record.addressee.isEmpty
    let lane = NewestEntries.Name(
      channel: record.channel.rawValue, epoch: 0, agent: record.agent, isAddressed: isAddressed,
      other: isAddressed ? record.addressee : record.type)
    let before = lanes.advance(
      from: entry.previousInLane, to: entry.position, point: point, isHighest: true, of: lane)
    let previous = record.previous
    switch before {
    case .entry(let newest):
      let end = newest.point
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
    let stream = NewestEntries.Name(
      channel: record.channel.rawValue, epoch: record.epoch, agent: record.agent, isAddressed: false,
      other: UnsafeRawBufferPointer(start: nil, count: 0))
    let before = streams.advance(
      from: entry.previousInStream, to: entry.position, point: point, isHighest: entry.source == .stated,
      of: stream)
    switch before {
    case .entry(let end):
      // Lanes of what was received overtake each other, so the highest sequence need not be the newest entry's.
      let continues =
        end.isSequenceMaxKnown
        ? record.sequence == end.sequenceMax &+ 1 : record.sequence > end.sequenceMax
      if entry.source == .stated, !continues {
        verification.find(
          "event \(record.sequence) of its stream follows event \(end.sequenceMax)", at: entry.position)
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
    if gap(at: link) == nil, !isLost(link) {
      verification.find("its links do not lead to the entries before it", at: position)
    }
  }

  /// Compares the heads that the log has with those that its entries give.
  public mutating func compare(lanes laneHeads: [Lane: LaneHead], streams streamHeads: [StreamID: StreamHead])
  {
    // What was pruned still has heads, and counts.
    let isWhole = gaps.isEmpty
    let (laneEnds, streamEnds) = (lanes.byPosition, streams.byPosition)
    for head in laneHeads.values where gap(at: head.position) == nil {
      guard let end = laneEnds[head.position], end.point == head.point,
        !isWhole || end.count == head.count
      else { return verification.find("the table of lane heads does not equal the entries") }
    }
    for head in streamHeads.values where gap(at: head.position) == nil {
      guard let end = streamEnds[head.position],
        end.isSequenceMaxKnown ? end.sequenceMax == head.sequence : end.sequenceMax <= head.sequence,
        !isWhole || end.count == head.count
      else { return verification.find("the table of stream heads does not equal the entries") }
    }
    if lanes.count > laneHeads.count { verification.find("the table of lane heads does not have all lanes") }
    if streams.count > streamHeads.count {
      verification.find("the table of stream heads does not have all streams")
    }
  }
}
