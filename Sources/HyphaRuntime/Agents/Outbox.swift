import HyphaCore

/// Numbers what one agent publishes: its sequence in each stream and its back-pointer in each lane.
///
/// A plain value with one writer. It starts from the heads that the log has, in an epoch of its own.
struct Outbox: Sendable {
  let agent: AgentID
  let epoch: UInt64
  private let principal: Authority
  private var sequences: [Channel: UInt64] = [:]
  private var lanes: [Lane: LanePoint]

  init(agent: AgentID, epoch: UInt64, lanes: [Lane: LanePoint], policyVersion: UInt32) {
    self.agent = agent
    self.epoch = epoch
    self.lanes = lanes
    principal = Authority(principal: agent, grant: "topology", policyVersion: policyVersion)
  }

  /// Where the stream of a channel ends.
  func end(of channel: Channel) -> LanePoint {
    LanePoint(epoch: epoch, sequence: sequences[channel, default: 0])
  }

  /// Gives an event its place; the next one of its lane will point back to it.
  mutating func number(_ draft: Draft) -> RecordHeader {
    let sequence = sequences[draft.channel, default: 0] + 1
    sequences[draft.channel] = sequence
    let target: LaneTarget = draft.addressee.map(LaneTarget.addressee) ?? .type(draft.type)
    let lane = Lane(agent: agent, channel: draft.channel, target: target)
    let previous = lanes.updateValue(LanePoint(epoch: epoch, sequence: sequence), forKey: lane) ?? .start
    return RecordHeader(
      id: draft.id, time: draft.time, channel: draft.channel, agent: agent, epoch: epoch,
      sequence: sequence, previous: previous, addressee: draft.addressee, type: draft.type,
      schemaVersion: draft.schemaVersion, subject: draft.subject, contentType: draft.contentType,
      causation: draft.causation, correlation: draft.correlation,
      authority: draft.authority ?? principal)
  }
}

/// An event that was published and has no place in a stream yet.
struct Draft: Sendable {
  /// The value; nil where only its payload is at hand.
  var event: (any Event)?
  var addressee: AgentID?
  var id: EventID
  var time: Timestamp
  var channel: Channel
  var type: EventTypeName
  var schemaVersion: UInt16
  var subject: Subject
  var contentType: ContentType
  var causation: EventID
  var correlation: EventID
  var timeToLive: Duration?
  /// How soon an alert is to be answered; nil means the deployment's deadline.
  var within: Duration?
  /// On whose authority, where that is not the agent's own.
  var authority: Authority?
  /// The encoded payload; empty where nobody needs it encoded.
  var payload: [UInt8]
}
