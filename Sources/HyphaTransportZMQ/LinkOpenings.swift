internal import HyphaCore
internal import HyphaTransport

/// Which links of one channel are open, by the subscriptions that the channel's XPUB socket was told of.
///
/// A pure state machine. An XPUB does not say who subscribes, but an agent is on one node, so its prefix
/// names the neighbour. With `ZMQ_XPUB_VERBOSER` each peer's subscription is told, and its end when the peer is lost. A
/// subscription may come before its link is needed: a neighbour may have changed its plan first.
struct LinkOpenings {
  /// The node that each prefix is for.
  private let takers: [[UInt8]: NodeID]
  private var needed: Set<[UInt8]>
  private var present: [[UInt8]: Int] = [:]
  private var absent: Set<[UInt8]>

  init(_ plan: LinkPlan) {
    takers = plan.takers
    needed = Self.needed(plan)
    absent = needed
  }

  private static func needed(_ plan: LinkPlan) -> Set<[UInt8]> {
    Set(plan.outgoing.values.joined().map { Frame.topicPrefix(via: $0) })
  }

  /// The agents whose frames nobody takes.
  var missing: Set<AgentID> {
    Set(absent.map { AgentID(unchecked: String(decoding: $0.dropLast(), as: UTF8.self)) })
  }

  /// Whether `node` may subscribe to `prefix`.
  func allow(_ prefix: [UInt8], for node: NodeID) -> Bool { takers[prefix] == node }

  /// Takes another plan.
  mutating func change(to plan: LinkPlan) {
    needed = Self.needed(plan)
    absent = needed.filter { present[$0] == nil }
  }

  /// Takes a message of an XPUB: 1 or 0, then the prefix. Anything else is ignored. Returns whether a link has opened or
  /// closed.
  mutating func receive(_ message: [UInt8]) -> Bool {
    guard let kind = message.first, kind <= 1, message.count <= 1 + AgentID.byteCountMax + 1 else {
      return false
    }
    let prefix = Array(message.dropFirst())
    // What no agent of the plan has is not counted: others choose it, and there is no end of it.
    guard takers[prefix] != nil else { return false }
    let count = kind == 1 ? present[prefix, default: 0] + 1 : max(present[prefix, default: 0] - 1, 0)
    present[prefix] = count > 0 ? count : nil
    guard needed.contains(prefix) else { return false }
    return count > 0 ? absent.remove(prefix) != nil : absent.insert(prefix).inserted
  }
}
