import HyphaCore
import HyphaRuntime

/// Decides what a launcher does about its nodes: what to start again and when, and when all is done. A pure
/// state machine.
struct LaunchPolicy {
  /// What to do now.
  enum Decision: Equatable {
    case wait
    /// Start these nodes again.
    case restart([NodeID])
    /// Everything is delivered: let all nodes stop.
    case finish
    /// Let all nodes stop; the run has failed.
    case fail(String)
  }

  private struct Child {
    var hasReported = false
    var deaths: [Duration] = []
    var restartAt: Duration?
  }

  private var children: [NodeID: Child]
  private var completeSince: (time: Duration, statedPairCount: UInt64, reports: [NodeID: UInt64])?

  /// How long a node that died waits before it is started again.
  static let restartDelay = Duration.milliseconds(500)
  /// More deaths of one node within ``deathWindow`` than this end the run.
  static let deathCountMax = 10
  static let deathWindow = Duration.seconds(60)
  /// How long everything must look done before it counts as done: reports of different nodes are not of the
  /// same moment.
  static let completeFor = Duration.milliseconds(600)

  init(_ nodes: [NodeID]) {
    children = Dictionary(uniqueKeysWithValues: nodes.map { ($0, Child()) })
  }

  /// The nodes that are to run.
  var nodes: Set<NodeID> { Set(children.keys) }

  /// A file that was applied has a node that this run has not.
  mutating func joined(_ node: NodeID) {
    children[node] = Child()
    completeSince = nil
  }

  /// A node has left the deployment, and has ended.
  mutating func left(_ node: NodeID) {
    children[node] = nil
    completeSince = nil
  }

  mutating func reported(_ node: NodeID) { children[node]?.hasReported = true }

  /// Takes note that a node's process has ended at `now` (any clock that only grows).
  ///
  /// - Parameter isSuperseded: whether it ended because another process runs the node.
  mutating func ended(
    _ node: NodeID, _ ending: NodeProcess.Ending, isSuperseded: Bool = false, at now: Duration
  ) -> Decision {
    guard var child = children[node] else { return .wait }
    completeSince = nil
    // Started again it would supersede the other one, which would be started again, …
    if isSuperseded { return .fail("node '\(node)' was started again elsewhere, and has stopped here") }
    if case .exited = ending, !child.hasReported {
      // It said on standard error why it could not begin; starting again would not change that.
      return .fail("node '\(node)' could not start")
    }
    child.deaths = child.deaths.filter { now - $0 < Self.deathWindow } + [now]
    child.restartAt = now + Self.restartDelay
    children[node] = child
    guard child.deaths.count <= Self.deathCountMax else {
      return .fail("node '\(node)' died \(child.deaths.count) times within \(Self.deathWindow)")
    }
    return .wait
  }

  /// What is due at `now`, given what the running nodes last reported.
  mutating func due(at now: Duration, _ summary: DeploymentSummary) -> Decision {
    let restarts = children.keys.sorted().filter { children[$0]?.restartAt.map { $0 <= now } ?? false }
    if !restarts.isEmpty {
      for node in restarts { children[node]?.restartAt = nil }
      return .restart(restarts)
    }
    let broken = summary.nodes.flatMap(\.brokenWorkers).sorted()
    if let first = broken.first {
      let others = broken.count > 1 ? " and \(broken.count - 1) more" : ""
      return .fail("agent '\(first)'\(others) gave up, and without it the run cannot come to its end")
    }
    let isWhole = summary.nodes.count == children.count && children.values.allSatisfy { $0.restartAt == nil }
    guard isWhole, summary.isComplete else {
      completeSince = nil
      return .wait
    }
    guard let since = completeSince, since.statedPairCount == summary.statedPairCount else {
      let reports = summary.nodes.map { ($0.node, $0.reportNumber) }
      completeSince = (now, summary.statedPairCount, Dictionary(reports, uniquingKeysWith: max))
      return .wait
    }
    // A node that is too busy to report may have more to say.
    let haveAllReported = summary.nodes.allSatisfy {
      $0.reportNumber >= since.reports[$0.node, default: 0] + 2
    }
    return haveAllReported && now - since.time >= Self.completeFor ? .finish : .wait
  }
}
