import HyphaCore

/// What a walk over a whole log found.
public struct LogVerification: Sendable {
  /// How many entries were read and found whole.
  public var entryCount: UInt64 = 0
  /// How many of them an agent of the log's node stated.
  public var statedCount: UInt64 = 0
  /// The bytes of their records.
  public var recordByteCount: UInt64 = 0
  /// What is wrong, in the order of the log; at most ``findingCountMax``.
  public var findings: [String] = []

  /// The most findings that are kept.
  public static let findingCountMax = 100

  /// Whether nothing is wrong.
  public var isSound: Bool { findings.isEmpty }
}

extension LogReader {
  /// Reads every entry and checks what the log promises: positions without a gap up to the head, records
  /// whose checksums match, times that grow, lanes and stated streams without a gap, links that lead to the
  /// entry before, and heads that equal the last entries.
  ///
  /// - Parameter progress: called about every 10,000 entries with how many were read and the head.
  public func verify(progress: (UInt64, Position) -> Void = { _, _ in }) throws -> LogVerification {
    var verification = LogVerification()
    func find(_ text: String) {
      if verification.findings.count < LogVerification.findingCountMax { verification.findings.append(text) }
    }
    let end = try head()
    var planner = AppendPlanner()
    var lastTime = Timestamp.zero
    do {
      try scan { entry in
        if entry.appendedAt <= lastTime {
          find("position \(entry.position): its time does not lie after that of the entry before")
        }
        lastTime = max(lastTime, entry.appendedAt)
        planner.beginGroup()
        do throws(HyphaError) {
          let batch = LogBatch(appends: [.init(entry.record, source: entry.source)])
          let expected = try planner.plan(batch, now: entry.appendedAt).entries[0]
          if expected.previousInLane != entry.previousInLane
            || expected.previousInStream != entry.previousInStream
          {
            find("position \(entry.position): its links do not lead to the entries before it")
          }
        } catch {
          find("position \(entry.position): \(error.problem)")
        }
        verification.entryCount += 1
        if entry.source == .stated { verification.statedCount += 1 }
        verification.recordByteCount += UInt64(entry.record.bytes.count)
        if verification.entryCount.isMultiple(of: 10_000) { progress(verification.entryCount, end) }
        return true
      }
    } catch let error as HyphaError where error.code == .logInvalid {
      find(error.problem)
      return verification
    }
    // A writer may have gone on meanwhile, so heads are compared only when it has not.
    let heads = try heads()
    if heads.position == end, planner.head == end {
      if heads.lanes != planner.lanes { find("the table of lane heads does not equal the entries") }
      if heads.streams != planner.streams { find("the table of stream heads does not equal the entries") }
    }
    return verification
  }
}
