import HyphaCore

/// The section `supervision` of a topology file, and of an agent in it.
extension TopologyDecoder {
  static let supervisionKeys = [
    "attempts", "initial", "factor", "cap", "jitter", "handler-deadline", "strategy", "restarts",
    "restart-window",
  ]

  /// The settings that a section says; what it leaves out is as in `base`.
  mutating func decodeSupervision(_ member: Member?, of owner: String, base: SupervisionSettings)
    -> SupervisionSettings
  {
    var settings = base
    guard let member,
      let parts = problems.members(
        of: member.value, in: owner, at: member.mark, keys: Self.supervisionKeys)
    else { return settings }
    func count(_ key: String, _ range: ClosedRange<Int>, _ set: (Int) -> Void) {
      guard let part = parts[key] else { return }
      let bounds = Int64(range.lowerBound)...Int64(range.upperBound)
      if let value = problems.integer(of: part.value, in: "\(key) of \(owner)", from: bounds) {
        set(Int(value))
      }
    }
    count("attempts", RetryPolicy.attemptCounts) { settings.retry.attemptCountMax = $0 }
    count("factor", RetryPolicy.factors) { settings.retry.factor = $0 }
    count("jitter", 0...100) { settings.retry.jitterPercent = $0 }
    count("restarts", 0...1000) { settings.restartCountMax = $0 }
    if let wait = duration(parts["initial"], "initial") { settings.retry.initial = wait }
    if let wait = duration(parts["cap"], "cap") { settings.retry.cap = wait }
    if let wait = duration(parts["handler-deadline"], "handler-deadline") { settings.handlerDeadline = wait }
    if let wait = duration(parts["restart-window"], "restart-window") { settings.restartWindow = wait }
    if let part = parts["strategy"], let strategy = strategy(part, of: owner) { settings.strategy = strategy }
    return settings
  }

  private mutating func strategy(_ member: Member, of owner: String) -> SupervisionSettings.Strategy? {
    guard let text = problems.text(of: member.value, in: "strategy of \(owner)") else { return nil }
    let names = SupervisionSettings.Strategy.allCases.map(\.rawValue)
    guard let strategy = SupervisionSettings.Strategy(rawValue: text) else {
      problems.report(
        member.mark, "strategy of \(owner) must be one of \(listed(names)), not \(quoted(text))",
        remedy: problems.remedy(nearestTo: text, among: names, otherwise: "write 'strategy: resume'"))
      return nil
    }
    return strategy
  }
}

extension SupervisionSettings {
  /// What differs from `base`, as the lines of a section say it.
  func parts(beside base: SupervisionSettings) -> [String] {
    var parts: [String] = []
    func add<Value: Equatable>(
      _ key: String, _ path: KeyPath<SupervisionSettings, Value>, _ text: (Value) -> String
    ) {
      if self[keyPath: path] != base[keyPath: path] { parts.append("\(key): \(text(self[keyPath: path]))") }
    }
    add("attempts", \.retry.attemptCountMax) { "\($0)" }
    add("initial", \.retry.initial, DurationText.text)
    add("factor", \.retry.factor) { "\($0)" }
    add("cap", \.retry.cap, DurationText.text)
    add("jitter", \.retry.jitterPercent) { "\($0)" }
    add("handler-deadline", \.handlerDeadline, DurationText.text)
    add("strategy", \.strategy, \.rawValue)
    add("restarts", \.restartCountMax) { "\($0)" }
    add("restart-window", \.restartWindow, DurationText.text)
    return parts
  }
}
