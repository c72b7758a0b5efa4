/// The events of one agent on one channel in one epoch, numbered from 1 without a gap.
public struct StreamID: Hashable, Sendable {
  /// The agent that writes the stream.
  public let agent: AgentID
  /// The number of the agent's activation.
  public let epoch: UInt64
  /// The urgency class.
  public let channel: Channel

  /// A stream by its three parts.
  public init(agent: AgentID, epoch: UInt64, channel: Channel) {
    self.agent = agent
    self.epoch = epoch
    self.channel = channel
  }
}

extension StreamID: CustomStringConvertible {
  /// `agent@epoch/channel`, as the CLI prints and accepts it.
  public var description: String { "\(agent)@\(epoch)/\(channel)" }
}

/// Whom a lane goes to: one addressee, or everyone who subscribes to a declared event type.
public enum LaneTarget: Hashable, Sendable, CustomStringConvertible {
  /// One agent.
  case addressee(AgentID)
  /// The subscribers of one event type.
  case type(EventTypeName)

  /// `@agent` or `#type`, as it stands in a wire topic.
  public var description: String {
    switch self {
    case .addressee(let agent): "@\(agent)"
    case .type(let name): "#\(name)"
    }
  }
}

/// What one agent sends to one target on one channel, through all of its epochs.
///
/// Subscriptions, wire topics and links take whole lanes, and a receiver checks that a lane is complete:
/// each event names the ``LanePoint`` of the one before it.
public struct Lane: Hashable, Sendable, CustomStringConvertible {
  /// The agent that the events come from.
  public let agent: AgentID
  /// The urgency class.
  public let channel: Channel
  /// Where the events go.
  public let target: LaneTarget

  /// A lane by its three parts.
  public init(agent: AgentID, channel: Channel, target: LaneTarget) {
    self.agent = agent
    self.channel = channel
    self.target = target
  }

  /// `agent/channel/@addressee` or `agent/channel/#type`.
  public var description: String { "\(agent)/\(channel)/\(target)" }
}

/// The place of an event in its agent's streams of one channel: the epoch first, then the sequence.
///
/// ``start`` lies before every event.
public struct LanePoint: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number of the agent's activation, from 1.
  public let epoch: UInt64
  /// The place in that epoch's stream, from 1.
  public let sequence: UInt64

  /// The point before the first event of any lane.
  public static let start = LanePoint(epoch: 0, sequence: 0)

  /// A point by its two parts.
  public init(epoch: UInt64, sequence: UInt64) {
    self.epoch = epoch
    self.sequence = sequence
  }

  public static func < (left: LanePoint, right: LanePoint) -> Bool {
    (left.epoch, left.sequence) < (right.epoch, right.sequence)
  }

  /// `epoch:sequence`.
  public var description: String { "\(epoch):\(sequence)" }
}
