import HyphaCore
import HyphaRuntime
import Synchronization

/// Reports one node's status on standard output: each as a line of JSON for programs, or every few seconds as a
/// line for a person, with what the operator should know as soon as it is known.
final class NodeReporter: Sendable {
  private struct State {
    var lastLineAt: ContinuousClock.Instant?
    var notes: Set<String> = []
  }

  private let json: Bool
  private let state = Mutex(State())

  /// How often a person gets a line.
  static let lineInterval = Duration.seconds(2)

  init(json: Bool) { self.json = json }

  func show(_ status: NodeStatus) throws {
    if json {
      try Output.standard.writeLine(JSON.text(status))
    } else {
      let now = ContinuousClock.now
      let (isDue, fresh) = state.withLock { state in
        let isDue = state.lastLineAt.map { now - $0 >= Self.lineInterval } ?? true
        if isDue { state.lastLineAt = now }
        return (isDue, status.notes.filter { state.notes.insert($0).inserted })
      }
      for note in fresh { try Output.standardError.writeLine("\(status.node): \(note)") }
      if isDue { try Output.standard.writeLine(Self.line(status)) }
    }
    try Output.standard.flush()
  }

  private static func line(_ status: NodeStatus) -> String {
    let delivered = Channel.allCases.map { channel in
      "\(channel) \(Human.count(status.channels[channel.description]?.deliveredCount ?? 0))"
    }
    let missed = status.peers.filter(\.value.isMissed).sorted { $0.key < $1.key }
      .map { ", \($0.value.standing): \($0.key)" }.joined()
    return "\(status.node): delivered \(delivered.joined(separator: ", ")); waiting \(status.backlog), "
      + "behind \(status.behindLaneCount), log at \(Human.count(status.logHead))\(missed)"
  }
}
