import HyphaCore

/// What events of one lane share that an agent of this node publishes: everything but their numbers and their values.
final class ValueFront: Sendable {
  let lane: Lane
  let addressee: AgentID?
  let type: EventTypeName
  let subject: Subject
  let epoch: UInt64
  let schemaVersion: UInt16
  let contentType: ContentType
  let authority: Authority
  /// How long they are worth delivering; nil for ever.
  let timeToLive: Duration?

  init(_ header: RecordHeader, timeToLive: Duration?) {
    lane = header.lane
    (addressee, type, subject, epoch) = (header.addressee, header.type, header.subject, header.epoch)
    (schemaVersion, contentType) = (header.schemaVersion, header.contentType)
    authority = header.authority
    self.timeToLive = timeToLive
  }

  func header(_ numbers: RecordTemplate.Numbers) -> RecordHeader {
    RecordHeader(
      id: numbers.id, time: numbers.time, channel: lane.channel, agent: lane.agent, epoch: epoch,
      sequence: numbers.sequence, previous: numbers.previous, addressee: addressee, type: type,
      schemaVersion: schemaVersion, subject: subject, contentType: contentType,
      causation: numbers.causation, correlation: numbers.correlation, authority: authority)
  }
}

/// Events of one lane and subject as the values that an agent of this node has published, neighbours together, on their way to
/// another agent of the node: nothing of them is serialised.
///
/// `@unchecked Sendable`: it grows only while its one owner, the queue that it waits in, holds the only reference
/// (``append(_:_:)``).
class ValueRun: @unchecked Sendable {
  let front: ValueFront
  fileprivate(set) var numbers: [RecordTemplate.Numbers]

  private let valueType: ObjectIdentifier

  fileprivate init<E: Event>(_ front: ValueFront, _ numbers: [RecordTemplate.Numbers], of type: E.Type) {
    self.front = front
    self.numbers = numbers
    valueType = ObjectIdentifier(type)
  }

  /// The run with the type of its values; nil where that is another one. A cast would look the type up each time.
  final func typed<E: Event>(_ type: E.Type) -> TypedRun<E>? {
    valueType == ObjectIdentifier(type) ? unsafeDowncast(self, to: TypedRun<E>.self) : nil
  }

  /// What an agent has stated in a row with the same names, so with the same template; nil where not all of it is at hand as
  /// values of one type.
  static func of(_ stated: ArraySlice<Stated>) -> ValueRun? {
    guard let first = stated.first, let event = first.event else { return nil }
    func run<E: Event>(of _: E) -> ValueRun? {
      var values: [E] = []
      values.reserveCapacity(stated.count)
      for stated in stated {
        guard let value = stated.event as? E else { return nil }
        values.append(value)
      }
      let front = ValueFront(first.record.header, timeToLive: nil)
      return TypedRun(front, stated.map { RecordTemplate.Numbers($0.record) }, values)
    }
    return run(of: event)
  }

  /// Adds the next event, where it is of the type. Only for who has the one reference.
  final func append<E: Event>(_ event: E, _ number: RecordTemplate.Numbers) -> Bool {
    guard valueType == ObjectIdentifier(E.self) else { return false }
    unsafeDowncast(self, to: TypedRun<E>.self).add(event, number)
    return true
  }

  func event(at index: Int) -> any Event { preconditionFailure("a run has values of a type") }

  /// Another run with those of the events alone.
  func picked(_ indices: [Int]) -> ValueRun { preconditionFailure("a run has values of a type") }

  /// When an event is not worth delivering any more.
  func expiry(at index: Int) -> Timestamp? {
    front.timeToLive.map {
      Timestamp(microseconds: numbers[index].time.microseconds + $0.wholeMicroseconds)
    }
  }
}

/// The same with the type of its values.
final class TypedRun<E: Event>: ValueRun, @unchecked Sendable {
  private(set) var values: [E]

  init(_ front: ValueFront, _ numbers: [RecordTemplate.Numbers], _ values: [E]) {
    self.values = values
    super.init(front, numbers, of: E.self)
  }

  override func event(at index: Int) -> any Event { values[index] }

  override func picked(_ indices: [Int]) -> ValueRun {
    TypedRun(front, indices.map { numbers[$0] }, indices.map { values[$0] })
  }

  private static var growth: Int { 16 }

  fileprivate func add(_ event: E, _ number: RecordTemplate.Numbers) {
    if values.count == 1 {
      // Where there are two there will be more.
      values.reserveCapacity(Self.growth)
      numbers.reserveCapacity(Self.growth)
    }
    values.append(event)
    numbers.append(number)
  }
}

extension RecordTemplate.Numbers {
  init(_ header: RecordHeader) {
    self.init(
      id: header.id, time: header.time, sequence: header.sequence, previous: header.previous,
      causation: header.causation, correlation: header.correlation)
  }
}
