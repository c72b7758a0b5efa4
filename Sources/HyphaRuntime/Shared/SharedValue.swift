public import HyphaCore

/// An event of which the newest is a value that others read, without a message and when they need it.
///
/// Its author publishes it as any event, to nobody in particular. A node keeps the newest of each author and subject of the types that
/// its agents read, and an agent reads it there at once. Declare it under ``Agent/publishes`` of the one, under
/// ``Agent/reads`` of the other, and under the reader's `subscribes` in the topology file.
///
/// ```swift
/// struct ExchangeRate: SharedValue {
///   static let freshFor: Duration? = .seconds(30)
///   var currency: String
///   var rate: Int
///   var subject: Subject { Self.about(currency) }
///   static func about(_ currency: String) -> Subject { Subject(slug: "rate.\(currency)") }
/// }
///
/// let rate = try context.shared(ExchangeRate.self, by: "treasury", about: ExchangeRate.about("EUR"))
/// ```
///
/// It is of the persistent channel: it commits with what its handler left, and is in the log. An author who holds a value
/// unchanged states it again before it is too old for its readers.
public protocol SharedValue: Event {
  /// How old it may be to be read, from when it was stated; a read may say otherwise. Default: nil, any age.
  static var freshFor: Duration? { get }
}

extension SharedValue {
  public static var freshFor: Duration? { nil }
}

/// A shared value as it was read.
public struct Shared<Value: SharedValue>: Sendable {
  /// What its author stated.
  public let value: Value
  /// Who stated it.
  public let author: AgentID
  /// The place of the statement in its author's stream: a later one is greater.
  public let version: LanePoint
  /// When it was stated, on its author's clock.
  public let statedAt: Timestamp
  /// How long ago that was when it was read, on the reader's clock; never negative.
  public let age: Duration
}

extension Context {
  /// The newest value that an agent has shared, as far as this node has it: read at once, without a message.
  ///
  /// Two reads of one key in a row give the same or a newer version. What was read is recorded with what the handler leaves, so that a
  /// re-run reads the same.
  ///
  /// - Parameters:
  ///   - author: who has shared it; another agent.
  ///   - subject: which of its values; nil for the newest of all that it has shared of the type.
  ///   - bound: how old it may be; nil for the type's own ``SharedValue/freshFor``.
  /// - Returns: nil where there is none, or the newest is older than that.
  /// - Throws: ``HyphaError/Code/undeclared`` for a type that is not among the kind's ``Agent/reads``, or to which the topology
  ///   file does not subscribe the agent; ``HyphaError/Code/agentFailed`` once the handler has returned;
  ///   ``HyphaError/Code/invalidPayload`` and ``HyphaError/Code/schemaUnknown`` for a value that does not decode.
  public func shared<Value: SharedValue>(
    _ type: Value.Type, by author: AgentID, about subject: Subject? = nil, notOlderThan bound: Duration? = nil
  ) throws -> Shared<Value>? {
    try turn.read(type, .one(author, subject), notOlderThan: bound).first
  }

  /// The newest value of each author and subject that others have shared, as far as this node has them; by author and subject.
  ///
  /// - Parameter bound: how old a value may be; nil for the type's own ``SharedValue/freshFor``.
  /// - Throws: as ``shared(_:by:about:notOlderThan:)`` does.
  public func shared<Value: SharedValue>(_ type: Value.Type, notOlderThan bound: Duration? = nil) throws
    -> [Shared<Value>]
  { try turn.read(type, .all, notOlderThan: bound) }
}

extension Turn {
  /// Reads shared values, and takes note of what was there.
  func read<Value: SharedValue>(
    _ type: Value.Type, _ wanted: SharedQuery.Wanted, notOlderThan bound: Duration?
  ) throws -> [Shared<Value>] {
    let name = try host.declarations.checkRead(type)
    let found = try host.read(SharedQuery(type: name, wanted: wanted))
    try took(found.map(\.record))
    guard !found.isEmpty else { return [] }
    let (now, bound) = (readClock(), bound ?? Value.freshFor)
    return try found.compactMap { item in
      let record = item.record
      let age = max(.zero, now.since(record.time))
      if let bound, age > bound { return nil }
      return Shared(
        value: try item.value(as: Value.self), author: record.agent, version: record.point,
        statedAt: record.time, age: age)
    }
  }
}
