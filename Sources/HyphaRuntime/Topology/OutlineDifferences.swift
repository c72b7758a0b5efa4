import HyphaCore
import HyphaTopology

extension DeploymentOutline {
  /// In what another outline differs from this one, as sentences about the other: what makes it another topology (``Topology/hash``)
  /// first, then kinds. Pure. Empty where neither has a word of it.
  func differences(from other: DeploymentOutline) -> [String] {
    var differences: [String] = []
    if version != other.version { differences.append("its version is \(other.version), and was \(version)") }
    let (old, new) = (Self.byID(agents), Self.byID(other.agents))
    let ids = Set(old.keys).union(new.keys).sorted()
    for id in ids where old[id] == nil { differences.append("agent '\(id)' is new") }
    for id in ids where new[id] == nil { differences.append("agent '\(id)' is gone") }
    let both = ids.compactMap { id in old[id].flatMap { old in new[id].map { (old, $0) } } }
    for (old, new) in both where old.node != new.node {
      differences.append("agent '\(old.id)' is on node '\(new.node)', and was on '\(old.node)'")
    }
    for (old, new) in both where old.reportsTo != new.reportsTo {
      differences.append(
        "agent '\(old.id)' reports to \(Self.name(new.reportsTo)), and did to \(Self.name(old.reportsTo))")
    }
    for (old, new) in both {
      differences += Self.changes(old.subscribes(as: new), new.subscribes(as: old)) {
        "agent '\(old.id)' \($1 ? "subscribes" : "does not subscribe") to \($0)\($1 ? ", and did not" : " any more")"
      }
    }
    differences += Self.changes(pins, other.pins) {
      "the link of '\($0.one)' and '\($0.other)' is \($1 ? "pinned, and was not" : "not pinned any more")"
    }
    differences += Self.changes(gates, other.gates) {
      "links \($1 ? "may not lead around '\($0)', and might" : "may lead around '\($0)', and might not")"
    }
    differences += Self.changes(Self.routing(oversight), Self.routing(other.oversight)) {
      "'\($0.by)' \($1 ? "oversees" : "does not oversee") \($0.type) '\($0.mode.rawValue)'"
        + ($1 ? ", and did not" : " any more")
    }
    for node in Set((replicas ?? [:]).keys).union((other.replicas ?? [:]).keys).sorted()
    where replicas != nil && other.replicas != nil {
      differences += Self.changes(replicas?[node] ?? [], other.replicas?[node] ?? []) {
        "node '\($0)' is \($1 ? "a replica of '\(node)', and was not" : "not a replica of '\(node)' any more")"
      }
    }
    if seats != other.seats {
      differences.append("the observer's seat has \(Self.seat(other.seats)), and had \(Self.seat(seats))")
    }
    for (old, new) in both where old.kind != new.kind {
      differences.append("agent '\(old.id)' is of kind '\(new.kind)', and was of '\(old.kind)'")
    }
    return differences
  }

  private static func byID(_ agents: [Agent]) -> [AgentID: Agent] {
    Dictionary(agents.map { ($0.id, $0) }) { $1 }
  }

  /// How often a supervisor gets its digests makes no other topology.
  private static func routing(_ rules: [OversightRule]?) -> [OversightRule]? {
    rules?.map { OversightRule($0.type, by: $0.by, $0.mode) }
  }

  private static func seat(_ seats: [NodeID]?) -> String {
    guard let seats, seats.count == 2 else { return "no standby" }
    return "node '\(seats[0])' and the standby '\(seats[1])'"
  }

  private static func name(_ supervisor: AgentID?) -> String { supervisor.map { "'\($0)'" } ?? "nobody" }

  /// What is new, and what is gone, in the order in which it stands there; nothing where one side does not know.
  private static func changes<Item: Hashable>(
    _ old: [Item]?, _ new: [Item]?, _ text: (Item, _ isNew: Bool) -> String
  ) -> [String] {
    guard let old, let new else { return [] }
    let (was, isNow) = (Set(old), Set(new))
    return new.filter { !was.contains($0) }.map { text($0, true) }
      + old.filter { !isNow.contains($0) }.map { text($0, false) }
  }
}

extension DeploymentOutline.Agent {
  /// What it subscribes to, in as many words as both outlines have.
  fileprivate func subscribes(as other: Self) -> [String] {
    guard let subscriptions, other.subscriptions != nil else { return takes.map(\.text) }
    return subscriptions.map { $0.hasSuffix(" >") ? String($0.dropLast(2)) : $0 }
  }
}
