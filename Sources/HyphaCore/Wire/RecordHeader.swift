/// Everything about an event except its payload.
public struct RecordHeader: Hashable, Sendable {
  /// The event's id.
  public var id: EventID
  /// When the event was stated, on the origin's hybrid clock.
  public var time: Timestamp
  /// The urgency class.
  public var channel: Channel
  /// The agent that stated it.
  public var agent: AgentID
  /// The number of that agent's activation.
  public var epoch: UInt64
  /// The place in the stream (agent, epoch, channel), from 1.
  public var sequence: UInt64
  /// The place of the event before it in its lane; ``LanePoint/start`` for the first.
  public var previous: LanePoint
  /// The one agent that it is for, or nil where it is published to the type's subscribers.
  public var addressee: AgentID?
  /// The event type's stable name.
  public var type: EventTypeName
  /// The version of the payload's shape.
  public var schemaVersion: UInt16
  /// What it is about.
  public var subject: Subject
  /// How the payload is to be read.
  public var contentType: ContentType
  /// The event that was being handled when this one was stated, or ``EventID/none``.
  public var causation: EventID
  /// The event that began the conversation; its own id where it began one itself.
  public var correlation: EventID
  /// On whose authority.
  public var authority: Authority

  /// A header of all its parts.
  public init(
    id: EventID, time: Timestamp, channel: Channel, agent: AgentID, epoch: UInt64, sequence: UInt64,
    previous: LanePoint, addressee: AgentID?, type: EventTypeName, schemaVersion: UInt16 = 1,
    subject: Subject, contentType: ContentType = .json, causation: EventID = .none, correlation: EventID,
    authority: Authority
  ) {
    self.id = id
    self.time = time
    self.channel = channel
    self.agent = agent
    self.epoch = epoch
    self.sequence = sequence
    self.previous = previous
    self.addressee = addressee
    self.type = type
    self.schemaVersion = schemaVersion
    self.subject = subject
    self.contentType = contentType
    self.causation = causation
    self.correlation = correlation
    self.authority = authority
  }

  /// The stream that the event stands in.
  public var stream: StreamID { StreamID(agent: agent, epoch: epoch, channel: channel) }

  /// The lane that the event travels in.
  public var lane: Lane {
    Lane(agent: agent, channel: channel, target: addressee.map(LaneTarget.addressee) ?? .type(type))
  }

  /// The event's place in its lane.
  public var point: LanePoint { LanePoint(epoch: epoch, sequence: sequence) }
}
