import HyphaCore
public import HyphaRuntime

/// An agent that others report to.
///
/// What passes between its branches is relayed by its node on its behalf, without waking it. The agent
/// itself takes reports of failed handlers, where it subscribes to `hypha.HandlerFailed`, and alarms that are
/// addressed to it.
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

  /// What a supervisor was told.
  public struct State: Codable, Sendable {
    var failures: Int64 = 0
    var alarms: Int64 = 0
  }

  public var state = State()
  public init() {}
}
