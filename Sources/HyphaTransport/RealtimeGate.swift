public import HyphaCore

/// Lets the newest event of each subject pass and drops what is older: the realtime channel's order.
///
/// A pure state machine. It remembers at most `subjectCountMax` subjects of each agent's lane; when there
/// are more it forgets all of that lane's and begins anew, which may let one older event pass per subject
/// and never holds back a newer one.
public struct RealtimeGate: Sendable {
  private let subjectCountMax: Int
  private var newest: [Lane: [Subject: LanePoint]] = [:]
  /// The last event, whose point is not among the others meanwhile: a run of events of one subject costs a comparison
  /// each.
  private var recent: (names: RecordNames, point: LanePoint)?

  /// A gate that has seen nothing.
  public init(subjectCountMax: Int = 4096) { self.subjectCountMax = subjectCountMax }

  /// Of events that came together, those that are newer than all of their subject that passed before.
  public mutating func newest(of records: [Record]) -> [Record] {
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
    let last = newest[names.lane]?[names.subject]
    guard last.map({ $0 < point }) ?? true else { return false }
    recent = (names, point)
    return true
  }

  private mutating func putBack() {
    guard let (names, point) = recent.take() else { return }
    let (lane, subject) = (names.lane, names.subject)
    var subjects = newest[lane, default: [:]]
    newest[lane] = nil
    if subjects.count >= subjectCountMax && subjects[subject] == nil { subjects = [:] }
    subjects[subject] = point
    newest[lane] = subjects
  }
}
