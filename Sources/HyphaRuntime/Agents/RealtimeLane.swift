import HyphaCore
import HyphaTopology
import HyphaTransport
import Synchronization

/// What an agent keeps of a realtime lane that it publishes on: everything that is the same for all of its events.
///
/// `@unchecked Sendable`: it belongs to its agent's outbox, and is used under that one's lock.
final class RealtimeLane: @unchecked Sendable {
  struct Key: Hashable {
    let event: ObjectIdentifier
    let addressee: AgentID?
  }

  let key: Key
  let lane: Lane
  let type: EventTypeName
  /// The lane's slot in the outbox.
  let slot: Int
  let timeToLive: Duration
  let contentType: ContentType
  let schemaVersion: UInt16
  let plan: RouteTable.LanePlan
  /// Where events for agents of this node are handed to.
  let local: [LocalTarget]
  /// What events of the subject that was used last share.
  private var front: ValueFront?
  /// The version of the routes that it leaves by.
  let version: UInt32
  /// The greetings of other nodes that it is made by.
  let generation: UInt64
  let links: [OutboundRun.Link]
  /// Gets frames whose time to live was over before they left.
  let onEnd: @Sendable ([OutboundFrame]) -> Void
  let relays: [RelayCount]
  /// Counts what leaves for other nodes; nil where nothing does.
  let sent: SentLane?
  /// Counts what it carries for the observer; nil where nobody observes.
  let flow: FlowMeter.Counter?
  /// Encodes events of the subject that was used last.
  var template: RecordTemplate?
  /// The newest run, to which more is added as long as it waits.
  var run: OutboundRun?

  init<E: Event>(
    _ event: E.Type, _ key: Key, _ lane: Lane, type: EventTypeName, slot: Int, routes: RouteTable,
    local: [LocalTarget],
    sent: SentLane?, flow: FlowMeter.Counter?, relayCounts: ([AgentID]) -> [RelayCount],
    onEnd: @escaping @Sendable ([OutboundFrame]) -> Void
  ) {
    self.onEnd = onEnd
    self.key = key
    self.local = local
    self.sent = sent
    self.flow = flow
    self.lane = lane
    self.type = type
    self.slot = slot
    timeToLive = E.timeToLive
    contentType = E.contentType
    schemaVersion = E.schemaVersion
    plan = routes.plan(of: lane)
    generation = routes.peers.generation
    let (step, version) = routes.departure(of: lane)
    self.version = version
    relays = relayCounts(step.relays)
    // One run goes to all.
    let isPacked = step.forwards.allSatisfy { routes.peers.takesPacked($0.node) }
    links = step.forwards.map { forward in
      let front = FrameFront(
        via: forward.via, lane: lane, topologyVersion: version, hops: forward.hops, isPacked: isPacked)
      return OutboundRun.Link(node: forward.node, front: front)
    }
  }

  /// Whether it was made by the routes and greetings that are the newest.
  func isCurrent(_ routes: RouteTable) -> Bool {
    version == routes.sending && generation == routes.peers.generation
  }

  /// What events of a subject share; `check` is asked of another one than the last.
  func front(
    of subject: Subject, to addressee: AgentID?, _ outbox: borrowing Outbox, check: () throws -> Void
  ) rethrows -> ValueFront {
    if let front, front.subject == subject { return front }
    try check()
    let made = ValueFront(
      RecordHeader(
        id: .none, time: .zero, channel: .realtime, agent: lane.agent, epoch: outbox.epoch, sequence: 1,
        previous: .start, addressee: addressee, type: type, schemaVersion: schemaVersion, subject: subject,
        contentType: contentType, correlation: .none, authority: outbox.principal), timeToLive: timeToLive)
    front = made
    return made
  }
}

/// Counts the events that an agent of this node passes on for others.
final class RelayCount: Sendable {
  let value = Atomic<UInt64>(0)
}

/// An agent of this node that a lane leads to.
struct LocalTarget: Sendable {
  let agent: AgentID
  /// Nil for one that was moved here and has not begun.
  let mailbox: Mailbox?
  /// The edges of the tree between it and the author.
  let hops: UInt8
}
