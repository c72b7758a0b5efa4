public import HyphaCore
public import HyphaLog

/// Why an event came to be, and what came of it: the chain of its causes and the tree of its effects, across agents,
/// nodes and channels.
public struct CausalTrace: Sendable {
  /// One log's entry of an event.
  public struct Copy: Hashable, Sendable {
    /// The node whose log has it.
    public let node: NodeID
    /// The place there.
    public let position: Position
    /// When the log took it.
    public let appendedAt: Timestamp
    /// How it came there.
    public let source: EntrySource
    /// Whether the log took it with the past of an agent that was moved there, or from an import: then the time at which it did
    /// says nothing of how long the event was on its way.
    public let isOfPast: Bool
  }

  /// One event.
  public struct Step: Sendable {
    /// The event.
    public let record: Record
    /// Where it stands, that of its origin first, then in the order of coming.
    public let copies: [Copy]
    /// How many steps it is from the first cause.
    public let depth: Int
    /// The place of its cause among the steps; nil for the first.
    public let parent: Int?
    /// Where the time since its cause has gone; nil for the first.
    public let delays: Delays?
  }

  /// Where the time from a cause to its effect has gone. On one node's clock alone a part is exact; between nodes it is as
  /// exact as their clocks agree, and never negative.
  public struct Delays: Hashable, Sendable {
    /// From the cause's statement until the log of the effect's node had it.
    public let travel: Duration
    /// From then on until the effect was stated: waiting for a turn, and the handler.
    public let handling: Duration
    /// From the cause's statement to the effect's.
    public let total: Duration
    /// The edges of the tree that the cause crossed.
    public let hopCount: Int
  }

  /// The events, each behind its cause: the causes of the event asked for, that event, and its effects, depth first.
  public let steps: [Step]
  /// The place of the event that was asked for.
  public let focus: Int
  /// Whether nothing was left out because of the limit.
  public let isComplete: Bool
  /// The cause of the first step, where it stands in none of the logs.
  public let missingCause: EventID?
  /// Where that may have been, in words, where logs have gaps; nil where none can have had it.
  public let missingCauseLoss: String?
}

extension CausalTrace {
  /// The steps from the first cause to the event that was stated last: what determined how long it all took.
  public var longestPath: [Int] {
    guard var index = steps.indices.max(by: { steps[$0].record.header.time < steps[$1].record.header.time })
    else { return [] }
    var path = [index]
    while let parent = steps[index].parent {
      path.append(parent)
      index = parent
    }
    return path.reversed()
  }

  /// The step of the longest path whose cause took longest to bring it about.
  public var slowest: Int? {
    longestPath.filter { steps[$0].delays != nil }
      .max { steps[$0].delays?.total ?? .zero < steps[$1].delays?.total ?? .zero }
  }
}

extension CausalTrace.Step {
  /// From the statement until the origin's log had it; nil where that log is not among those asked.
  public var commit: Duration? {
    guard let origin = copies.first, origin.source == .stated else { return nil }
    return max(.zero, origin.appendedAt.since(record.header.time))
  }

  /// When the last of the logs had it to which it was on its way then; when it was stated where there is none.
  public var lastAppendedAt: Timestamp {
    copies.filter { !$0.isOfPast }.map(\.appendedAt).max() ?? record.header.time
  }
}
