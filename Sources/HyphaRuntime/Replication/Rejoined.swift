public import HyphaCore
import HyphaLog
import HyphaTopology

/// A node has begun on a log that was empty, and its replicas were asked what they have of its agents. Stated under the node's own
/// name with the first activations, where they had something, or where somebody has said not to wait for them; agents on the node
/// that subscribe to it take it.
public struct Rejoined: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.Rejoined"

  /// What a replica said.
  public struct Answer: Codable, Sendable, Hashable {
    public var node: NodeID
    /// How many lanes of the node's agents it has.
    public var laneCount: Int
  }

  /// How far an agent's events were found in its newest epoch that is known.
  public struct Agent: Codable, Sendable, Hashable {
    public var agent: AgentID
    public var epoch: UInt64
    /// The last sequence found of it on each logged channel.
    public var found: [String: UInt64]
  }

  /// Two histories of a lane: what this node has now, and what a replica says.
  public struct Fork: Codable, Sendable, Hashable {
    public var lane: String
    public var kept, other: String
    public var event: EventID
  }

  public var node: NodeID
  public var asked: [NodeID]
  public var answered: [Answer]
  /// How many of them were to have an event before it left the node; 0 where none was waited for.
  public var level: Int
  /// Whether so many have answered that all is found that was on ``level`` of them.
  public var isProven: Bool
  /// Whether somebody has said to begin without waiting for them: the authority is theirs.
  public var isWaived: Bool
  /// How many events were taken from them: the log's positions from 1 on.
  public var takenCount: UInt64
  public var laneCount: Int
  public var agents: [Agent]
  /// At most ``RejoinMachine/forkCountMax``.
  public var forks: [Fork]
  /// What no replica keeps.
  public var lost: [String]

  public var subject: Subject { Subject(slug: "hypha.node.\(node)") }

  /// What no replica keeps, in words.
  static let notKept = [
    "pending retries", "what handlers have done on too few replicas",
    "what the node stated under its own name",
  ]
}

/// What a log keeps of the node's return from its replicas.
struct RejoinRecord: Codable, Sendable {
  /// Whether all was taken that there is: before, a start goes on where the last one has ended.
  var isDone = false
  /// The highest epoch that anybody has heard of.
  var epoch: UInt64 = 0
  /// What is stated with the first activations; nil once it is.
  var event: Rejoined?
  /// Who has said not to wait.
  var principal: AgentID?
  /// What was taken lies up to here in the log.
  var through: UInt64 = 0

  static let owner: AgentID = "hypha.rejoin"

  static func read(in log: any LogReader) throws -> RejoinRecord? {
    try log.snapshot(of: owner).flatMap { try? JSON.decode(RejoinRecord.self, from: $0) }
  }

  var bytes: [UInt8] { get throws { Array(try JSON.encode(self)) } }
}

/// The inputs that a node's agents are known to have handled before its disk was lost: those that have caused a persistent event of
/// theirs that a replica had, or an answer to an alert, and those that ``InputsHandled`` names. An agent is not given them again.
///
/// 16 bytes for each.
struct HandledBefore: Sendable {
  private(set) var inputs: [AgentID: Set<EventID>] = [:]

  /// What a log says. Nothing where the node has never come back from its replicas, nor has any agent that was moved to it.
  ///
  /// - Parameter arrived: what agents had that were moved here.
  /// - Complexity: reads what came from the replicas, and what such an agent had stated before it came.
  init(in log: any LogReader, arrived: [AgentID: Handover]) throws {
    if let record = try RejoinRecord.read(in: log), record.isDone, record.through > 0 {
      var kept = KeptAgents.Reading()
      try log.visit(Position(rawValue: 1)...Position(rawValue: record.through), .forward) { view in
        let record = try Record(view.record)
        take(record)
        try kept.take(record)
        return true
      }
      add(kept)
    }
    for (agent, handover) in arrived where handover.hasReturned == true {
      var kept = KeptAgents.Reading()
      for lane in try log.laneHeads().keys where lane.agent == agent {
        for position in try log.positions(ofLane: lane, after: .start) {
          guard let record = try log.entry(at: position)?.record, record.epoch <= handover.epoch else {
            break
          }
          take(record)
          try kept.take(record)
        }
      }
      add(kept)
    }
  }

  private mutating func add(_ kept: KeptAgents.Reading) {
    for (agent, ids) in KeptAgents(kept).inputs { inputs[agent, default: []].formUnion(ids) }
  }

  private mutating func take(_ record: Record) {
    let header = record.header
    guard header.causation != .none else { return }
    switch header.channel {
    // A failure that is followed by another attempt settles nothing.
    case .persistent where header.type == HandlerFailed.eventType:
      guard (try? HandlerFailed.decode(record))?.retryAfterMicroseconds == nil else { return }
    case .persistent: break
    case .alert where header.type == AlertAcknowledged.eventType: break
    // Alerts leave before what their handler has done is committed.
    default: return
    }
    inputs[header.agent, default: []].insert(header.causation)
  }
}
