import HyphaCore
public import HyphaRuntime
import HyphaTopology

/// An agent that others report to.
///
/// What passes between its branches is relayed by its node on its behalf, without waking it. The agent
/// itself takes reports of failed handlers, where it subscribes to `hypha.HandlerFailed`, alarms that are addressed to it,
/// and what it is told of agents below it: dead letters, handlers that do not return, agents that stand still, digests of what
/// it oversees afterwards. It answers these by taking note; an operator finds them with `hypha dead-letters` and `hypha agents explain`.
public actor Supervisor: Agent {
  public static let kind = "supervisor"
  public static let handles = Handlers(Supervisor.self)
    .on(HandlerFailed.self) { agent, _, context in
      agent.state.failures += 1
      context.report("failures reported", agent.state.failures)
    }
    .on(Alarm.self) { agent, _, context in
      agent.state.alarms += 1
      context.report("alarms taken by supervisors", agent.state.alarms)
    }
    .on(EventDeadLettered.self) { agent, _, context in
      agent.deadLetters += 1
      context.report("dead letters told to supervisors", agent.deadLetters)
    }
    .on(HandlerOverdue.self) { agent, _, context in
      agent.overdue += 1
      context.report("overdue handlers told to supervisors", agent.overdue)
    }
    .on(AgentStopped.self) { agent, _, context in
      agent.stopped += 1
      context.report("stopped agents told to supervisors", agent.stopped)
    }
    .on(OversightDigest.self) { agent, digest, context in
      agent.overseen += Int64(clamping: digest.eventCount)
      context.report("events told to supervisors in digests", agent.overseen)
    }

  /// What a supervisor was told.
  public struct State: Codable, Sendable {
    var failures: Int64 = 0
    var alarms: Int64 = 0
  }

  public var state = State()
  // Since the start: the log has them all.
  private var deadLetters: Int64 = 0
  private var overdue: Int64 = 0
  private var stopped: Int64 = 0
  private var overseen: Int64 = 0
  public init() {}
}
