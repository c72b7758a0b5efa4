import HyphaCore
import HyphaRuntime
import HyphaTopology

/// Findings in words.
enum FindingText {
  /// A finding as programs read it.
  struct Line: Encodable {
    let kind: String
    let agent: AgentID
    let other: AgentID?
    let alert: String?
    let since: String
    let text: String
  }

  /// What is found, in the order of its topics.
  static func lines(_ reading: TopologyReading) -> [Line] {
    reading.findings.values.sorted { $0.finding.topic < $1.finding.topic }.map { found in
      let topic = found.finding.topic
      return Line(
        kind: topic.kind.rawValue, agent: topic.agent, other: topic.other,
        alert: topic.alert.map { "\($0)" }, since: found.since == .zero ? "" : found.since.text,
        text: text(found.finding))
    }
  }

  /// What a finding is about.
  static func topic(_ topic: Finding.Topic) -> String {
    if let other = topic.other { return "\(topic.agent) ↔ \(other)" }
    if let about = topic.about { return "\(topic.agent), decisions: \(about)" }
    return topic.alert.map { "\(topic.agent), alert \($0)" } ?? topic.agent.text
  }

  /// A finding in one sentence, without its full stop.
  static func text(_ finding: Finding) -> String {
    let topic = finding.topic
    func duration(_ microseconds: Int) -> String { Human.duration(.microseconds(Int64(microseconds))) }
    switch finding.evidence {
    case .relay(let late, let usual, let rate, let inbox):
      let relays = "it relays \(Human.count(rate)) events a second"
      guard late > usual else {
        return "\(topic.agent) does not keep up: \(Human.count(inbox)) events wait for it, and \(relays)"
      }
      return
        "\(topic.agent) holds up what it relays for \(duration(late)), where \(duration(usual)) are usual; \(relays)"
    case .wait(let type, let seconds, let usual):
      let usual = usual == 0 ? "" : ", where \(duration(usual)) are usual"
      let waited = "\(Human.duration(.seconds(Int64(seconds)))) and more\(usual)"
      if type == DecisionReferred.eventType {
        let kind = topic.about.map { " about '\($0)'" } ?? ""
        return "the oldest decision\(kind) that \(topic.agent) is to take has waited for \(waited)"
      }
      return topic.alert == nil
        ? "the oldest event in the inbox of \(topic.agent), \(type), has waited for \(waited)"
        : "\(topic.agent) has not answered \(type) for \(waited)"
    case .traffic(let events, let all):
      let share = Human.decimal(100 * Double(events) / Double(max(all, 1)), digits: 0)
      return "\(Self.topic(topic)) carry \(share) % of all events lately, and have no link"
    case .audience(let type, let members):
      let names = members.prefix(4).map(\.text).joined(separator: ", ")
      let more = members.count > 4 ? " and \(members.count - 4) more" : ""
      return
        "\(topic.agent) tells \(names)\(more) the same \(type) again and again, one by one: to publish it once to "
        + "subscribers is one event in place of \(members.count)"
    case .decisions(let stratum, let approved, let all, let bound, let needed, let isProposed):
      let evidence =
        "\(topic.agent) has approved \(Human.count(approved)) of \(Human.count(all)) decisions (\(stratum.text)), "
        + "at least \(DelegationText.percent(Int64(bound))) where \(DelegationText.percent(Int64(needed))) is needed"
      return isProposed
        ? "\(evidence): to delegate them is proposed, see 'hypha topology delegate'"
        : "\(evidence): they would be delegated under 'mode: auto', or proposed under 'suggest'"
    }
  }
}
