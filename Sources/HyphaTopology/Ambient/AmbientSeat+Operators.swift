import HyphaCore

/// What operators rule about questions. They may do so under every mode, and what is frozen is frozen for the observer alone.
extension AmbientSeat {
  mutating func answer(_ ask: Ask) {
    switch obey(ask.rule) {
    case .success(let changes): answer(.changed(changed(changes)), ask.id, ask.correlation)
    case .failure(let reason):
      answer(
        .refused(QuestionRuleRefused(rule: ask.rule, reason: reason.text, term: memory.term)), ask.id,
        ask.correlation)
    }
  }

  private struct Reason: Error { var text: String }

  private mutating func obey(_ rule: QuestionRule) -> Result<[QuestionChange], Reason> {
    guard SeatTerm.of(max(memory.view.version, SeatTerm.firstVersion(of: memory.term)) + 1) == memory.term
    else { return .failure(Reason(text: "all versions of term \(memory.term) are used up")) }
    switch rule {
    case .approve(let key):
      guard let suggestion = takeSuggestion(key) else { return .failure(Self.notSuggested(key)) }
      return promote(key, sample: suggestion.sample, rule).map { [$0] }
    case .reject(let key):
      guard takeSuggestion(key) != nil else { return .failure(Self.notSuggested(key)) }
      return .success([ruled(rule)])
    case .retire(let key):
      guard memory.view.isPromoted(key) else {
        return .failure(Reason(text: "the question \(key) is not ambient"))
      }
      return .success([ruled(rule, retired: [key])])
    case .forbid(let key):
      guard memory.view.forbidden.count < Limits.forbiddenCount else {
        return .failure(Reason(text: "\(Limits.forbiddenCount) questions are forbidden: allow some again"))
      }
      _ = takeSuggestion(key)
      return .success([ruled(rule, retired: memory.view.isPromoted(key) ? [key] : [])])
    case .allow: return .success([ruled(rule)])
    case .revert(_, let promoted): return .success(revert(to: promoted, rule))
    }
  }

  private mutating func takeSuggestion(_ key: QuestionKey) -> QuestionChange? {
    memory.suggestions.firstIndex { $0.promoted == key }.map { memory.suggestions.remove(at: $0) }
  }

  private mutating func promote(_ key: QuestionKey, sample: String?, _ rule: QuestionRule) -> Result<
    QuestionChange, Reason
  > {
    guard agents.contains(key.answerer) else {
      return .failure(Reason(text: "there is no agent '\(key.answerer)'"))
    }
    guard !memory.view.forbidden.contains(key) else {
      return .failure(Reason(text: "the question \(key) is forbidden: allow it first"))
    }
    let item = memory.items.first { $0.key == key } ?? Item(key: key, step: 0, report: 0)
    let displaced =
      memory.view.isPromoted(key) ? [] : displaced(for: item, memory.view, isOrdered: true) ?? []
    var change = ruled(rule, retired: displaced)
    (change.promoted, change.sample) = (key, sample ?? item.sample)
    change.evidence = evidence(item, threshold: 0)
    spend(key)
    return .success(change)
  }

  /// What is forbidden stays so, and what has no room is left out.
  private mutating func revert(to wanted: [QuestionKey], _ rule: QuestionRule) -> [QuestionChange] {
    let wanted = wanted.filter { agents.contains($0.answerer) && !memory.view.forbidden.contains($0) }
    let present = memory.view.promoted.map(\.key)
    var changes = [ruled(rule, retired: present.filter { !wanted.contains($0) })]
    var kept = present.filter(wanted.contains)
    for key in wanted.sorted() where !kept.contains(key) {
      guard kept.count < Limits.count,
        kept.count(where: { $0.answerer == key.answerer }) < Limits.answererCount
      else { continue }
      kept.append(key)
      spend(key)
      var change = ruled(rule)
      (change.promoted, change.sample) = (key, memory.items.first { $0.key == key }?.sample)
      changes.append(change)
    }
    return changes
  }

  private mutating func ruled(_ rule: QuestionRule, retired: [QuestionKey] = []) -> QuestionChange {
    let item = retired.first.flatMap { key in memory.items.first { $0.key == key } }
    for key in retired { spend(key) }
    return QuestionChange(
      cause: .operated, rule: rule, promoted: nil, retired: retired,
      evidence: item.map { evidence($0, threshold: 0) }, sample: item?.sample)
  }

  private static func notSuggested(_ key: QuestionKey) -> Reason {
    Reason(text: "the question \(key) is not suggested: list the suggestions with 'hypha topology questions'")
  }
}
