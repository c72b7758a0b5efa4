import HyphaCore

/// The section `alerts` of a topology file.
extension TopologyDecoder {
  mutating func decodeAlerts(_ member: Member?) -> AlertSettings {
    var alerts = AlertSettings()
    guard let member,
      let members = problems.members(
        of: member.value, in: "alerts", at: member.mark, keys: ["deadline", "redelivery"])
    else { return alerts }
    if let deadline = duration(members["deadline"], "deadline") { alerts.deadline = deadline }
    if let redelivery = duration(members["redelivery"], "redelivery") { alerts.redelivery = redelivery }
    return alerts
  }

  /// The duration that a setting has; nil where it has none, or none of the range, which is reported.
  mutating func duration(
    _ member: Member?, _ name: String, in range: ClosedRange<Duration> = AlertSettings.range
  ) -> Duration? {
    member.flatMap { problems.duration($0, name, in: range) }
  }
}

extension DiagnosticCollector {
  /// A duration of a section; nil where it is none, or out of its range, which is reported.
  mutating func duration(_ member: Member, _ name: String, in range: ClosedRange<Duration>) -> Duration? {
    guard let text = text(of: member.value, in: name) else { return nil }
    guard let duration = DurationText.parse(text) else {
      report(
        member.mark, "\(name) \(quoted(text)) is not a duration",
        remedy: "write a whole number with a unit, such as 500ms, 30s, 5m or 1h")
      return nil
    }
    guard range.contains(duration) else {
      let (low, high) = (DurationText.text(range.lowerBound), DurationText.text(range.upperBound))
      report(
        member.mark, "\(name) \(quoted(text)) is out of range",
        remedy: "use a duration from \(low) to \(high)")
      return nil
    }
    return duration
  }
}

/// Durations as people write them in a file: `500ms`, `30s`, `5m`.
enum DurationText {
  private static let units: [(name: String, milliseconds: Int64)] = [
    ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
  ]

  /// The duration that `text` spells: a whole number and a unit; nil for anything else, and beyond 2⁶³ − 1 ms.
  static func parse(_ text: String) -> Duration? {
    let number = text.prefix { ("0"..."9").contains($0) }
    let unit = text.dropFirst(number.count).drop { $0 == " " }
    guard let factor = units.first(where: { $0.name == unit })?.milliseconds, let count = Int64(number) else {
      return nil
    }
    let (milliseconds, overflow) = count.multipliedReportingOverflow(by: factor)
    return overflow ? nil : .milliseconds(milliseconds)
  }

  /// The duration in the largest unit that divides it; parts of a millisecond are left out.
  static func text(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
    let unit = units.first { milliseconds != 0 && milliseconds.isMultiple(of: $0.milliseconds) }
    return "\(milliseconds / (unit?.milliseconds ?? 1))\(unit?.name ?? "ms")"
  }
}
