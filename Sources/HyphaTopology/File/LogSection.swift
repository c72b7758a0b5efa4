import HyphaCore

/// The section `log` of a topology file, and what nodes say of their own logs.
extension TopologyDecoder {
  /// The keys that say how much a node keeps.
  static let retentionKeys = ["keep-newer-than", "keep-at-most", "keep-newest", "keep-handled"]

  mutating func decodeLog(_ member: Member?) -> LogSettings {
    var log = LogSettings()
    guard let member,
      let members = problems.members(
        of: member.value, in: "log", at: member.mark,
        keys: ["map-size", "inline-payload"] + Self.retentionKeys)
    else { return log }
    if let size = size(members["map-size"], in: ByteCountText.mapRange) { log.mapByteCount = size }
    if let size = size(members["inline-payload"], in: ByteCountText.inlinePayloadRange) {
      log.inlinePayloadByteCountMax = size
    }
    log.retention = decodeRetention(members)
    return log
  }

  mutating func decodeRetention(_ members: [String: Member]) -> RetentionSettings {
    RetentionSettings(
      ageMax: duration(members["keep-newer-than"], "keep-newer-than", in: RetentionSettings.ageRange),
      byteCountMax: size(members["keep-at-most"], in: RetentionSettings.byteCountRange),
      entryCountMax: count(members["keep-newest"], in: RetentionSettings.entryCountRange),
      keepsHandled: members["keep-handled"].flatMap {
        problems.truth(of: $0.value, in: "keep-handled")
      })
  }

  private mutating func count(_ member: Member?, in range: ClosedRange<UInt64>) -> UInt64? {
    guard let member else { return nil }
    let range = Int64(clamping: range.lowerBound)...Int64(clamping: range.upperBound)
    return problems.integer(of: member.value, in: member.name, from: range).map { UInt64($0) }
  }

  /// The size that a setting has; nil where it has none, or none of the range, which is reported.
  private mutating func size(_ setting: Member?, in range: ClosedRange<UInt64>) -> UInt64? {
    guard let setting, let text = problems.text(of: setting.value, in: setting.name) else { return nil }
    guard let byteCount = ByteCountText.parse(text) else {
      problems.report(
        setting.mark, "\(setting.name) \(quoted(text)) is not a size in whole bytes",
        remedy: "write a number with a unit, such as 512MiB or 64GiB")
      return nil
    }
    guard range.contains(byteCount) else {
      let (low, high) = (ByteCountText.text(range.lowerBound), ByteCountText.text(range.upperBound))
      problems.report(
        setting.mark, "\(setting.name) \(quoted(text)) is out of range",
        remedy: "use a size from \(low) to \(high)")
      return nil
    }
    return byteCount
  }
}

extension RetentionSettings {
  /// What is said, as it stands in a topology file.
  var parts: [String] {
    var parts: [String] = []
    if let ageMax { parts.append("keep-newer-than: \(DurationText.text(ageMax))") }
    if let byteCountMax { parts.append("keep-at-most: \(ByteCountText.text(byteCountMax))") }
    if let entryCountMax { parts.append("keep-newest: \(entryCountMax)") }
    if let keepsHandled { parts.append("keep-handled: \(keepsHandled)") }
    return parts
  }
}
