public import HyphaCore

/// An event by its parts, of a type that the program need not know.
public struct RawEvent: Sendable, Hashable {
  /// The urgency class: persistent, or alert.
  public var channel: Channel
  /// The event type's stable name.
  public var type: EventTypeName
  /// The version of the payload's shape, from 1.
  public var schemaVersion: UInt16
  /// What it is about.
  public var subject: Subject
  /// How the payload is to be read.
  public var contentType: ContentType
  /// The encoded payload.
  public var payload: [UInt8]

  /// An event of its parts.
  ///
  /// - Parameter subject: default: the type's name.
  public init(
    type: EventTypeName, schemaVersion: UInt16 = 1, subject: Subject? = nil, contentType: ContentType = .json,
    payload: [UInt8], channel: Channel = .persistent
  ) {
    self.channel = channel
    self.type = type
    self.schemaVersion = schemaVersion
    self.subject = subject ?? Subject(slug: type.text)
    self.contentType = contentType
    self.payload = payload
  }
}

/// Kinds whose event types the program does not know: the topology file names them.
extension Handlers {
  /// A handler of events as bytes.
  public typealias OpenHandler =
    @Sendable (_ agent: isolated Kind, _ event: Record, _ context: Context) async throws -> Void

  /// Adds the handler of all event types that the topology file subscribes an agent to and that have no handler of their own.
  ///
  /// Such a kind is *open*: its agents publish what the file names under `publishes`, as ``RawEvent``, beside what
  /// the kind itself declares. Types that the bus states itself, `hypha.…`, cannot be published so.
  public func onOthers(_ handler: @escaping OpenHandler) -> Handlers {
    var handlers = self
    handlers.others = .suspending { agent, input, context in
      try await handler(agent, input.record(), context)
    }
    return handlers
  }

  /// The handlers of an agent with these subscriptions.
  func entries(for types: some Sequence<EventTypeName>) -> [EventTypeName: Entry] {
    guard let others else { return entries }
    return types.reduce(into: entries) { $0[$1] = $0[$1] ?? others }
  }
}

extension Context {
  /// Publishes an event of an open kind. On the persistent channel it is committed with the handler's other effects once that has
  /// returned, and discarded when it throws; an alert leaves at once. Any thread, until the handler returns.
  ///
  /// - Parameters:
  ///   - addressee: the agent that it is for; nil means all that subscribe to its type.
  ///   - within: how soon each agent that an alert is for is to answer; 1 ms to 7 days. Default: the topology file's
  ///     `alerts: deadline`. The persistent channel ignores it.
  /// - Returns: the event's id.
  /// - Throws: ``HyphaError/Code/undeclared`` for a type that the topology file does not let the agent publish on that channel
  ///   (``Agent/alertTypes(_:)``), or an addressee that does not exist; ``HyphaError/Code/tooLarge``;
  ///   ``HyphaError/Code/usage`` for a time out of range; ``HyphaError/Code/logFull`` where too many alerts wait for room.
  @discardableResult
  public func publish(_ event: RawEvent, to addressee: AgentID? = nil, within: Duration? = nil) throws
    -> EventID
  {
    try turn.publish(event, to: addressee, within: within)
  }

  /// How long a handler of this agent may run before that is reported.
  public var handlerDeadline: Duration { turn.host.handlerDeadline }

  /// Lets something outside of the bus wake the agent.
  public var waker: Waker { Waker(wake: turn.host.waker) }

  /// Calls `body` once, when the agent's node stops; at once where it does already. It must not block. A handler that waits for
  /// something outside of the bus ends its wait then and throws ``NodeStops``.
  ///
  /// Forgotten when another actor takes this one's place, after ``Agent/end(in:)``.
  public func whenNodeStops(_ body: @escaping @Sendable () -> Void) { turn.host.whenNodeStops(body) }
}

/// Wakes an agent from outside of its handlers, on any thread; without effect once its node has stopped.
public struct Waker: Sendable {
  let wake: @Sendable () -> Void

  /// Lets ``Agent/wake(in:)`` run soon; several calls before it does are one.
  public func callAsFunction() { wake() }
}

/// Thrown by a handler that is left in its middle because its node stops: it has no effects, is no failure, and what it was at is
/// done anew after the next start.
public struct NodeStops: Error {
  /// The error itself.
  public init() {}
}

/// What is called when an agent's node stops.
struct StopActions: Sendable {
  private(set) var isStopped = false
  private var actions: [@Sendable () -> Void] = []

  /// Keeps an action. Returns whether it is to be called at once instead.
  mutating func add(_ action: @escaping @Sendable () -> Void) -> Bool {
    if !isStopped { actions.append(action) }
    return isStopped
  }

  /// The actions to be called.
  mutating func stop() -> [@Sendable () -> Void] {
    isStopped = true
    defer { actions = [] }
    return actions
  }

  mutating func forget() { actions = [] }
}
