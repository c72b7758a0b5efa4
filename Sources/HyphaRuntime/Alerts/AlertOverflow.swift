import HyphaCore

/// Alerts for which the tracker had no room: the supervisors of those that they are for are told at once, of many
/// in one event. A pure part of ``AlertTracker``; it holds one count for each pair of an agent and a supervisor.
struct AlertOverflow: Sendable {
  private struct Pair: Hashable {
    let agent: AgentID
    let supervisor: AgentID?
  }

  private struct Count {
    let first: RecordHeader
    var names: [AgentID] = []
    var count = 0
  }

  private var counts: [Pair: Count] = [:]
  private var toldAt = Timestamp.zero

  /// How often supervisors are told.
  static let interval = Duration.seconds(1)

  mutating func add(_ header: RecordHeader, _ addressees: [(AgentID, supervisor: AgentID?)]) {
    for pair in Set(addressees.map { Pair(agent: header.agent, supervisor: $0.supervisor) }) {
      var count = counts[pair] ?? Count(first: header)
      for (agent, supervisor) in addressees
      where supervisor == pair.supervisor && count.names.count < AlertTracker.nameCountMax
        && !count.names.contains(agent)
      {
        count.names.append(agent)
      }
      count.count += 1
      counts[pair] = count
    }
  }

  mutating func due(now: Timestamp) -> [AlertTracker.Action] {
    guard !counts.isEmpty, now.since(toldAt) >= Self.interval else { return [] }
    toldAt = now
    defer { counts = [:] }
    let order = counts.sorted {
      ($0.key.agent, $0.key.supervisor?.text ?? "") < ($1.key.agent, $1.key.supervisor?.text ?? "")
    }
    return order.map { pair, count in
      guard let supervisor = pair.supervisor else {
        let event = AlertUnanswered(
          alert: count.first.id, type: count.first.type, agent: pair.agent, unanswered: count.names.sorted(),
          step: 0)
        return .giveUp(event, correlation: count.first.correlation)
      }
      let event = AlertEscalated(
        alert: count.first.id, type: count.first.type, agent: pair.agent, unanswered: count.names.sorted(),
        step: 1, count: count.count)
      return .escalate(event, to: supervisor, correlation: count.first.correlation)
    }
  }
}
