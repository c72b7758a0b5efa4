public import HyphaCore

/// Who is in a deployment, who reports to whom, and where everyone runs.
///
/// A topology is a value. It comes from a topology file (``TopologyFile``) or from code, and it is
/// checked when it is made: the agents form one tree, and every reference leads somewhere.
public struct Topology: Sendable, Hashable {
  /// The deployment's name.
  public let name: String
  /// The version that frames carry; it grows with every change.
  public let version: UInt32
  /// The one agent that reports to nobody.
  public let root: AgentID
  /// The nodes in the order of the file.
  public let nodes: [NodeSpec]
  /// The agents in the order of the file.
  public let agents: [AgentSpec]
  /// Settings of the log, the same on every node.
  public let log: LogSettings
  /// How soon alerts are to be answered.
  public let alerts: AlertSettings
  /// How nodes watch each other.
  public let membership: MembershipSettings
  /// How agents' failures are dealt with, where an agent says nothing of its own.
  public let supervision: SupervisionSettings
  /// How links are protected.
  public let security: SecuritySettings
  /// What the observer may do.
  public private(set) var observer: ObserverPolicy
  /// Which supervisors take part in what passes below them.
  public let oversight: [OversightRule]
  /// How many realtime events an agent may send, where it says nothing of its own; nil for any number.
  public let realtime: RealtimeLimit?

  /// What the topology file says, where agents are placed otherwise than there.
  struct Filed: Sendable, Hashable {
    let hash: UInt64
    let moveSeat: NodeID
    /// Which revision of the deployment's file that is, what the earlier ones were, and the agents that they had beside.
    var revision: UInt32 = 1
    var replaced: Set<String> = []
    var retired: Set<AgentID> = []
    /// The nodes that earlier files had beside, since which revision they leave; and those of them that have left.
    var leaving: [NodeID: UInt32] = [:]
    var left: Set<NodeID> = []
    /// Those of the leaves that are of nodes which have ordered moves and revisions.
    var orderers: [Departures.Leave] = []
    /// Where nodes listen beside their addresses.
    var former: [NodeID: [NodeAddress]] = [:]
  }
  private(set) var filed: Filed?

  private let nodeIndex: [NodeID: Int]
  private let agentIndex: [AgentID: Int]
  private let childIndex: [AgentID: [AgentID]]
  private let depthIndex: [AgentID: Int]

  /// Checks and makes a topology.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for the first rule that is broken: duplicate ids, an
  ///   unknown node or supervisor, a cycle, no root or more than one, oversight by nobody's supervisor.
  public init(
    name: String, version: UInt32 = 1, nodes: [NodeSpec], agents: [AgentSpec],
    log: LogSettings = LogSettings(), alerts: AlertSettings = AlertSettings(),
    membership: MembershipSettings = MembershipSettings(),
    supervision: SupervisionSettings = SupervisionSettings(),
    security: SecuritySettings = SecuritySettings(), observer: ObserverPolicy = ObserverPolicy(),
    oversight: [OversightRule] = [], realtime: RealtimeLimit? = nil
  ) throws {
    self.name = name
    self.version = version
    self.nodes = nodes
    self.agents = agents
    self.log = log
    self.alerts = alerts
    self.membership = membership
    self.supervision = supervision
    self.security = security
    self.observer = observer
    self.oversight = oversight
    self.realtime = realtime
    nodeIndex = try Self.index(nodes.map(\.id), noun: "node")
    agentIndex = try Self.index(agents.map(\.id), noun: "agent")
    for node in nodes where agentIndex[node.id.author] != nil {
      throw HyphaError(
        .invalidTopology,
        "agent '\(node.id.author)' has the name under which node '\(node.id)' states its events",
        remedy: "rename the agent")
    }
    for node in nodes { try node.replicas.check(for: node.id, among: nodes.map(\.id)) }
    if let seat = observer.node, nodeIndex[seat] == nil {
      throw HyphaError(
        .invalidTopology, "the observer is placed on node '\(seat)', which does not exist",
        remedy: "name one of \(nodes.map(\.id.text).joined(separator: ", "))")
    }
    try Self.check(observer, version: version, among: nodes.map(\.id))
    var children: [AgentID: [AgentID]] = [:]
    var roots: [AgentID] = []
    for agent in agents {
      guard nodeIndex[agent.node] != nil else {
        throw HyphaError(
          .invalidTopology, "agent '\(agent.id)' is placed on node '\(agent.node)', which does not exist",
          remedy: "add it under nodes:, or name one of \(nodes.map(\.id.text).joined(separator: ", "))")
      }
      guard let supervisor = agent.reportsTo else {
        roots.append(agent.id)
        continue
      }
      guard agentIndex[supervisor] != nil else {
        throw HyphaError(
          .invalidTopology, "agent '\(agent.id)' reports to '\(supervisor)', which does not exist",
          remedy: "add it under agents:")
      }
      children[supervisor, default: []].append(agent.id)
    }
    guard roots.count == 1, let root = roots.first else {
      throw HyphaError(
        .invalidTopology,
        roots.isEmpty
          ? "no agent is the root: all report to someone"
          : "more than one agent reports to nobody: \(roots.map(\.text).joined(separator: ", "))",
        remedy: "leave reports-to out at exactly one agent")
    }
    self.root = root
    childIndex = children
    depthIndex = Self.depths(from: root, children)
    if let lost = agents.first(where: { depthIndex[$0.id] == nil }) {
      throw HyphaError(
        .invalidTopology, "agent '\(lost.id)' has no way to the root '\(root)': its supervisors form a cycle",
        remedy: "let one of them report to an agent outside of the cycle")
    }
    for agent in agents {
      guard let problem = agent.standbyProblem(in: self) else { continue }
      throw HyphaError(.invalidTopology, problem.text, remedy: problem.remedy)
    }
    try Self.check(oversight, has: { agentIndex[$0] != nil }, leads: { children[$0] != nil })
  }

