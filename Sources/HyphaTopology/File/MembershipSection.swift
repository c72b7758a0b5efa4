import HyphaCore

/// The section `membership` of a topology file.
extension TopologyDecoder {
  mutating func decodeMembership(_ member: Member?) -> MembershipSettings {
    var settings = MembershipSettings()
    let keys = ["heartbeat", "suspect-level", "suspect-pause", "suspect-after", "down-after"]
    guard let member,
      let members = problems.members(of: member.value, in: "membership", at: member.mark, keys: keys)
    else { return settings }
    if let heartbeat = duration(members["heartbeat"], "heartbeat", in: MembershipSettings.heartbeatRange) {
      settings.heartbeat = heartbeat
    }
    if let downAfter = duration(members["down-after"], "down-after", in: MembershipSettings.silenceRange) {
      settings.downAfter = downAfter
    }
    if let suspicion = suspicion(members) { settings.suspicion = suspicion }
    checkOrder(settings, members, at: member.mark)
    return settings
  }

  private mutating func suspicion(_ members: [String: Member]) -> MembershipSettings.Suspicion? {
    guard case .phi(var level, var pause) = MembershipSettings().suspicion else { return nil }
    if members["suspect-after"] != nil {
      if let other = members["suspect-level"] ?? members["suspect-pause"] {
        problems.report(
          other.keyMark, "membership has both suspect-after and \(other.name)",
          remedy: "keep suspect-after for a fixed silence, or remove it")
      }
      return duration(members["suspect-after"], "suspect-after", in: MembershipSettings.silenceRange).map {
        .fixed(after: $0)
      }
    }
    let range = MembershipSettings.Suspicion.levelRange
    if let member = members["suspect-level"],
      let number = problems.integer(
        of: member.value, in: "suspect-level", from: Int64(range.lowerBound)...Int64(range.upperBound))
    {
      level = Int(number)
    }
    pause =
      duration(
        members["suspect-pause"], "suspect-pause", in: .zero...MembershipSettings.silenceRange.upperBound)
      ?? pause
    return .phi(level: level, pause: pause)
  }

  /// A silence that means something must have room for some heartbeats.
  private mutating func checkOrder(
    _ settings: MembershipSettings, _ members: [String: Member], at mark: SourceMark
  ) {
    var least = settings.heartbeat * 3
    if case .fixed(let after) = settings.suspicion {
      if after < least {
        problems.report(
          members["suspect-after"]?.mark ?? mark,
          "suspect-after \(DurationText.text(after)) is less than three heartbeats of \(DurationText.text(settings.heartbeat))",
          remedy: "wait longer, or shorten the heartbeat")
      }
      least = max(least, after)
    }
    guard settings.downAfter < least else { return }
    problems.report(
      members["down-after"]?.mark ?? mark,
      "down-after \(DurationText.text(settings.downAfter)) is less than \(DurationText.text(least)), "
        + "when a node is suspected at the earliest",
      remedy: "wait longer, or shorten the heartbeat")
  }
}
