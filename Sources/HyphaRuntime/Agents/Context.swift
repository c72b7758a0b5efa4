public import HyphaCore
import HyphaTopology

/// What an agent sees of the bus while one of its handlers runs.
///
/// A context belongs to one call of one handler; used after that call has returned it throws. Time and
/// randomness come from here, so that a run can be repeated.
public struct Context: Sendable {
  let turn: Turn

  /// The agent itself.
  public var agent: AgentID { turn.host.spec.id }
  /// The agent's supervisor; nil at the root.
  public var supervisor: AgentID? { turn.host.spec.reportsTo }
  /// When the call began, on the node's clock.
  public var now: Timestamp { turn.readNow() }
  /// The event that is being handled; nil in `start` and `wake`.
  public var event: RecordHeader? { turn.input?.header }

  /// How many times the handler was called with this event, this time included. More than 1 for an alert or a persistent event on
  /// which it has thrown before; such an event comes later than others of its lane that were stated after it.
  public var attempt: Int { turn.attempt }

  /// The event that is being handled, as the cause of what an agent publishes later; nil in `start` and `wake`.
  public var cause: Cause? { turn.cause }

  /// Publishes an event to one agent, or to all that subscribe to its type.
  ///
  /// On the persistent channel the event is staged: it is committed with all other effects of the handler
  /// once that has returned, and discarded when it throws. Alerts and realtime events leave at once.
  ///
  /// - Parameter cause: what the event answers, where that is not the event being handled: an agent that acts
  ///   later keeps ``Context/cause`` until then.
  /// - Parameter within: how soon each agent that an alert is for is to answer, from the alert's time on, before its supervisor
  ///   is told; 1 ms to 7 days. Default: the topology file's `alerts: deadline`. Other channels ignore it.
  /// - Parameter durability: what a persistent event must have reached before it leaves the node. The handler does not wait
  ///   for it: the agent does, with its next handler, and all that the handler published leaves at the highest level that any of it
  ///   asks for. Default: what the topology file says of the node (`replicated`).
  /// - Returns: the event's id.
  /// - Throws: ``HyphaError/Code/undeclared`` for a type that the kind or the topology file does not
  ///   declare, or an addressee that does not exist; ``HyphaError/Code/tooLarge``; what the event's own
  ///   `encode(into:)` throws.
  @discardableResult
  public func publish<E: Event>(
    _ event: E, to addressee: AgentID? = nil, because cause: Cause? = nil, within: Duration? = nil,
    durability: Durability? = nil
  ) async throws -> EventID {
    let id = try turn.publish(
      event, to: addressee, because: cause ?? self.cause, within: within, durability: durability)
    try turn.evolve(event, #isolation)
    return id
  }

  /// Lets the agent get an event from itself when `delay` is over: a durable timer.
  ///
  /// It is set once the handler has returned, in the commit of its other effects, and forgotten when that throws. When its time
  /// has come the event is stated, to this agent, in the commit that removes the timer; so it fires once, whatever crashes, and
  /// late where the node did not run. While it is pending, the deployment is not complete.
  ///
  /// - Parameters:
  ///   - event: of the persistent channel, and of a type that the agent handles. It need not be declared as published.
  ///   - delay: up to 100 years; measured from this call on the node's clock.
  /// - Returns: the timer, for ``cancel(_:)``.
  /// - Throws: ``HyphaError/Code/undeclared`` for a type that the agent does not handle; ``HyphaError/Code/usage`` for another
  ///   channel or a delay out of range; ``HyphaError/Code/tooLarge`` beyond 4,096 timers of the agent.
  @discardableResult
  public func schedule<E: Event>(_ event: E, after delay: Duration) throws -> EventID {
    try turn.schedule(event, after: delay, because: cause)
  }

  /// Forgets a timer of this agent, once the handler has returned. One that has fired or is not known is ignored.
  public func cancel(_ timer: EventID) throws { try turn.cancel(timer) }

  /// Lets ``Agent/wake(in:)`` run about `delay` from now. It is forgotten when the node stops; ask again in
  /// `start`.
  public func wake(after delay: Duration) { turn.wake(after: delay) }

  /// The agent's settings from the topology file.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that names the agent and the setting.
  public func settings<Settings: Decodable>(_ type: Settings.Type) throws -> Settings {
    do {
      return try turn.host.spec.settings.decoded(as: Settings.self)
    } catch let error as HyphaError {
      throw HyphaError(
        .invalidTopology, "the settings of agent '\(agent)' do not fit its kind '\(turn.host.spec.kind)'",
        remedy: error.remedy, cause: error.cause)
    }
  }

  /// 64 random bits from the node's seeded generator.
  public func random() -> UInt64 { turn.draw() }

  /// Reports a number for status and summaries, where the numbers of one name are added up over all agents.
  public func report(_ name: String, _ value: Int64) { turn.host.report(name, value) }

  /// Declares that the agent has done what it was started for, once this call's effects are committed. A deployment of which all workers have
  /// finished, and in which nothing is on its way, ends by itself.
  public func finish() { turn.finish() }
}

/// The event that another one answers, and the conversation that both belong to.
public struct Cause: Hashable, Sendable, Codable {
  /// The event itself.
  public var event: EventID
  /// The event that began the conversation.
  public var correlation: EventID

  /// No cause: the event begins a conversation of its own.
  public static let nothing = Cause(event: .none, correlation: .none)

  /// A cause by its parts.
  public init(event: EventID, correlation: EventID) {
    self.event = event
    self.correlation = correlation
  }
}

extension JSONValue {
  /// The value that this one spells.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that names the member.
  public func decoded<Value: Decodable>(as type: Value.Type) throws -> Value {
    do {
      return try JSON.decode(Value.self, from: JSON.encode(self))
    } catch let error as DecodingError {
      throw HyphaError(
        .invalidTopology, "the settings do not fit", remedy: "correct them in the topology file",
        cause: error.brief)
    }
  }
}

extension DecodingError {
  /// The key and the reason in a few words.
  var brief: String {
    let context: Context
    switch self {
    case .typeMismatch(_, let found), .valueNotFound(_, let found), .dataCorrupted(let found):
      context = found
    case .keyNotFound(let key, let found):
      return "'\(key.stringValue)' is missing" + (found.codingPath.isEmpty ? "" : " in \(Self.path(found))")
    @unknown default:
      return "\(self)"
    }
    return "'\(Self.path(context))': \(context.debugDescription)"
  }

  private static func path(_ context: Context) -> String {
    context.codingPath.map(\.stringValue).joined(separator: ".")
  }
}
