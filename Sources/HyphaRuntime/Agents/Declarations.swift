import HyphaCore
import HyphaTopology

/// What one agent may publish and what is for it, by its kind and the topology.
final class Declarations: Sendable {
  let spec: AgentSpec
  private let allowed: [ObjectIdentifier: EventTypeName]
  /// What an agent of an open kind may publish beside what its kind declares.
  private let open: Set<EventTypeName>
  private let handled: Set<EventTypeName>
  private let subjects: [EventTypeName: [Pattern]]
  private let limits: WireLimits
  private let hasAgent: @Sendable (AgentID) -> Bool
  /// How many nodes hold copies of what the agent's node states.
  let replicaCount: Int

  /// - Parameters:
  ///   - replicaCount: how many replicas the agent's node has.
  ///   - hasAgent: whether the deployment has an agent.
  init<Kind: Agent>(
    _ kind: Kind.Type, _ spec: AgentSpec, limits: WireLimits, replicaCount: Int,
    hasAgent: @escaping @Sendable (AgentID) -> Bool
  ) {
    self.spec = spec
    self.replicaCount = replicaCount
    self.limits = limits
    self.hasAgent = hasAgent
    var allowed = [
      ObjectIdentifier(Asked.self): Asked.eventType, ObjectIdentifier(Answered.self): Answered.eventType,
    ]
    let isOpen = Kind.handles.others != nil
    for type in Kind.publishes where isOpen || spec.publishes?.contains(type.eventType) ?? true {
      allowed[ObjectIdentifier(type)] = type.eventType
    }
    self.allowed = allowed
    open = isOpen ? KindRegistry.declaration(of: kind).published(by: spec) : []
    handled = Set(Kind.handles.entries(for: spec.subscribes.map(\.type)).keys)
    subjects = Dictionary(grouping: spec.subscribes, by: \.type).mapValues { $0.map(\.subjects) }
  }

  // MARK: What is for it

  func handles(_ type: EventTypeName) -> Bool { handled.contains(type) }

  /// Whether one of the agent's subscriptions covers an event that was published to all subscribers.
  func wants(_ header: RecordHeader) -> Bool { wants(header.addressee, header.type, header.subject) }

  func wants(_ addressee: AgentID?, _ type: EventTypeName, _ subject: Subject) -> Bool {
    guard addressee == nil else { return addressee == spec.id }
    return subjects[type]?.contains { $0.matches(subject) } ?? false
  }

  /// Whether the agent is given an event of its node's log.
  func takes(_ record: Record) -> Bool {
    if let addressee = record.addressee { return addressee == spec.id }
    return subjects[record.type] != nil && record.agent != spec.id
  }

  // MARK: What it may publish

  func checkPublish<E: Event>(_ type: E.Type, to addressee: AgentID?) throws -> EventTypeName {
    guard let name = allowed[ObjectIdentifier(type)] else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(E.eventType), which it does not declare",
        remedy:
          "add it to the kind's publishes, and to the agent's in the topology file where that narrows it")
    }
    try check(E.schemaVersion, addressee, of: name)
    return name
  }

  /// Throws where an agent of an open kind may not publish an event.
  func checkPublish(_ event: RawEvent, to addressee: AgentID?) throws {
    guard open.contains(event.type) else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(event.type), which the topology file does not let it",
        remedy: "add it to the agent's publishes there")
    }
    try check(event.schemaVersion, addressee, of: event.type)
  }

  private func check(_ schemaVersion: UInt16, _ addressee: AgentID?, of name: EventTypeName) throws {
    guard schemaVersion > 0 else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(name) with schema version 0", remedy: "count from 1")
    }
    if let addressee, !hasAgent(addressee) {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' addresses \(name) to '\(addressee)', which does not exist",
        remedy: "add that agent to the topology file")
    }
  }

  func checkPayload(byteCount: Int, of type: EventTypeName) throws {
    guard byteCount <= limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "agent '\(spec.id)' publishes \(type) with a payload of \(byteCount) bytes",
        remedy: "keep it to \(limits.payloadByteCountMax)")
    }
  }

  func checkSubject(_ subject: Subject, of type: EventTypeName) throws {
    guard subject.text.utf8.count <= Subject.byteCountMax else {
      throw HyphaError(
        .tooLarge,
        "agent '\(spec.id)' publishes \(type) with a subject of \(subject.text.utf8.count) bytes",
        remedy: "keep it to \(Subject.byteCountMax), or let Subject(_:) check it")
    }
  }
}

extension AgentHost {
  func checkPublish<E: Event>(_ type: E.Type, to addressee: AgentID?) throws -> EventTypeName {
    try declarations.checkPublish(type, to: addressee)
  }

  func checkPublish(_ event: RawEvent, to addressee: AgentID?) throws {
    try declarations.checkPublish(event, to: addressee)
  }

  func checkPayload(byteCount: Int, of type: EventTypeName) throws {
    try declarations.checkPayload(byteCount: byteCount, of: type)
  }

  func checkSubject(_ subject: Subject, of type: EventTypeName) throws {
    try declarations.checkSubject(subject, of: type)
  }

  func handles(_ type: EventTypeName) -> Bool { declarations.handles(type) }
}
