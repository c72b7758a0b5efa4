import HyphaCore

/// Finds audiences that recur: the same agents, told the same by one agent again and again, each by itself. Pure.
///
/// One is found where it was told ``beginTimes`` times lately, and found no more once ``quietReportCount`` reports in a row of its
/// author's node have not named it. Of each author the first that is found stands.
struct AudienceWatch: Sendable, Codable {
  private struct Seen: Sendable, Codable {
    var audience: QuestionsReported.Audience
    var node: NodeID
    var times: Int
    var quietCount = 0
  }

  static let beginTimes = 32
  static let quietReportCount = 64
  /// The most audiences that are followed.
  static let countMax = 64

  private var seen: [Seen] = []

  /// Takes what a report of a node names; nothing, for a report of another sort.
  ///
  /// - Returns: what is found, with who is told.
  mutating func take(
    _ audiences: [QuestionsReported.Audience], from node: NodeID, knows: (AgentID) -> Bool
  ) -> [QuestionsReported.Audience] {
    var named: Set<QuestionsReported.Audience> = []
    for told in audiences.prefix(AudienceMeter.countMax) where told.times > 0 && knows(told.author) {
      guard AudienceMeter.memberCounts.contains(told.members.count), told.members.allSatisfy(knows) else {
        continue
      }
      var audience = told
      audience.times = 0
      named.insert(audience)
      if let place = seen.firstIndex(where: { $0.audience == audience && $0.node == node }) {
        seen[place].times = min(seen[place].times + min(told.times, Self.beginTimes), 2 * Self.beginTimes)
      } else if seen.count < Self.countMax {
        seen.append(Seen(audience: audience, node: node, times: min(told.times, Self.beginTimes)))
      }
    }
    for place in seen.indices where seen[place].node == node {
      seen[place].quietCount = named.contains(seen[place].audience) ? 0 : seen[place].quietCount + 1
    }
    seen.removeAll { $0.quietCount >= Self.quietReportCount }
    var found: [AgentID: QuestionsReported.Audience] = [:]
    for seen in seen where seen.times >= Self.beginTimes && found[seen.audience.author] == nil {
      var audience = seen.audience
      audience.times = seen.times
      found[audience.author] = audience
    }
    return found.values.sorted { $0.author < $1.author }
  }
}

extension Findings {
  /// Takes the audiences that a report of a node names; none, for a report of another sort.
  mutating func take(
    _ audiences: [QuestionsReported.Audience], from node: NodeID, knows: (AgentID) -> Bool
  ) {
    let found = self.audiences.take(audiences, from: node, knows: knows)
    let topics = Set(found.map { Finding.Topic(.audience, $0.author) })
    for topic in current.keys where topic.kind == .audience && !topics.contains(topic) {
      current[topic] = nil
    }
    for audience in found {
      let topic = Finding.Topic(.audience, audience.author)
      guard current[topic] == nil else { continue }
      current[topic] = Finding(topic, .audience(type: audience.type, members: audience.members))
    }
  }
}
