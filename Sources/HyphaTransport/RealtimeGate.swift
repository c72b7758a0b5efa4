public import HyphaCore

/// Lets the newest event of each subject pass and drops what is older: the realtime channel's order.
///
/// A pure state machine. It remembers at most ``Limits/subjectCountMax`` subjects of a lane and
/// ``Limits/subjectCountMaxInAll`` of all. Where there are more it forgets them and keeps one point for all that it
/// forgot of a lane, the newest: nothing before that passes any more, so that what passes is never older than what did,
/// and what comes in the lane's order passes as before.
public struct RealtimeGate: Sendable {
  /// How much is remembered.
  public struct Limits: Sendable, Hashable {
    /// The most subjects of one lane.
    public var subjectCountMax: Int
    /// The most subjects of all lanes together.
    public var subjectCountMaxInAll: Int

    /// By default 4,096 a lane, 65,536 in all.
    public init(subjectCountMax: Int = 4096, subjectCountMaxInAll: Int = 65_536) {
      self.subjectCountMax = subjectCountMax
      self.subjectCountMaxInAll = subjectCountMaxInAll
    }
  }

  private struct LaneState: Sendable {
    /// Nothing up to here passes.
    var floor = LanePoint.start
    var newest: [Subject: LanePoint] = [:]

    /// Returns how many subjects were forgotten.
    mutating func forget() -> Int {
      defer { newest = [:] }
      floor = newest.values.reduce(floor) { max($0, $1) }
      return newest.count
    }
  }

  private let limits: Limits
  private var lanes: [Lane: LaneState] = [:]
  /// How many subjects are remembered.
  public private(set) var subjectCount = 0
  /// The last event, whose point is put among the others when an event with other names comes: a run of events of one
  /// subject costs a comparison each.
  private var recent: (names: RecordNames, point: LanePoint)?

  /// A gate that has seen nothing.
  public init(limits: Limits = Limits()) { self.limits = limits }

  /// Of events that came together, those that are newer than all of their subject that passed before.
  public mutating func newest(of records: [Record]) -> [Record] {
    if records.isWholeRun, let first = records.first, let last = records.last,
      records.endOfStretch(at: 0) == records.count, passes(first)
    {
      recent = (last.names, last.point)
      return records
    }
    let passCount = records.prefix { passes($0) }.count
    // Most often nothing is dropped.
    guard passCount < records.count else { return records }
    let rest = records[(passCount + 1)...].filter { passes($0) }
    let passed = records[..<passCount] + rest
    // Who is left of many does not hold on to them all.
    return passed.count * 4 < records.count ? passed.map(\.alone) : Array(passed)
  }

  private mutating func passes(_ record: Record) -> Bool {
    let (names, point) = (record.names, record.point)
    if let known = recent, known.names === names {
      guard known.point < point else { return false }
      recent = (names, point)
      return true
    }
    putBack()
    let (lane, subject) = (names.lane, names.subject)
    var state = lanes[lane] ?? LaneState()
    lanes[lane] = nil
    defer { lanes[lane] = state }
    let last = state.newest[subject]
    guard point > last ?? state.floor else { return false }
    if last == nil {
      if state.newest.count >= limits.subjectCountMax { subjectCount -= state.forget() }
      if subjectCount >= limits.subjectCountMaxInAll {
        subjectCount -= state.forget()
        for other in lanes.keys { subjectCount -= lanes[other]?.forget() ?? 0 }
      }
      // What was forgotten just now may have been newer.
      guard point > state.floor else { return false }
      subjectCount += 1
    }
    state.newest[subject] = point
    recent = (names, point)
    return true
  }

  private mutating func putBack() {
    guard let (names, point) = recent.take() else { return }
    lanes[names.lane]?.newest[names.subject] = point
  }
}
