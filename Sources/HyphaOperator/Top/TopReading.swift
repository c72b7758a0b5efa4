import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What `hypha top` reads of a deployment at one moment: what each node that runs says of itself, and what its log says, which can
/// be read whether it runs or not.
struct TopReading: Sendable {
  /// What an agent has done over all runs of its node's log.
  struct AgentCounts: Sendable, Equatable {
    /// Events that it has stated, without those of the bus in its name to all or to nobody, and that it is done with.
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
    /// What is wrong with its log, where that cannot be read.
    var damage: HyphaError?
    /// The newest position of its log.
    var head: UInt64
    var agents: [AgentID: AgentCounts]
    /// What the log has of moves.
    var moves = AgentMoves()
  }

  /// When it was read, on any clock that goes on.
  var time: Duration
  var nodes: [NodeReading]

  /// A node's data directory and its log, or what is wrong with that.
  struct Source: Sendable {
    let path: String
    let log: Result<any LogReader, HyphaError>

    /// - Throws: what opening the log does, but for ``HyphaError/Code/logInvalid``.
    init(_ path: String, _ open: Program.ReadLog) throws {
      self.path = path
      do { log = .success(try open(path)) } catch let error as HyphaError where error.code == .logInvalid {
        log = .failure(error)
      }
    }

    /// The node, by its log, else by the name of its directory.
    fileprivate var node: NodeID {
      if case .success(let log) = log { return log.identity.node }
      return (try? NodeID(path.split(separator: "/").last.map(String.init) ?? "")) ?? "unknown"
    }
  }

  /// What is wrong with logs.
  var damages: [HyphaError] { nodes.compactMap(\.damage) }

  /// Reads the deployment whose logs these are, all nodes at a time.
  static func read(_ sources: [Source], at time: Duration) async throws -> TopReading {
    try await withThrowingTaskGroup(of: NodeReading.self) { group in
      for source in sources { group.addTask { try await read(source) } }
      var nodes: [NodeReading] = []
      for try await node in group { nodes.append(node) }
      return TopReading(time: time, nodes: nodes.sorted { $0.node < $1.node })
    }
  }

  private static func read(_ source: Source) async throws -> NodeReading {
    var reading = NodeReading(node: source.node, head: 0, agents: [:])
    do {
      try read(source.log.get(), into: &reading)
    } catch let error as HyphaError where error.code == .logInvalid {
      reading.damage = error
    }
    do {
      let request = try OperatorRequest(
        "status", by: OperatorClient.authority(nil), parameters: [String: Int]())
      reading.status = try await OperatorClient.ask(source.path, request, as: NodeStatus.self)
    } catch let error as HyphaError {
      reading.problem = error.problem
    }
    return reading
  }

  private static func read(_ log: any LogReader, into reading: inout NodeReading) throws {
    try log.confirmPresence()
    reading.head = try log.head().rawValue
    // Of all that the log has, these are its node's own: who consumes there is at home there.
    for (key, cursor) in try log.cursors() {
      reading.agents[key.agent, default: AgentCounts()].handledCount += cursor.handledCount
    }
    let lanes = try log.laneHeads()
    for (lane, head) in lanes where !lane.isOfBus {
      reading.agents[lane.agent]?.statedCount += head.count
    }
    reading.moves = try MoveReading(log, lanes: lanes).moves
  }
}
