public import HyphaCore

/// A consumer of one channel.
public struct CursorKey: Hashable, Sendable {
  /// The consuming agent.
  public let agent: AgentID
  /// The channel that it consumes.
  public let channel: Channel

  /// A consumer by its parts.
  public init(agent: AgentID, channel: Channel) {
    self.agent = agent
    self.channel = channel
  }
}

/// How far a consumer has come in its node's log.
public struct Cursor: Hashable, Sendable {
  /// Everything for this consumer at or before this position is handled.
  public var position: Position
  /// How many events it has handled in all.
  public var handledCount: UInt64

  /// Before everything.
  public static let start = Cursor(position: .start, handledCount: 0)

  /// A cursor by its parts.
  public init(position: Position, handledCount: UInt64) {
    self.position = position
    self.handledCount = handledCount
  }
}

/// The ends of a log and of everything in it, as of one commit.
public struct LogHeads: Hashable, Sendable {
  /// The position of the newest entry.
  public var position: Position
  /// The newest event of every lane.
  public var lanes: [Lane: LaneHead]
  /// The newest events of every stream.
  public var streams: [StreamID: StreamHead]

  /// Heads by their parts.
  public init(position: Position, lanes: [Lane: LaneHead], streams: [StreamID: StreamHead]) {
    self.position = position
    self.lanes = lanes
    self.streams = streams
  }
}

/// The newest event of a lane in one log.
public struct LaneHead: Hashable, Sendable {
  /// The event's place in the lane.
  public var point: LanePoint
  /// Its place in the log.
  public var position: Position
  /// How many of the lane's events the log has.
  public var count: UInt64

  /// A head by its parts.
  public init(point: LanePoint, position: Position, count: UInt64) {
    self.point = point
    self.position = position
    self.count = count
  }
}

/// The newest events of a stream in one log. A node that only takes some of a stream's lanes has only
/// those events.
public struct StreamHead: Hashable, Sendable {
  /// The highest sequence.
  public var sequence: UInt64
  /// The newest entry of the stream.
  public var position: Position
  /// How many of the stream's events the log has.
  public var count: UInt64

  /// A head by its parts.
  public init(sequence: UInt64, position: Position, count: UInt64) {
    self.sequence = sequence
    self.position = position
    self.count = count
  }
}
