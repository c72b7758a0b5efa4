import HyphaCore
import HyphaTopology

/// What one agent may publish and what is for it, by its kind and the topology.
final class Declarations: Sendable {
  let spec: AgentSpec
  private let allowed: [ObjectIdentifier: EventTypeName]
  /// What an agent of an open kind may publish beside what its kind declares.
  private let open: Set<EventTypeName>
  /// Which of these are alerts.
  private let openAlerts: Set<EventTypeName>
  private let handled: Set<EventTypeName>
  /// The shared values that its kind reads.
  private let read: [ObjectIdentifier: EventTypeName]
  private let readTypes: Set<EventTypeName>
  private let subjects: [EventTypeName: [Pattern]]
  private let audience: Audience
  /// The types of events without an addressee that may be for it: those that it subscribes to or oversees.
  let takenTypes: [EventTypeName]
  private let limits: WireLimits
  private let hasAgent: @Sendable (AgentID) -> Bool
  /// The nearest approver above it, where its kind asks for decisions.
  private let approver: AgentID?
  /// How many nodes hold copies of what the agent's node states.
  let replicaCount: Int

  /// - Parameters:
  ///   - audience: whom published events are for, by the topology.
  ///   - hasAgent: whether the deployment has an agent.
  init<Kind: Agent>(
    _ kind: Kind.Type, _ spec: AgentSpec, _ topology: Topology, audience: Audience, limits: WireLimits,
    hasAgent: @escaping @Sendable (AgentID) -> Bool
  ) {
    self.spec = spec
    self.audience = audience
    replicaCount = topology.node(spec.node)?.replicas.nodes.count ?? 0
    takenTypes = spec.subscribes.map(\.type) + topology.oversight.filter { $0.by == spec.id }.map(\.type)
    let asks = Kind.publishes.contains { $0 == DecisionRequested.self }
    approver = asks ? topology.approver(above: spec.id) : nil
    self.limits = limits
    self.hasAgent = hasAgent
    var allowed = [
      ObjectIdentifier(Asked.self): Asked.eventType, ObjectIdentifier(Answered.self): Answered.eventType,
    ]
    let isOpen = Kind.handles.others != nil
    let published = KindRegistry.declaration(of: kind).published(by: spec)
    for type in Kind.publishes where published.contains(type.eventType) {
      allowed[ObjectIdentifier(type)] = type.eventType
    }
    self.allowed = allowed
    open = isOpen ? published.subtracting(KindDeclaration.namedOnly) : []
    openAlerts = isOpen ? kind.alertTypes(spec.settings) : []
    handled = Set(Kind.handles.entries(for: takenTypes).keys)
    read = Dictionary(Kind.reads.map { (ObjectIdentifier($0), $0.eventType) }) { first, _ in first }
    readTypes = Set(read.values)
    subjects = Dictionary(grouping: spec.subscribes, by: \.type).mapValues { $0.map(\.subjects) }
  }

  // MARK: What is for it

  func handles(_ type: EventTypeName) -> Bool { handled.contains(type) }

  /// Whether the agent reads events of a type as values.
  func reads(_ type: EventTypeName) -> Bool { readTypes.contains(type) }

  /// Whether a shared value is for the agent: it is of its audience, and not its own.
  func readsValue(_ record: Record) -> Bool {
    record.agent != spec.id && wants(record.agent, nil, record.type, record.subject)
  }

  /// Throws where the agent may not read values of a type.
  func checkRead(_ type: any SharedValue.Type) throws -> EventTypeName {
    let what = "agent '\(spec.id)' reads \(type.eventType)"
    guard let name = read[ObjectIdentifier(type)] else {
      throw HyphaError(
        .undeclared, "\(what), which its kind does not declare",
        remedy: "add it to the kind's reads, of type [any SharedValue.Type]")
    }
    guard takenTypes.contains(name) else {
      throw HyphaError(
        .undeclared, "\(what), to which it does not subscribe",
        remedy: "add it to the agent's subscribes in the topology file, by which its node gets the values")
    }
    return name
  }

  /// Whether an event is for the agent: it is addressed to it, or it is of its audience.
  func wants(_ header: RecordHeader) -> Bool {
    wants(header.agent, header.addressee, header.type, header.subject)
  }

  func wants(_ author: AgentID, _ addressee: AgentID?, _ type: EventTypeName, _ subject: Subject) -> Bool {
    guard addressee == nil else { return addressee == spec.id }
    // The node's log has what others of the node may see, too.
    if audience.isOverseen(type) { return audience.takes(spec.id, type, subject, by: author) }
    return subjects[type]?.contains { $0.matches(subject) } ?? false
  }

  /// Whether the agent is given an event of its node's log: its lane is for it, though its subject may be for others.
  func takes(_ record: Record) -> Bool {
    if let addressee = record.addressee { return addressee == spec.id }
    if audience.isOverseen(record.type) {
      return audience.agents(for: record.type, by: record.agent).contains(spec.id)
    }
    return subjects[record.type] != nil && record.agent != spec.id
  }

  // MARK: What it may publish

  func checkPublish<E: Event>(_ type: E.Type, to addressee: AgentID?) throws -> EventTypeName {
    guard let name = allowed[ObjectIdentifier(type)] else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(E.eventType), which it does not declare",
        remedy:
          "add it to the kind's publishes, of type [any Event.Type], and to the agent's in the topology file where that "
          + "narrows it")
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
    let channel: Channel = openAlerts.contains(event.type) ? .alert : .persistent
    guard event.channel == channel else {
      throw HyphaError(
        .undeclared,
        "agent '\(spec.id)' publishes \(event.type) on the channel \(event.channel), and the topology file has it on \(channel)",
        remedy: "publish it there, or say otherwise in the agent's settings, under 'alerts'")
    }
    try check(event.schemaVersion, addressee, of: event.type)
  }

  private func check(_ schemaVersion: UInt16, _ addressee: AgentID?, of name: EventTypeName) throws {
    guard schemaVersion > 0 else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(name) with schema version 0", remedy: "count from 1")
    }
    guard let addressee, addressee != spec.id else { return }
    if let overseer = audience.overseer(of: name, by: spec.id) {
      throw HyphaError(
        .undeclared,
        "agent '\(spec.id)' addresses \(name) to '\(addressee)', past '\(overseer)' who oversees it",
        remedy: "publish it without an addressee: it goes to whom the topology's oversight has it go")
    }
    guard hasAgent(addressee) else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' addresses \(name) to '\(addressee)', which does not exist",
        remedy: "add that agent to the topology file")
    }
  }

  /// An approver and its desk.
  func desk(of named: AgentID?) throws -> (approver: AgentID, desk: AgentID) {
    guard let approver = named ?? approver, case let desk = DeskPolicy.desk(of: approver), hasAgent(desk)
    else {
      throw HyphaError(
        .undeclared,
        "agent '\(spec.id)' asks for a decision \(named.map { "of '\($0)', who takes none" } ?? "and nobody above it takes any")",
        remedy: "name the approver in the topology file: 'delegation: {approvers: [AGENT]}'")
    }
    return (approver, desk)
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
