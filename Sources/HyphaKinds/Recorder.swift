import HyphaCore
public import HyphaRuntime

/// Counts the load that it subscribes to, by channel.
///
/// What it has taken on the logged channels is part of its durable state; realtime events count from its
/// start.
public actor Recorder: Agent {
  public static let kind = "recorder"
  public static let handles = Handlers(Recorder.self)
    .on(Signal.self) { $0.take($1.value, in: $2) }
    .on(Alarm.self) { $0.keep($1.value, in: $2) }
    .on(Entry.self) { $0.keep($1.value, in: $2) }
    .on(HandlerFailed.self) { agent, _, context in agent.keep(0, in: context) }
    .on(AgentActivated.self) { agent, _, context in agent.keep(0, in: context) }
    .on(NodeSuspected.self) { agent, _, context in agent.keep(0, in: context) }
    .on(NodeDown.self) { agent, _, context in agent.keep(0, in: context) }
    .on(NodeReturned.self) { agent, _, context in agent.keep(0, in: context) }

  /// What was recorded on the logged channels.
  public struct State: Codable, Sendable {
    var count: Int64 = 0
    /// The sum of the values, so that two runs can be compared.
    var sum: Int64 = 0
  }

  public var state = State()
  private var signals: Int64 = 0

  public init() {}

  private func take(_ value: Int64, in context: Context) {
    signals += 1
    context.report("signals recorded", signals)
  }

  private func keep(_ value: Int64, in context: Context) {
    state.count += 1
    state.sum &+= value
    context.report("events recorded", state.count)
  }
}
