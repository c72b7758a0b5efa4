public import HyphaCore
public import HyphaTopology

/// The kinds of agents that a program can run, by the names that topology files use.
public struct KindRegistry: Sendable {
  private var kinds: [String: any Agent.Type] = [:]

  /// The registry of these kinds.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` when two share a name.
  public init(_ types: [any Agent.Type]) throws {
    for type in types {
      guard kinds.updateValue(type, forKey: type.kind) == nil else {
        throw HyphaError(
          .invalidTopology, "two kinds of agents are named '\(type.kind)'", remedy: "give one another `kind`")
      }
      try Self.checkEvolution(of: type)
      try Self.checkShared(by: type)
    }
    kinds[DecisionDesk.kind] = DecisionDesk.self
  }

  /// The kinds' names in alphabetical order, without that of the bus.
  public var names: [String] { kinds.keys.filter { $0 != DecisionDesk.kind }.sorted() }

  /// The alert types that agents of these kinds may publish in a deployment.
  func alertTypes(in topology: Topology) -> Set<EventTypeName> {
    let known = kinds.values.flatMap { $0.publishes }.filter { $0.channel == .alert }.map { $0.eventType }
    return topology.agents.reduce(into: Set(known)) { types, agent in
      if let kind = kinds[agent.kind] { types.formUnion(kind.alertTypes(agent.settings)) }
    }
  }

  /// Whether agents of a kind answer questions of a type.
  func answers(_ kind: String, _ type: EventTypeName) -> Bool {
    kinds[kind].map { Self.answers($0, type) } ?? false
  }

  private static func answers<Kind: Agent>(_ kind: Kind.Type, _ type: EventTypeName) -> Bool {
    kind.handles.answer(to: type) != nil
  }

  /// What the kind of this name declares, or nil where there is none.
  public func declaration(_ name: String) -> KindDeclaration? {
    guard let type = kinds[name] else { return nil }
    return Self.declaration(of: type)
  }

  /// The kind of this name.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that lists the names there are.
  public func kind(_ name: String) throws -> any Agent.Type {
    guard let type = kinds[name] else {
      throw HyphaError(
        .invalidTopology, "there is no kind of agent named '\(name)'",
        remedy: "use one of \(names.joined(separator: ", ")), or run the program that has it")
    }
    return type
  }

  /// Throws what the kind of this name finds wrong with an agent's settings.
  public func check(_ settings: JSONValue, of name: String) throws { try kinds[name]?.check(settings) }

  /// A state that evolves by events which are not in the log, or not the agent's own, would not come back.
  private static func checkEvolution<Kind: Agent>(of type: Kind.Type) throws {
    let published = Set(type.publishes.map { $0.eventType })
    for (name, rule) in type.evolves.rules.sorted(by: { $0.key < $1.key }) {
      guard rule.channel == .persistent else {
        throw HyphaError(
          .invalidTopology,
          "the state of kind '\(type.kind)' evolves by \(name), which is of the channel \(rule.channel)",
          remedy: "let it evolve by events of the persistent channel alone")
      }
      guard published.contains(name) else {
        throw HyphaError(
          .invalidTopology, "the state of kind '\(type.kind)' evolves by \(name), which it does not publish",
          remedy: "add \(name) to its publishes")
      }
    }
  }

  /// A value that no log has could not be read after a restart.
  private static func checkShared(by type: any Agent.Type) throws {
    let shared = type.reads + type.publishes.compactMap { $0 as? any SharedValue.Type }
    for value in shared where value.channel != .persistent {
      throw HyphaError(
        .invalidTopology,
        "the kind '\(type.kind)' shares or reads \(value.eventType), which is of the channel \(value.channel)",
        remedy: "let it be of the persistent channel, or a plain Event")
    }
  }

  /// What a kind declares.
  static func declaration<Kind: Agent>(of type: Kind.Type) -> KindDeclaration {
    KindDeclaration(
      publishes: Set(type.publishes.map { $0.eventType }), handles: type.handles.types,
      reads: Set(type.reads.map { $0.eventType }), settingNames: type.settingNames,
      answers: Set(type.handles.answers.keys),
      isOpen: type.handles.others != nil)
  }
}
