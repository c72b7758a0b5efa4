import HyphaCore
import Synchronization

/// The alerts that were sent and that the log has not taken yet, by agent.
///
/// An alert is given to the log at once. Where the log refuses it, for want of room, it and what its agent
/// sends meanwhile wait here in the order of their sequence, and are given to the log together. At most
/// ``waitingCountMax`` wait for each agent; then no more may be sent until the log has room.
final class AlertAppends: Sendable {
  private struct State {
    /// The alerts on their way into the log.
    var openCount = 0
    /// What waits to be given again, by agent; an agent is here from a refusal until all of it is taken.
    var waiting: [AgentID: [Stated]] = [:]
    var isRetryDue: Set<AgentID> = []
  }

  private let state = Mutex(State())

  /// The most alerts of one agent that wait.
  static var waitingCountMax: Int { 4096 }

  /// How many alerts were sent and are not in the log.
  var openCount: Int { state.withLock { $0.openCount } }

  /// Whether the log has refused alerts of an agent and has not taken them since.
  func isHeldUp(_ agent: AgentID) -> Bool { state.withLock { $0.waiting[agent] != nil } }

  func checkRoom(for agent: AgentID) throws {
    guard state.withLock({ ($0.waiting[agent]?.count ?? 0) < Self.waitingCountMax }) else {
      throw HyphaError(
        .logFull, "agent '\(agent)' has \(Self.waitingCountMax) alerts that wait for room in the log",
        remedy: "make room on the log's disk")
    }
  }

  /// Takes note of a new alert. Returns what is to be given to the log now.
  func offer(_ alert: Stated) -> [Stated] {
    state.withLock { state in
      state.openCount += 1
      guard state.waiting[alert.record.header.agent]?.append(alert) == nil else { return [] }
      return [alert]
    }
  }

  /// The log has taken a group. Returns what is to be given to it next.
  func appended(_ group: [Stated], of agent: AgentID) -> [Stated] {
    state.withLock { state in
      state.openCount -= group.count
      guard let waiting = state.waiting[agent], !state.isRetryDue.contains(agent) else { return [] }
      state.waiting[agent] = waiting.isEmpty ? nil : []
      return waiting
    }
  }

  /// The log has refused a group. Returns whether ``retry(_:)`` is to be called later.
  func refused(_ group: [Stated], of agent: AgentID) -> Bool {
    state.withLock { state in
      state.waiting[agent, default: []] += group
      state.waiting[agent]?.sort { $0.record.header.sequence < $1.record.header.sequence }
      return state.isRetryDue.insert(agent).inserted
    }
  }

  /// What is to be given to the log again.
  func retry(_ agent: AgentID) -> [Stated] {
    state.withLock { state in
      state.isRetryDue.remove(agent)
      let waiting = state.waiting[agent] ?? []
      state.waiting[agent] = []
      return waiting
    }
  }
}