  private static func check(_ observer: ObserverPolicy, version: UInt32, among nodes: [NodeID]) throws {
    guard let standby = observer.standby else { return }
    guard let seat = observer.node else {
      throw HyphaError(
        .invalidTopology, "the observer has a standby, '\(standby)', and no seat",
        remedy: "name the node with its seat: 'observer: {node: NAME, standby: \(standby)}'")
    }
    guard nodes.contains(standby) else {
      throw HyphaError(
        .invalidTopology, "the observer's standby is node '\(standby)', which does not exist",
        remedy: "add it under nodes:, or name one of them")
    }
    guard standby != seat else {
      throw HyphaError(
        .invalidTopology, "the observer's standby is the node with its seat, '\(seat)'",
        remedy: "name another node")
    }
    // The node with the seat has the odd terms: a revision may come in a later one of its.
    guard !SeatTerm.of(version).isMultiple(of: 2) else {
      throw HyphaError(
        .invalidTopology,
        "version \(version) leaves a standby of the observer no room for versions of its own",
        remedy: "use a version below \(SeatTerm.firstVersion(of: 2))")
    }
  }

  private static func index<ID: Name>(_ ids: [ID], noun: String) throws -> [ID: Int] {
    var index: [ID: Int] = [:]
    for (place, id) in ids.enumerated() {
      guard index.updateValue(place, forKey: id) == nil else {
        throw HyphaError(
          .invalidTopology, "\(noun) '\(id)' is declared twice", remedy: "rename or remove one of them")
      }
    }
    return index
  }

  private static func depths(from root: AgentID, _ children: [AgentID: [AgentID]]) -> [AgentID: Int] {
    var depths = [root: 0]
    var layer = [root]
    while !layer.isEmpty {
      let next = layer.flatMap { children[$0] ?? [] }
      let depth = (depths[layer[0]] ?? 0) + 1
      for agent in next { depths[agent] = depth }
      layer = next
    }
    return depths
  }

  /// The same deployment with other nodes' addresses and keys, or other agents' settings.
  ///
  /// - Throws: what the initialiser throws.
  public func replacing(
    nodes: [NodeSpec]? = nil, agents: [AgentSpec]? = nil, security: SecuritySettings? = nil,
    observer: ObserverPolicy? = nil, version: UInt32? = nil
  ) throws -> Topology {
    var replaced = try Topology(
      name: name, version: version ?? self.version, nodes: nodes ?? self.nodes, agents: agents ?? self.agents,
      log: log,
      alerts: alerts, membership: membership, supervision: supervision, security: security ?? self.security,
      observer: observer ?? self.observer, oversight: oversight, realtime: realtime)
    replaced.filed = filed
    return replaced
  }

  /// The same deployment with some agents on other nodes than its file says. Its ``hash`` and its ``moveSeat`` stay those of
  /// the file.
  ///
  /// - Throws: what the initialiser throws.
  public func placing(_ places: [AgentID: NodeID]) throws -> Topology {
    guard agents.contains(where: { places[$0.id].map { [node = $0.node] in $0 != node } ?? false }) else {
      return self
    }
    var placed = try replacing(
      agents: agents.map { agent in
        var agent = agent
        agent.node = places[agent.id] ?? agent.node
        return agent
      })
    placed.filed = filed ?? Filed(hash: hash, moveSeat: moveSeat)
    return placed
  }

  mutating func revise(_ filed: Filed) { self.filed = filed }

  /// Forgets the links that its file says.
  mutating func removeLinks() { (observer.pins, observer.forbids) = ([], []) }

  /// The node that orders moves of agents: that of the observer's seat; where nobody observes, the one on which the file
  /// places the root.
  public var moveSeat: NodeID { filed?.moveSeat ?? observer.node ?? agent(root)?.node ?? nodes[0].id }

