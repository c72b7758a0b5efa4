import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// Checks that every alert of a finished run was answered, or went up the tree: alert-answered of docs/guarantees.md.
///
/// It knows the topology and the logs, and nothing of the machine that follows alerts.
struct AlertChecker {
  private(set) var violations: [String] = []
  /// How many alerts were acknowledged by whom they were for, by a supervisor, and by nobody.
  private(set) var answeredCount = 0
  private(set) var answeredAboveCount = 0
  private(set) var unansweredCount = 0

  private let run: ScenarioRun
  private let topology: Topology
  private static let busTypes: Set<EventTypeName> = [
    AlertAcknowledged.eventType, AlertEscalated.eventType, AlertUnanswered.eventType,
    AlertDeadlineSet.eventType,
  ]

  init(_ run: ScenarioRun, destinations: (RecordHeader) -> [AgentSpec]) {
    self.run = run
    topology = run.topology
    for (node, log) in run.logs.sorted(by: { $0.key < $1.key }) {
      let acknowledged = Self.acknowledged(log)
      // Who was moved has brought along what it had stated.
      let own = log.entries.filter {
        run.topology.agent($0.record.agent)?.node == node && run.statedIDs.contains($0.record.header.id)
      }
      let escalations = Self.stated(AlertEscalated.self, in: own)
      let givenUp = Self.stated(AlertUnanswered.self, in: own)
      for entry in own where isAlert(entry.record.header) {
        let header = entry.record.header
        let mine = escalations.filter { $0.event.alert == header.id }
        let ends = givenUp.filter { $0.event.alert == header.id }.flatMap(\.event.unanswered)
        for destination in destinations(header) where wants(destination, header) {
          check(header, destination, acknowledged, mine, ends)
        }
      }
      checkHonesty(node, log)
    }
  }

  private mutating func fail(_ text: String) { violations.append("alert-answered: \(text)") }

  private func isAlert(_ header: RecordHeader) -> Bool {
    header.channel == .alert && !Self.busTypes.contains(header.type)
  }

  private func wants(_ agent: AgentSpec, _ header: RecordHeader) -> Bool {
    header.addressee != nil
      || agent.subscribes.contains { $0.type == header.type && $0.subjects.matches(header.subject) }
  }

  /// What each agent has answered, as far as a log knows.
  private static func acknowledged(_ log: LoggedNode) -> Set<[String]> {
    Set(
      log.entries.map(\.record.header).filter { $0.type == AlertAcknowledged.eventType }
        .map { ["\($0.causation)", $0.agent.text] })
  }

  private static func stated<E: Event>(_ type: E.Type, in entries: [LogEntry]) -> [(
    header: RecordHeader, event: E
  )] {
    entries.filter { $0.record.header.type == E.eventType }.compactMap { entry in
      (try? E.decode(entry.record)).map { (entry.record.header, $0) }
    }
  }

  /// Walks up from one that the alert is for to the one that has answered.
  private mutating func check(
    _ alert: RecordHeader, _ destination: AgentSpec, _ acknowledged: Set<[String]>,
    _ escalations: [(header: RecordHeader, event: AlertEscalated)], _ ends: [AgentID]
  ) {
    var (asked, holder, step) = (alert, destination, 0)
    while !acknowledged.contains(["\(asked.id)", holder.id.text]) {
      guard let supervisor = holder.reportsTo.flatMap(topology.agent) else {
        if !ends.contains(destination.id) {
          fail("\(alert.id) for \(destination.id) came to \(holder.id), which has not answered")
        }
        unansweredCount += 1
        return
      }
      step += 1
      // An answer that comes after the next step has begun counts all the same.
      if acknowledged.contains(["\(alert.id)", destination.id.text]) { break }
      let next = escalations.filter { $0.event.step == step && $0.event.unanswered.contains(destination.id) }
      guard next.count == 1, next[0].header.addressee == supervisor.id else {
        return fail(
          "\(alert.id) of \(alert.agent) was not answered by \(holder.id), and \(supervisor.id) was told "
            + "\(next.count) times")
      }
      if next[0].header.causation != alert.id { fail("an escalation of \(alert.id) has another cause") }
      if next[0].header.time.since(asked.time) < topology.alerts.deadline {
        fail("\(alert.id) was escalated \(next[0].header.time.since(asked.time)) after \(asked.type)")
      }
      (asked, holder) = (next[0].header, supervisor)
    }
    if step == 0 { answeredCount += 1 } else { answeredAboveCount += 1 }
  }

  /// An answer is stated once, by one that has the alert and whose handler has not failed on it.
  private mutating func checkHonesty(_ node: NodeID, _ log: LoggedNode) {
    var seen: [EventID: RecordHeader] = [:]
    var answers: Set<[String]> = []
    for entry in log.entries {
      let header = entry.record.header
      seen[header.id] = header
      guard entry.source == .stated, header.type == AlertAcknowledged.eventType else { continue }
      if !answers.insert(["\(header.causation)", header.agent.text]).inserted {
        fail("\(header.agent) has answered \(header.causation) twice")
      }
      guard let alert = seen[header.causation], alert.agent == header.addressee else {
        fail("\(header.agent) answers \(header.causation), which its log does not have before")
        continue
      }
      let kind = topology.agent(header.agent)?.kind
      if kind == Watcher.kind, Watcher.fails(on: alert.id, oneIn: run.scenario.failOneIn) {
        fail("\(header.agent) has answered \(alert.id), on which it fails")
      }
      if kind == "supervisor", alert.type == AlertEscalated.eventType {
        fail("\(header.agent) has answered \(alert.id), for which it has no handler")
      }
    }
  }
}
