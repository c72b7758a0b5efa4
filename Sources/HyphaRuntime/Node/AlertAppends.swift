import HyphaCore
import Synchronization

/// The alerts that were sent and that the log has not taken yet, by agent.
///
/// An alert is given to the log at once. Where the log refuses it, for want of room, it and what its agent
/// sends meanwhile wait here in the order of their sequence, and are given to the log together. While a batch that has
/// an alert-channel event of its own (an acknowledgement) is on its way, alerts that were numbered after that
/// event wait for it. At most ``waitingCountMax`` wait for each agent; then no more may be sent until the log
/// has room.
final class AlertAppends: Sendable {
  /// One agent's alerts, from a refusal or a hold until all of them are taken.
  private struct Line {
    /// What waits to be given to the log, in the order of its sequence.
    var waiting: [Stated] = []
    /// Whether the log has refused some of them and not taken all of those since.
    var isRefused = false
    var isRetryDue = false
    /// The first alert-channel sequence of a batch on its way.
    var heldFrom: UInt64?

    /// Takes what may be given to the log now.
    mutating func takeReady() -> [Stated] {
      let end = heldFrom ?? .max
      let count = waiting.prefix { $0.record.sequence < end }.count
      defer { waiting.removeFirst(count) }
      return Array(waiting.prefix(count))
    }
  }

  private struct State {
    /// The alerts on their way into the log.
    var openCount = 0
    var lines: [AgentID: Line] = [:]
  }

  private let state = Mutex(State())

  /// The most alerts of one agent that wait.
  static var waitingCountMax: Int { 4096 }

  /// How many alerts were sent and are not in the log.
  var openCount: Int { state.withLock { $0.openCount } }

  /// Whether alerts of an agent that precede its batch on its way are not given to the log: it has refused them, or they
  /// wait behind a group that it has not taken yet.
  func isHeldUp(_ agent: AgentID) -> Bool {
    state.withLock { state in
      guard let line = state.lines[agent] else { return false }
      let end = line.heldFrom ?? .max
      return line.isRefused || line.waiting.first.map { $0.record.sequence < end } ?? false
    }
  }

  /// Whether the log has refused alerts of an agent and has not taken them since.
  func isRefused(_ agent: AgentID) -> Bool { state.withLock { $0.lines[agent]?.isRefused ?? false } }

  func checkRoom(for agent: AgentID) throws {
    guard state.withLock({ ($0.lines[agent]?.waiting.count ?? 0) < Self.waitingCountMax }) else {
      throw HyphaError(
        .logFull, "agent '\(agent)' has \(Self.waitingCountMax) alerts that wait for room in the log",
        remedy: "make room on the log's disk")
    }
  }

  /// Takes note of a new alert. Returns what is to be given to the log now.
  func offer(_ alert: Stated) -> [Stated] {
    state.withLock { state in
      state.openCount += 1
      guard state.lines[alert.record.agent]?.waiting.append(alert) == nil else { return [] }
      return [alert]
    }
  }

  /// Alerts of an agent from `sequence` on wait for the batch that has that one.
  func hold(_ agent: AgentID, from sequence: UInt64) {
    state.withLock { $0.lines[agent, default: Line()].heldFrom = sequence }
  }

  /// The batch is committed. Returns what is to be given to the log now.
  func release(_ agent: AgentID) -> [Stated] {
    state.withLock { state in
      guard var line = state.lines[agent], line.heldFrom != nil else { return [] }
      line.heldFrom = nil
      let ready = line.isRefused ? [] : line.takeReady()
      // As long as a group is on its way, what comes waits behind it.
      state.lines[agent] = line.isRefused || !ready.isEmpty ? line : nil
      return ready
    }
  }

  /// The log has taken a group. Returns what is to be given to it next.
  func appended(_ group: [Stated], of agent: AgentID) -> [Stated] {
    state.withLock { state in
      state.openCount -= group.count
      guard var line = state.lines[agent], !line.isRetryDue else { return [] }
      let ready = line.takeReady()
      if ready.isEmpty { line.isRefused = false }
      state.lines[agent] = ready.isEmpty && line.heldFrom == nil ? nil : line
      return ready
    }
  }

  /// The log has refused a group. Returns whether ``retry(_:)`` is to be called later.
  func refused(_ group: [Stated], of agent: AgentID) -> Bool {
    state.withLock { state in
      var line = state.lines[agent] ?? Line()
      line.waiting += group
      line.waiting.sort { $0.record.sequence < $1.record.sequence }
      line.isRefused = true
      defer { state.lines[agent] = line }
      guard !line.isRetryDue else { return false }
      line.isRetryDue = true
      return true
    }
  }

  /// What is to be given to the log again.
  func retry(_ agent: AgentID) -> [Stated] {
    state.withLock { state in
      state.lines[agent]?.isRetryDue = false
      return state.lines[agent]?.takeReady() ?? []
    }
  }
}
