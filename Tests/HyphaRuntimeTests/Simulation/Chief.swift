import HyphaCore
import HyphaKinds
import HyphaRuntime

/// A supervisor that answers what is escalated to it.
actor Chief: Agent {
  static let kind = "chief"
  static let handles = Handlers(Chief.self)
    .on(AlertEscalated.self) { agent, _, _ in agent.state.escalations += 1 }
    .on(HandlerFailed.self) { _, _, _ in }
    .on(Alarm.self) { _, _, _ in }
    .on(EventDeadLettered.self) { _, _, _ in }

  struct State: Codable { var escalations = 0 }
  var state = State()
}
