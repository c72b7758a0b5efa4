public import HyphaCore

/// Lets the newest event of each subject pass and drops what is older: the realtime channel's order.
///
/// A pure state machine. It remembers at most `subjectCountMax` subjects of each agent's lane; when there
/// are more it forgets all of that lane's and begins anew, which may let one older event pass per subject
/// and never holds back a newer one.
public struct RealtimeGate: Sendable {
  private let subjectCountMax: Int
  private var newest: [Lane: [Subject: LanePoint]] = [:]

  /// A gate that has seen nothing.
  public init(subjectCountMax: Int = 4096) { self.subjectCountMax = subjectCountMax }

  /// Whether an event is newer than all of its subject that passed.
  public mutating func passes(_ header: RecordHeader) -> Bool {
    let lane = header.lane
    var subjects = newest[lane, default: [:]]
    newest[lane] = nil
    defer { newest[lane] = subjects }
    if let last = subjects[header.subject], last >= header.point { return false }
    if subjects.count >= subjectCountMax { subjects = [:] }
    subjects[header.subject] = header.point
    return true
  }
}
