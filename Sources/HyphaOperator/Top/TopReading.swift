import HyphaCore
import HyphaLog
import HyphaRuntime

/// What `hypha top` reads of a deployment at one moment: what each node that runs says of itself, and what its log says, which can
/// be read whether it runs or not.
struct TopReading: Sendable {
  /// What an agent has done over all runs of its node's log.
  struct AgentCounts: Sendable, Equatable {
    /// Events that it has stated, and that it is done with.
    var statedCount: UInt64 = 0
    var handledCount: UInt64 = 0
  }

  /// One node.
  struct NodeReading: Sendable {
    let node: NodeID
    /// Nil where it does not run.
    var status: NodeStatus?
    /// Why a node that is there has said nothing, if so.
    var problem: String?
    /// The newest position of its log.
    var head: UInt64
    var agents: [AgentID: AgentCounts]
  }

  /// When it was read, on any clock that goes on.
  var time: Duration
  var nodes: [NodeReading]

  /// Reads the deployment whose logs these are, all nodes at a time.
  static func read(_ logs: [(path: String, log: any LogReader)], at time: Duration) async throws -> TopReading
  {
    try await withThrowingTaskGroup(of: NodeReading.self) { group in
      for (path, log) in logs { group.addTask { try await read(path, log) } }
      var nodes: [NodeReading] = []
      for try await node in group { nodes.append(node) }
      return TopReading(time: time, nodes: nodes.sorted { $0.node < $1.node })
    }
  }

  private static func read(_ path: String, _ log: any LogReader) async throws -> NodeReading {
    try log.confirmPresence()
    var reading = NodeReading(node: log.identity.node, head: try log.head().rawValue, agents: [:])
    // Of all that the log has, these are its node's own: who consumes there is at home there.
    for (key, cursor) in try log.cursors() {
      reading.agents[key.agent, default: AgentCounts()].handledCount += cursor.handledCount
    }
    for (stream, head) in try log.streamHeads() where reading.agents[stream.agent] != nil {
      reading.agents[stream.agent]?.statedCount += head.count
    }
    do {
      let request = try OperatorRequest(
        "status", by: OperatorClient.authority(nil), parameters: [String: Int]())
      reading.status = try await OperatorClient.ask(path, request, as: NodeStatus.self)
    } catch let error as HyphaError {
      reading.problem = error.problem
    }
    return reading
  }
}
