import HyphaCore
import HyphaTopology

/// Branches that report to others than the topology file says, in words.
enum AttachmentText {
  /// What a change says, and why, a pair for each branch.
  static func changes(_ change: AttachmentsChange?, _ topology: Topology) -> [(what: String, why: String)] {
    guard let change else { return [] }
    let attached = change.attached.map { attachment in
      ("the branch of \(attachment.supervisor) reports to \(attachment.to)", reason(attachment))
    }
    let returned = change.returned.map { supervisor in
      (
        "the branch of \(supervisor) reports to \(supervisor) again",
        change.turn.flatMap { $0.isGone ? "node '\($0.node)' is away, and nobody stands in for it" : nil }
          ?? topology.agent(supervisor).map { "node '\($0.node)' is back" } ?? "it is back"
      )
    }
    return attached + returned
  }

  static func reason(_ attachment: BranchAttachment) -> String { "node '\(attachment.node)' is away" }

  /// A branch as it is, in a sentence without its end.
  static func text(_ attached: LiveTopology.Attached) -> String {
    let attachment = attached.attachment
    return "the branch of \(attachment.supervisor) reports to \(attachment.to) since \(attached.since.text) "
      + "(version \(SeatTerm.text(attached.version))): \(reason(attachment))"
  }

  /// What attachments are to two agents, in whole sentences; empty where no branch between them is attached elsewhere.
  static func explain(_ link: DirectLink, _ live: LiveTopology, _ topology: Topology) -> [String] {
    let declared = Set(Routes(topology).agents(from: link.one, to: link.other))
    let between = live.attachments.filter { declared.contains($0.attachment.supervisor) }
    guard !between.isEmpty else { return [] }
    let way = live.routes(topology).agents(from: link.one, to: link.other).map(\.text)
    return between.map { text($0).capitalizedFirst + "." } + [
      "What they have for each other goes \(way.joined(separator: " – "))."
    ]
  }
}

extension String {
  fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
