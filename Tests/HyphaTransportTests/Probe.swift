import Foundation
import HyphaCore
import HyphaTransport

/// A receiver that keeps what it was told, and lets a test wait for it.
///
/// `@unchecked` because a lock of Foundation's guards everything here, for the sake of its condition.
final class Probe: TransportReceiver, @unchecked Sendable {
  /// What came so far.
  struct Seen {
    var frames: [InboundFrame] = []
    var requests: [PeerMessage] = []
    var answers: [PeerMessage] = []
    /// The channels whose links have opened, again where they had closed meanwhile.
    var opened: [Channel] = []
    var links: [Channel: Links] = [:]
    var refusals: [String] = []

    /// What a probe was last told of a channel's links.
    struct Links: Equatable {
      var plan: UInt32
      var missing: Set<AgentID>
    }

    /// The texts of the frames that came from `node` over `channel`.
    func texts(from node: NodeID, _ channel: Channel) -> [String] {
      frames.filter { $0.from == node && $0.channel == channel }.map { text(of: $0.bytes) }
    }

    var count: Int { frames.count + requests.count + answers.count }
  }

  /// Called with each batch of frames, on the transport's thread.
  let onFrames: (@Sendable ([InboundFrame]) -> Void)?
  /// Called with each request, on the transport's thread.
  let onRequest: (@Sendable (PeerMessage) -> Void)?
  private let condition = NSCondition()
  private var locked = Seen()

  init(
    onFrames: (@Sendable ([InboundFrame]) -> Void)? = nil, onRequest: (@Sendable (PeerMessage) -> Void)? = nil
  ) {
    self.onFrames = onFrames
    self.onRequest = onRequest
  }

  var seen: Seen { condition.withLock { locked } }

  func received(_ frames: [InboundFrame]) {
    change { $0.frames += frames }
    onFrames?(frames)
  }

  func received(requests: [PeerMessage]) {
    change { $0.requests += requests }
    if let onRequest { requests.forEach(onRequest) }
  }

  func received(answers: [PeerMessage]) { change { $0.answers += answers } }
  func refused(_ reason: String) { change { $0.refusals.append(reason) } }
  func linksChanged(_ channel: Channel, plan: UInt32, missing: Set<AgentID>) {
    change { seen in
      seen.links[channel] = Seen.Links(plan: plan, missing: missing)
      if missing.isEmpty { seen.opened.append(channel) }
    }
  }

  /// Waits until `isReached` holds. Returns false when that takes longer than ten seconds.
  func wait(until isReached: (Seen) -> Bool) -> Bool {
    let deadline = Date(timeIntervalSinceNow: 10)
    return condition.withLock {
      while !isReached(locked) {
        guard condition.wait(until: deadline) else { return isReached(locked) }
      }
      return true
    }
  }

  private func change(_ body: (inout Seen) -> Void) {
    condition.withLock {
      body(&locked)
      condition.broadcast()
    }
  }
}

/// Waits until `isReached` holds, for what nobody tells a probe. Returns false after ten seconds.
func waitUntil(_ isReached: () -> Bool) -> Bool {
  let clock = ContinuousClock()
  let deadline = clock.now + .seconds(120)
  while !isReached() {
    guard clock.now < deadline else { return false }
    sched_yield()
  }
  return true
}

/// A frame's bytes as far as a transport looks at them: the topic, a zero, then anything.
func frameBytes(via agent: AgentID, _ text: String) -> [UInt8] {
  Frame.topicPrefix(via: agent) + Array("origin/#t\0\(text)".utf8)
}

func text(of bytes: [UInt8]) -> String {
  String(decoding: bytes.drop { $0 != 0 }.dropFirst(), as: UTF8.self)
}
