public import HyphaCore

/// A typed actor on the bus.
///
/// An agent declares what it handles and what it publishes; the bus delivers and enforces that. One handler
/// runs at a time, across its suspensions. What a handler publishes on the persistent channel, the agent's
/// ``state`` and the note that the input is handled are committed together once the handler has returned,
/// so that after any crash an input is either handled with all its effects or not at all.
///
/// ```swift
/// actor Approver: Agent {
///   static let handles = Handlers(Approver.self)
///     .on(InvoiceSubmitted.self) { try await $0.decide($1, in: $2) }
///   static let publishes: [any Event.Type] = [InvoiceApproved.self]
///
///   func decide(_ event: InvoiceSubmitted, in context: Context) async throws {
///     try await context.publish(InvoiceApproved(invoice: event.invoice, approver: context.agent))
///   }
/// }
/// ```
public protocol Agent: Actor {
  /// What survives a restart. Default: nothing.
  associatedtype State: Codable & Sendable = Stateless

  /// The name by which a topology file asks for this kind of agent. Default: the type's name in lower case.
  static var kind: String { get }
  /// The event types that the agent handles, each with its handler. Default: none.
  static var handles: Handlers<Self> { get }
  /// The event types that the agent may publish; an open kind (``Handlers/onOthers(_:)``) has those that the topology file names
  /// beside them. Default: none.
  static var publishes: [any Event.Type] { get }
  /// The types of the values that the agent reads of others, with ``Context/shared(_:by:about:notOlderThan:)``. Its node has them where
  /// the topology file subscribes it to them; it needs no handler for them. Default: none.
  static var reads: [any SharedValue.Type] { get }
  /// The names of the settings that the kind reads. Default: none.
  static var settingNames: Set<String> { get }

  /// Throws what is wrong with an agent's settings, so that it is known before anything starts. Default: nothing
  /// is.
  static func check(_ settings: JSONValue) throws
  /// Which of the types that the topology file lets an agent of an open kind publish are alerts, by its settings; the others are
  /// persistent. Of the events that the kind itself declares their own channel counts.
  static func alertTypes(_ settings: JSONValue) -> Set<EventTypeName>
  /// Whether agents of this kind come to an end, which they declare with ``Context/finish()``. Default: no.
  static var finishes: Bool { get }
  /// Whether agents of this kind wait for something outside of their node: each input is committed by itself then, before the next
  /// one is given to them, and a simulated deployment cannot have them. Default: no.
  static var reachesOutside: Bool { get }

  /// How the state follows from the events that the agent publishes. Default: it does not; the handlers change the state,
  /// and it is committed whole after each. Where it does, ``state`` evolves with each ``Context/publish(_:to:because:within:durability:)``
  /// and handlers must not change it themselves: a restart reads the newest snapshot and the events behind it.
  static var evolves: Evolution<State> { get }
  /// After how many events that the state has evolved by it is saved. Default: 100.
  static var snapshotEvery: Int { get }
  /// After how many inputs at the least the log is given the state as an event, from which past states are found once what is before
  /// it was pruned (``StateCheckpointed``). A state of more than 64 bytes an input waits for more of them. Default: 1,000.
  static var checkpointEvery: Int { get }
  /// The version of the state's shape, from 1. Default: 1.
  static var stateVersion: UInt16 { get }
  /// Turns saved states of older versions into this one's, one version at a time. Where a step is missing, an
  /// event-sourced state is made anew from the agent's events, and any other agent stands still. Default: none.
  static var stateUpcasters: [Upcaster] { get }
  /// Whether trying again cannot mend what a handler has thrown. Default: for a ``PermanentFailure``, and for events that do not
  /// decode or may not be published.
  static func isPermanent(_ error: any Error) -> Bool

  /// The agent's durable state: restored before ``start(in:)``, committed after each handler.
  var state: State { get set }

  /// A new agent that has seen nothing.
  init()

  /// Called once at each activation, after the state is restored and before the first event.
  func start(in context: Context) async throws
  /// Called when the time that ``Context/wake(after:)`` asked for has come.
  func wake(in context: Context) async throws
  /// Called once when the agent has handled its last event: its node stops, or another actor takes its place. Both wait for it.
  /// Nothing can be published then.
  func end(in context: Context) async
}

