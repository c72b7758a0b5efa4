import HyphaCore
import HyphaLog
import HyphaRuntime

/// What went wrong in a run: counts of all of it, and of each kind the first ``countMax`` one by one.
struct ReportIncidents {
  struct Incident {
    /// In microseconds.
    let time: UInt64
    let kind: String
    let agent: String
    let text: String
  }

  /// The most incidents of each kind that are listed.
  static let countMax = 100
  /// The longest text of one, in characters.
  private static let textCountMax = 300

  private(set) var incidents: [Incident] = []
  /// How many there were of each kind.
  private(set) var counts: [String: Int] = [:]
  private(set) var settledCount = 0
  private(set) var undecodedCount = 0

  /// How many of a kind are not listed.
  func leftOutCount(of kind: String) -> Int { max(0, (counts[kind] ?? 0) - Self.countMax) }

  /// Takes note of an event of the bus, which type alone tells.
  mutating func take(_ type: String, _ record: RecordView) {
    do {
      switch type {
      case DeadLetterResolved.eventType.text: settledCount += 1
      case HandlerFailed.eventType.text:
        try note("handler threw", record, as: HandlerFailed.self) { event in
          "\(event.attempt.map { "attempt \($0): " } ?? "")\(event.error)"
        }
      case EventDeadLettered.eventType.text:
        try note("dead letter", record, as: EventDeadLettered.self) { event in
          "\(event.type) of \(event.from), after \(event.attempts) attempts: \(event.error)"
        }
      case HandlerOverdue.eventType.text:
        try note("handler overdue", record, as: HandlerOverdue.self) { event in
          "\(event.type.map { "over \($0), " } ?? "")running for "
            + Human.duration(.microseconds(Int64(clamping: event.runningMicroseconds)))
        }
      case AgentStopped.eventType.text:
        try note("agent stopped", record, as: AgentStopped.self, text: \.reason)
      case AlertEscalated.eventType.text:
        try note("alert escalated", record, as: AlertEscalated.self) { event in
          "\(event.type), not answered by \(Self.names(event.unanswered))"
        }
      case AlertUnanswered.eventType.text:
        try note("alert unanswered", record, as: AlertUnanswered.self) { event in
          "\(event.type), not answered by \(Self.names(event.unanswered)), up to the root"
        }
      case AgentActivated.eventType.text where record.previous > .start:
        try note("agent restarted", record, as: AgentActivated.self) { event in
          "on \(event.node), epoch \(event.epoch) after \(event.previousEpoch)"
        }
      default: break
      }
    } catch {
      undecodedCount += 1
    }
  }

  private static func names(_ agents: [AgentID]) -> String {
    agents.prefix(8).map(\.text).joined(separator: ", ") + (agents.count > 8 ? ", …" : "")
  }

  private mutating func note<Noted: Event>(
    _ kind: String, _ record: RecordView, as type: Noted.Type, text: (Noted) -> String
  ) throws {
    counts[kind, default: 0] += 1
    // What is not listed need not be decoded.
    guard counts[kind, default: 0] <= Self.countMax else { return }
    let event = try Noted.decode(Record(record))
    incidents.append(
      Incident(
        time: record.time.microseconds, kind: kind, agent: String(decoding: record.agent, as: UTF8.self),
        text: String(text(event).prefix(Self.textCountMax))))
  }
}
