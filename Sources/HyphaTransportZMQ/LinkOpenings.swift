internal import HyphaCore

/// Which links of one channel are open, by the subscriptions that the channel's XPUB socket was told of.
///
/// A pure state machine. An XPUB does not say who subscribes, but an agent is on one node, so its prefix
/// names the neighbour; where several nodes take one agent's frames, that many subscriptions are awaited.
/// With `ZMQ_XPUB_VERBOSER` each peer's subscription is told, and its end when the peer is lost.
struct LinkOpenings {
  /// The longest subscription that any agent of a plan can have: an id and a slash.
  private static let prefixByteCountMax = AgentID.byteCountMax + 1

  private let needed: [[UInt8]: Int]
  private var present: [[UInt8]: Int] = [:]
  private var missingCount: Int

  init(outgoing: [NodeID: [AgentID]]) {
    var needed: [[UInt8]: Int] = [:]
    for agents in outgoing.values {
      for agent in Set(agents) { needed[Frame.topicPrefix(via: agent), default: 0] += 1 }
    }
    self.needed = needed
    missingCount = needed.count
  }

  /// Whether every neighbour takes what is sent.
  var isOpen: Bool { missingCount == 0 }

  /// Takes a message of an XPUB: 1 or 0, then the prefix. Anything else is ignored. Returns whether this
  /// was the subscription that opened the last link.
  mutating func receive(_ message: [UInt8]) -> Bool {
    guard let kind = message.first, kind <= 1, message.count <= 1 + Self.prefixByteCountMax else {
      return false
    }
    let prefix = Array(message.dropFirst())
    guard let needed = needed[prefix] else { return false }
    let before = present[prefix, default: 0]
    let after = kind == 1 ? before + 1 : max(before - 1, 0)
    present[prefix] = after
    if before < needed && after >= needed {
      missingCount -= 1
      return missingCount == 0
    }
    if before >= needed && after < needed { missingCount += 1 }
    return false
  }
}