/// The state of an agent that keeps none.
public struct Stateless: Codable, Sendable, Hashable {
  /// No state.
  public init() {}
}

extension Agent {
  public static var kind: String { String(describing: Self.self).lowercased() }
  public static var handles: Handlers<Self> { Handlers(Self.self) }
  public static var publishes: [any Event.Type] { [] }
  public static var reads: [any SharedValue.Type] { [] }
  public static var settingNames: Set<String> { [] }
  public static func check(_ settings: JSONValue) throws {}
  public static func alertTypes(_ settings: JSONValue) -> Set<EventTypeName> { [] }
  public static var finishes: Bool { false }
  public static var reachesOutside: Bool { false }
  public static var evolves: Evolution<State> { Evolution(State.self) }
  public static var snapshotEvery: Int { 100 }
  public static var checkpointEvery: Int { 1_000 }
  public static var stateVersion: UInt16 { 1 }
  public static var stateUpcasters: [Upcaster] { [] }
  public static func isPermanent(_ error: any Error) -> Bool {
    let codes: [HyphaError.Code] = [.invalidPayload, .schemaUnknown, .undeclared]
    return error is any PermanentFailure || (error as? HyphaError).map { codes.contains($0.code) } ?? false
  }
  public func start(in context: Context) async throws {}
  public func wake(in context: Context) async throws {}
  public func end(in context: Context) async {}
}

extension Agent where State == Stateless {
  public var state: Stateless {
    get { Stateless() }
    set {}
  }
}

/// The handlers of one kind of agent, by event type.
public struct Handlers<Kind: Agent>: Sendable {
  /// A handler that runs on the agent itself.
  public typealias Handler<E: Event> =
    @Sendable (_ agent: isolated Kind, _ event: E, _ context: Context) async throws -> Void

  /// A handler that runs on the agent itself and does not suspend.
  public typealias PromptHandler<E: Event> =
    @Sendable (_ agent: isolated Kind, _ event: E, _ context: Context) throws -> Void

  /// How an event gets to its handler.
  enum Entry: Sendable {
    case suspending(@Sendable (isolated Kind, Input, Context) async throws -> Void)
    /// Called in a row, without the cost of a suspension for each.
    case prompt(@Sendable (isolated Kind, Input, Context) throws -> Void)
  }

  private(set) var entries: [EventTypeName: Entry] = [:]
  var answers: [EventTypeName: AnswerEntry] = [:]
  /// What answers questions of all other types; nil where they are refused.
  var otherAnswers: AnswerEntry?
  /// The handler of all types that the topology file names beside these; nil where the kind is not open.
  var others: Entry?

  /// No handlers yet.
  public init(_ kind: Kind.Type) {}

  /// Adds the handler of one event type; a second one of the same type replaces the first.
  public func on<E: Event>(_ type: E.Type, _ handler: @escaping Handler<E>) -> Handlers {
    var handlers = self
    handlers.entries[E.eventType] = .suspending { agent, input, context in
      try await handler(agent, input.event(E.self), context)
    }
    return handlers
  }

  /// Adds the handler of one event type that needs no `await`, and so takes a fraction of the time.
  public func on<E: Event>(_ type: E.Type, _ handler: @escaping PromptHandler<E>) -> Handlers {
    var handlers = self
    handlers.entries[E.eventType] = .prompt { agent, input, context in
      try handler(agent, input.event(E.self), context)
    }
    return handlers
  }

  /// The event types that have a handler.
  public var types: Set<EventTypeName> { Set(entries.keys) }
}

extension Input {
  /// The event as a value.
  fileprivate func event<E: Event>(_ type: E.Type) throws -> E {
    switch self {
    case .record(let record): return try E.decode(record)
    case .value(let run, let index):
      guard let run = run.typed(E.self) else {
        throw HyphaError(
          .invalidPayload, "two event types share the name \(E.eventType)", remedy: "rename one of them")
      }
      return run.values[index]
    }
  }
}
