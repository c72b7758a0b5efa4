import HyphaCore
import HyphaRuntime
import HyphaTopology

/// Changes of the topology in words.
enum ChangeText {
  /// Weights are in 1/65,536 hop.
  static func hops(_ weight: Int64) -> String { Human.decimal(Double(weight) / 65_536, digits: 1) }

  /// Why a change was made, with its evidence.
  static func reason(_ change: LinkChange) -> String {
    switch change.cause {
    case .earned:
      let displaced =
        change.retired.isEmpty
        ? "" : "; it took the place of \(change.retired.map { "\($0.link)" }.joined(separator: " and "))"
      return
        "the traffic had earned it: \(hops(change.credit)) hops, where \(hops(change.threshold)) are enough"
        + displaced
    case .idle: return "it had saved nothing for long"
    case .operated: return "an operator asked for it"
    }
  }

  /// Why a term of the observer's seat has begun.
  static func reason(_ begun: SeatBegun) -> String {
    if begun.standing == SeatBegun.handedOver { return "the other node of the seat has handed it over" }
    let seconds = Human.decimal(Double(begun.silentMicroseconds) / 1_000_000, digits: 1)
    return "the other node of the seat was \(begun.standing), silent for \(seconds) s"
  }

  /// That a node has given the observer's seat up.
  static func text(_ event: SeatSuperseded) -> String {
    let lost =
      event.statedThrough > event.keptThrough
      ? ": its versions after \(SeatTerm.text(event.keptThrough)) up to \(SeatTerm.text(event.statedThrough)) count no more"
      : ""
    return "node '\(event.node)' decides nothing more since it has heard of node '\(event.holder)'\(lost)"
  }

  /// An operator's rule.
  static func rule(_ rule: LinkRule) -> String {
    switch rule {
    case .pin(let link): "pin \(link)"
    case .unpin(let link): "unpin \(link)"
    case .forbid(let link): "forbid \(link)"
    case .allow(let link): "allow \(link)"
    case .retire(let link): "retire \(link)"
    case .approve(let link): "approve \(link)"
    case .reject(let link): "reject \(link)"
    case .freeze: "freeze"
    case .handOver: "hand the seat over"
    case .thaw: "thaw"
    case .revert(let version, _): "revert to version \(SeatTerm.text(version))"
    }
  }

  /// Why a link is there, or is not, in whole sentences.
  static func explain(_ link: DirectLink, _ reading: TopologyReading, _ topology: Topology) throws -> [String]
  {
    var lines: [String] = []
    let changes = reading.entries.compactMap { entry -> (TopologyReading.Entry, UInt32, LinkChange)? in
      guard case .changed(let event) = entry.content,
        let change = event.changes.last(where: { change in
          change.promoted?.link == link || change.retired.contains { $0.link == link }
        })
      else { return nil }
      return (entry, event.version, change)
    }
    if let present = reading.live.links[link] {
      let since = present.since == .zero ? "from the start" : "since \(present.since.text)"
      lines.append(
        "\(link.one) and \(link.other) are linked \(since) (version \(SeatTerm.text(present.version)))"
          + (present.isPinned ? ", pinned." : "."))
    } else {
      lines.append("\(link.one) and \(link.other) are not linked.")
    }
    if let (_, _, change) = changes.last {
      let what = change.promoted?.link == link ? "It was made because" : "It went because"
      let reason =
        change.promoted?.link != link && change.cause == .earned
        ? "\(change.promoted.map { "\($0.link)" } ?? "another link") took its place" : reason(change)
      lines.append("\(what) \(reason).")
      lines.append(
        "The ledger, hops saved less charges, went from \(Human.count(change.ledgerBefore)) to "
          + "\(Human.count(change.ledgerAfter)).")
    }
    if changes.count > 1 {
      lines.append(
        "It has come or gone \(changes.count) times: \(changes.map { "version \(SeatTerm.text($0.1))" }.joined(separator: ", "))."
      )
    }
    lines += AttachmentText.explain(link, reading.live, topology)
    for found in reading.findings.values.sorted(by: { $0.finding.topic < $1.finding.topic }) {
      let topic = found.finding.topic
      let isPair = topic.other.map { $0 != topic.agent && DirectLink(topic.agent, $0) == link } ?? false
      let isEnd = topic.kind == .bottleneck && [link.one, link.other].contains(topic.agent)
      guard isPair || isEnd else { continue }
      lines.append("Since \(found.since.text): \(FindingText.text(found.finding)).")
    }
    for entry in reading.entries {
      if case .changed(let event) = entry.content, let begun = event.begun {
        lines.append("Node '\(begun.node)' decides since \(entry.time.text): \(reason(begun)).")
      }
    }
    if let seat = reading.seat {
      lines += try evidence(seat.evidence(link), seat, topology)
    } else if let node = topology.observer.node {
      lines.append("What the observer knows of it stands in the log of its seat, node '\(node)'.")
    } else {
      lines.append("Nobody observes this deployment: its topology file gives the observer no seat.")
    }
    return lines
  }

  private static func evidence(_ evidence: LinkEvidence, _ seat: ObserverSeat, _ topology: Topology)
    -> [String]
  {
    var lines = [
      "The tree has \(evidence.distance) edges between them. The link \(evidence.isLinked ? "saves" : "would have saved") "
        + "\(Human.count(evidence.total)) hops in all; faded, \(hops(evidence.score)) hops."
    ]
    for end in evidence.ends where end.linkCountMax > 0 {
      lines.append(
        "\(seat.name(end.agent)) has \(end.linkCount) of at most \(end.linkCountMax) links.")
    }
    guard !evidence.isLinked else { return lines }
    lines.append(
      obstacle(evidence, seat).map { "It is not made because \($0)." }
        ?? "The next event between them makes it.")
    return lines
  }

  /// What stands in the way of a link that is not there; nil where nothing does.
  static func obstacle(_ evidence: LinkEvidence, _ seat: ObserverSeat) -> String? {
    switch evidence.obstacle {
    case .neighbours: "they are neighbours in the tree"
    case .gate(let gate): "\(seat.name(gate)) stands between them and must be passed"
    case .tooFar: "more than 16 edges lie between them"
    case .forbidden: "it is forbidden"
    case .kind: "the policy makes no links of the kind \(evidence.kind.name)"
    case .off: "the observer is off"
    case .frozen: "operators have frozen the topology"
    case .unseen: "no event has gone between them lately"
    case .evidence:
      "its evidence since it last came or went, \(hops(evidence.credit)) hops, is below the threshold of "
        + "\(hops(evidence.threshold))"
    case .pinned(let agent): "all links of \(seat.name(agent)) are pinned"
    case .displaces(let score):
      "it would displace links that have saved \(hops(score)) hops, and has not shown itself worth more"
    case .ledger:
      "changes cost \(seat.observer.policy.charge) hops each, and the ledger, at \(Human.count(evidence.ledger)), "
        + "may not fall below \(Human.count(evidence.ledgerMin))"
    case .none: seat.observer.policy.mode == .suggest ? "no operator has approved it" : nil
    }
  }
}
