import HyphaCore
import HyphaLog
import HyphaRuntime

/// What went wrong in a run: counts of all of it, and of each kind the first ``countMax`` one by one.
struct ReportIncidents {
  struct Incident {
    /// In microseconds.
    let time: UInt64
    let kind: String
    /// The agent, or the node, that it concerns.
    let agent: String
    var text: String
  }

  /// The newest restart of a node: all its agents begin in one commit.
  private struct Restart {
    let time: UInt64
    var agentCount = 1
    /// Where it is listed; nil where it is not.
    let place: Int?
  }

  /// The most incidents of each kind that are listed.
  static let countMax = 100
  /// The longest text of one, in characters.
  private static let textCountMax = 300

  private(set) var incidents: [Incident] = []
  /// How many there were of each kind.
  private(set) var counts: [String: Int] = [:]
  private(set) var settledCount = 0
  private var restarts: [NodeID: Restart] = [:]
  /// Activations of one start have times that lie closer together, in microseconds; two starts do not.
  private static let restartSpan: UInt64 = 400_000
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
        takeRestart(try AgentActivated.decode(Record(record)), at: record.time.microseconds)
      default: break
      }
    } catch {
      undecodedCount += 1
    }
  }

  private mutating func takeRestart(_ event: AgentActivated, at time: UInt64) {
    if var restart = restarts[event.node], time < restart.time + Self.restartSpan {
      restart.agentCount += 1
      restarts[event.node] = restart
      if let place = restart.place { incidents[place].text = "\(restart.agentCount) agents begin anew" }
      return
    }
    counts["node restarted", default: 0] += 1
    let isListed = counts["node restarted", default: 0] <= Self.countMax
    restarts[event.node] = Restart(time: time, place: isListed ? incidents.count : nil)
    guard isListed else { return }
    incidents.append(
      Incident(time: time, kind: "node restarted", agent: event.node.text, text: "1 agent begins anew"))
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