  /// The agent with this id.
  public func agent(_ id: AgentID) -> AgentSpec? { agentIndex[id].map { agents[$0] } }
  /// The node with this name.
  public func node(_ id: NodeID) -> NodeSpec? { nodeIndex[id].map { nodes[$0] } }
  /// How failures of this agent are dealt with.
  public func supervision(of id: AgentID) -> SupervisionSettings { agent(id)?.supervision ?? supervision }
  /// Those who report to `id`, in the order of the file.
  public func children(of id: AgentID) -> [AgentID] { childIndex[id] ?? [] }
  /// Those who report to `id` and are in `wanted`, in the order of the file: at the cost of the fewer of both.
  func children(of id: AgentID, in wanted: Set<AgentID>) -> [AgentID] {
    let children = children(of: id)
    guard wanted.count < children.count else { return children.filter(wanted.contains) }
    let found = wanted.compactMap { agentIndex[$0] }.filter { agents[$0].reportsTo == id }
    return found.sorted().map { agents[$0].id }
  }
  /// How far below the root `id` stands; the root is 0.
  public func depth(of id: AgentID) -> Int? { depthIndex[id] }
  /// The agents that work on `node`, in the order of the file.
  public func agents(on node: NodeID) -> [AgentSpec] {
    agents.filter { $0.node == node && !isRetired($0.id) }
  }
}

/// One process of a deployment.
public struct NodeSpec: Sendable, Hashable {
  /// The node's name.
  public var id: NodeID
  /// Where its sockets are, for those who connect to them.
  public var address: NodeAddress
  /// Where it listens, where that is another address: all addresses of its machine, or a port that is mapped.
  public var listen: NodeAddress?
  /// What other nodes know it by on TCP links.
  public var key: LinkKey?
  /// Which other nodes hold copies of all that its agents state.
  public var replicas: ReplicationSettings
  /// How much of its log it keeps, where it says so itself.
  public var retention: RetentionSettings

  /// A node at an address.
  public init(
    id: NodeID, address: NodeAddress = .local, listen: NodeAddress? = nil, key: LinkKey? = nil,
    replicas: ReplicationSettings = ReplicationSettings(),
    retention: RetentionSettings = RetentionSettings()
  ) {
    self.id = id
    self.address = address
    self.listen = listen
    self.key = key
    self.replicas = replicas
    self.retention = retention
  }
}

/// One agent's place and declarations.
public struct AgentSpec: Sendable, Hashable {
  /// The agent's id.
  public var id: AgentID
  /// The kind, by the name under which the program registers it.
  public var kind: String
  /// The node that runs it.
  public var node: NodeID
  /// Its supervisor; nil at the root.
  public var reportsTo: AgentID?
  /// Who stands in for it while its node is away; nil for its supervisor.
  public var standby: AgentID?
  /// The event types that it may publish; nil allows all that its kind declares.
  public var publishes: Set<EventTypeName>?
  /// The event types that it takes where they are published without an addressee.
  public var subscribes: [Subscription]
  /// What its kind reads at its start.
  public var settings: JSONValue
  /// How its failures are dealt with; nil for the deployment's way.
  public var supervision: SupervisionSettings?
  /// How many realtime events it may send; nil for the deployment's limit.
  public var realtime: RealtimeLimit?

  /// An agent of its parts.
  public init(
    id: AgentID, kind: String, node: NodeID, reportsTo: AgentID? = nil,
    publishes: Set<EventTypeName>? = nil, subscribes: [Subscription] = [],
    settings: JSONValue = .object([:]), supervision: SupervisionSettings? = nil,
    realtime: RealtimeLimit? = nil, standby: AgentID? = nil
  ) {
    self.standby = standby
    self.id = id
    self.kind = kind
    self.node = node
    self.reportsTo = reportsTo
    self.publishes = publishes
    self.subscribes = subscribes
    self.settings = settings
    self.supervision = supervision
    self.realtime = realtime
  }
}

/// An interest in one event type, narrowed to some subjects.
public struct Subscription: Sendable, Hashable {
  /// The event type.
  public var type: EventTypeName
  /// The subjects; the rest of the type's events is dropped at the subscriber, silently.
  public var subjects: Pattern

  /// A subscription to all of a type, or to some subjects of it.
  public init(type: EventTypeName, subjects: Pattern = .everything) {
    self.type = type
    self.subjects = subjects
  }
}

/// Settings of every node's log.
public struct LogSettings: Sendable, Hashable {
  /// The largest size to which a log may grow, in bytes. It grows by itself; a smaller bound keeps a disk free for
  /// others.
  public var mapByteCount: UInt64
  /// A payload of more bytes is stored once by its content, beside the log, and the record refers to it.
  public var inlinePayloadByteCountMax: UInt64
  /// How much of its log a node keeps that says nothing of its own.
  public var retention: RetentionSettings

  /// Default: 64 TiB, which is no bound, 64 KiB, and everything is kept.
  public init(
    mapByteCount: UInt64 = 64 << 40, inlinePayloadByteCountMax: UInt64 = 64 << 10,
    retention: RetentionSettings = RetentionSettings()
  ) {
    self.mapByteCount = mapByteCount
    self.inlinePayloadByteCountMax = inlinePayloadByteCountMax
    self.retention = retention
  }
}
