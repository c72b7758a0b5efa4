import HyphaCore

/// The section `oversight` of a topology file.
extension TopologyDecoder {
  /// The rules; those that name what is not there are reported and left out.
  mutating func decodeOversight(_ member: Member?) -> [OversightRule] {
    guard let member else { return [] }
    let supervisors = Set(
      drafts.compactMap { if case .agent(let agent) = $0.supervisor { agent } else { nil } })
    var places: [[String]: SourceMark] = [:]
    var rules: [OversightRule] = []
    for element in problems.elements(of: member.value, in: "oversight") ?? [] {
      guard let rule = decodeRule(element, supervisors) else { continue }
      if let first = places.updateValue(element.mark, forKey: [rule.type.text, rule.by.text]) {
        problems.report(
          element.mark, "'\(rule.by)' oversees \(rule.type) twice: it does on line \(first.line)",
          remedy: "remove one of them")
        continue
      }
      rules.append(rule)
      sources.oversight.append(element.mark)
    }
    return rules
  }

  private mutating func decodeRule(_ node: DocumentNode, _ supervisors: Set<AgentID>) -> OversightRule? {
    let what = "a rule of oversight"
    let keys = ["type", "by", "mode", "every"]
    guard let parts = problems.members(of: node, in: what, at: node.mark, keys: keys) else { return nil }
    if let missing = keys.prefix(3).first(where: { parts[$0] == nil }) {
      problems.report(
        node.mark, "\(what) has no \(missing)", remedy: "write {type: TYPE, by: AGENT, mode: in}")
      return nil
    }
    let type = parts["type"].flatMap {
      problems.name(EventTypeName.self, of: $0.value, in: "the type of \(what)")
    }
    let by = parts["by"].flatMap { problems.name(AgentID.self, of: $0.value, in: "by of \(what)") }
    let mode = parts["mode"].flatMap { oversightMode($0) }
    let every = parts["every"].map { oversightPeriod($0, mode) } ?? OversightRule.usualPeriod
    guard let type, let by, let mode, let every else { return nil }
    guard drafts.contains(where: { $0.id == by }) else {
      problems.report(
        parts["by"]?.mark ?? node.mark, "\(what) names '\(by)', which does not exist",
        remedy: problems.remedy(
          nearestTo: by.text, among: supervisors.map(\.text).sorted(), otherwise: "add it under agents:"))
      return nil
    }
    guard supervisors.contains(by) else {
      problems.report(
        parts["by"]?.mark ?? node.mark, "\(what) names '\(by)', to whom nobody reports",
        remedy: "name a supervisor of those who publish \(type)")
      return nil
    }
    guard !type.isOfTheBus else {
      problems.report(
        parts["type"]?.mark ?? node.mark, "\(what) names \(type), which the bus states itself",
        remedy: "name a type that agents publish")
      return nil
    }
    return OversightRule(type, by: by, mode, every: every)
  }

  private mutating func oversightMode(_ member: Member) -> OversightRule.Mode? {
    guard let text = problems.text(of: member.value, in: "mode of a rule of oversight") else { return nil }
    if let mode = OversightRule.Mode(rawValue: text) { return mode }
    let names = OversightRule.Mode.allCases.map(\.rawValue)
    problems.report(
      member.mark, "there is no mode of oversight \(quoted(text))",
      remedy: problems.remedy(
        nearestTo: text, among: names, otherwise: "use one of \(names.joined(separator: ", "))"))
    return nil
  }

  private mutating func oversightPeriod(_ member: Member, _ mode: OversightRule.Mode?) -> Duration? {
    guard let period = duration(member, "every") else { return nil }
    guard mode == .after || mode == nil else {
      problems.report(
        member.keyMark, "every is for digests, which the mode '\(mode?.rawValue ?? "")' has not",
        remedy: "remove it, or use the mode 'after'")
      return nil
    }
    guard OversightRule.periodRange.contains(period) else {
      problems.report(member.mark, "every is out of range", remedy: "use a duration from 1s to 7d")
      return nil
    }
    return period
  }
}
