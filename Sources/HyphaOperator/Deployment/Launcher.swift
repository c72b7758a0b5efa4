import Foundation
import HyphaCore
import HyphaRuntime
import HyphaTopology

/// Runs a deployment on this machine: a process a node, started again where it dies, until all is delivered or
/// somebody stops it.
final class Launcher {
  /// How a run ended.
  struct Outcome {
    var summary: DeploymentSummary
    var elapsed: Duration
    var isComplete: Bool
    var restartCount: Int
    var failure: String?
    /// What the run cost before it had links, and at its end; nil where it had none.
    var effect: (before: RewireEffect.Stretch, last: RewireEffect.Stretch)?
  }

  private let topology: Topology
  private let executable: String
  /// For a node, and whether it has run before: its file may have been changed since, and not applied.
  private let arguments: @Sendable (NodeID, Bool) -> [String]
  private var processes: [NodeID: NodeProcess] = [:]
  private var tallies = NodeTallies()
  private var effect = RewireEffect()
  private var restartCount = 0
  /// The nodes that have left while this ran.
  private var left: Set<NodeID> = []

  /// How often the launcher looks at its nodes.
  static let interval = Duration.milliseconds(100)
  /// How long nodes may take to stop before they are killed.
  static let stopPatience = Duration.seconds(15)
  /// How long the launcher waits for them without a word.
  static let stopQuietness = Duration.seconds(2)

  init(_ topology: Topology, executable: String, arguments: @escaping @Sendable (NodeID, Bool) -> [String]) {
    self.topology = topology
    self.executable = executable
    self.arguments = arguments
  }

  /// Runs to the end.
  ///
  /// - Parameters:
  ///   - progress: is called about ten times a second.
  ///   - note: is called with each line for the operator.
  func run(
    until stop: StopSignal, progress: (DeploymentSummary, Duration) throws -> Void,
    note: (String) throws -> Void
  ) async throws -> Outcome {
    let clock = ContinuousClock()
    let began = clock.now
    var policy = LaunchPolicy(topology.nodes.map(\.id))
    var failure: String?
    var isComplete = false
    do {
      for node in topology.nodes { try start(node.id) }
      loop: while !stop.isRaised {
        try await Task.sleep(for: Self.interval, clock: .suspending)
        let now = clock.now - began
        for (node, process) in processes.sorted(by: { $0.key < $1.key }) {
          if process.status != nil { policy.reported(node) }
          // What it said before it ended is there once it counts as ended.
          let ending = process.ending
          try passOnWords(of: process, note)
          guard let ending else { continue }
          processes[node] = nil
          if let status = process.status, status.hasLeft ?? false {
            policy.left(node)
            tallies.left(node, status)
            left.insert(node)
            try note("node '\(node)' has left the deployment")
            continue
          }
          tallies.ended(node, process.status)
          let isSuperseded = process.status?.isSuperseded ?? false
          switch policy.ended(node, ending, isSuperseded: isSuperseded, at: now) {
          case .fail(let reason):
            failure = reason
            break loop
          default: try note("node '\(node)' \(Self.text(ending)); starting it again")
          }
        }
        for node in joining(policy.nodes) {
          try note("node '\(node)' is new in the topology file that was applied; starting it")
          policy.joined(node)
          try start(node, isAgain: true)
        }
        let summary = summary()
        effect.look(summary)
        try progress(summary, now)
        switch policy.due(at: now, summary) {
        case .wait: break
        case .restart(let nodes):
          for node in nodes {
            try start(node, isAgain: true)
            restartCount += 1
          }
        case .finish:
          isComplete = true
          break loop
        case .fail(let reason):
          failure = reason
          break loop
        }
      }
    } catch {
      await stopAll(stop, note)
      throw error
    }
    let elapsed = clock.now - began
    let last = processes.values.sorted { $0.node < $1.node }
    await stopAll(stop, note)
    for process in last { try passOnWords(of: process, note) }
    let summary = tallies.summary(last.compactMap(\.status), isEnd: true)
    return Outcome(
      summary: summary, elapsed: elapsed, isComplete: isComplete, restartCount: restartCount,
      failure: failure, effect: effect.stretches(at: summary))
  }

  private func start(_ node: NodeID, isAgain: Bool = false) throws {
    processes[node] = try NodeProcess(node: node, executable: executable, arguments: arguments(node, isAgain))
  }

  /// The nodes that a file has brought which was applied since the run began, as the nodes that are under the newest one say.
  private func joining(_ known: Set<NodeID>) -> [NodeID] {
    let newest = processes.values.compactMap(\.status).max { $0.revision ?? 1 < $1.revision ?? 1 }
    return (newest?.nodes ?? []).filter { !known.contains($0) && !left.contains($0) }
  }

  private func summary() -> DeploymentSummary {
    tallies.summary(processes.sorted { $0.key < $1.key }.compactMap(\.value.status))
  }

  /// Tells the operator what a node has written on standard error, and what it has noted in its status.
  private func passOnWords(of process: NodeProcess, _ note: (String) throws -> Void) throws {
    for line in process.takeErrorLines() + process.takeNotes() { try note("[\(process.node)] \(line)") }
  }

  /// Lets every child stop in order, and kills those that do not, or all that still run where somebody asks
  /// again.
  private func stopAll(_ stop: StopSignal, _ note: (String) throws -> Void) async {
    let all = processes.values.sorted { $0.node < $1.node }
    processes = [:]
    for process in all { process.stop() }
    let clock = ContinuousClock()
    let began = clock.now
    var hasTold = false
    while clock.now < began + Self.stopPatience, !stop.isUrgent {
      let late = all.filter { $0.ending == nil }
      if late.isEmpty { return }
      if !hasTold, clock.now >= began + Self.stopQuietness {
        hasTold = true
        try? note("waiting for \(Self.names(late)) to stop; press Ctrl-C again to end at once")
      }
      try? await Task.sleep(for: .milliseconds(20), clock: .suspending)
    }
    let late = all.filter { $0.ending == nil }
    if !late.isEmpty, !stop.isUrgent {
      try? note("\(Self.names(late)) did not stop within \(Self.stopPatience); ending at once")
    }
    for process in late { process.kill() }
  }

  private static func names(_ processes: [NodeProcess]) -> String {
    processes.map { "'\($0.node)'" }.joined(separator: ", ")
  }

  private static func text(_ ending: NodeProcess.Ending) -> String {
    switch ending {
    case .exited(let status): "exited with status \(status)"
    case .killed(let signal): "was killed by signal \(signal)"
    }
  }
}
