import HyphaCore
import HyphaTopology

/// Recorded traffic, to be sent once more by a deployment: who sends to whom, in order.
public struct LiveTraffic: Codable, Sendable {
  /// The group of each who sends or receives; nil for those below the root.
  public var groups: [String?]
  /// For each event the places of its sender and of its receiver in ``groups``, one after the other.
  public var ends: [Int32]

  /// Traffic by its parts.
  public init(groups: [String?], events: some Sequence<(from: Int32, to: Int32)>) {
    self.groups = groups
    ends = events.flatMap { [$0.from, $0.to] }
  }

  var eventCount: Int { ends.count / 2 }
  func from(_ number: Int) -> Int { Int(ends[2 * number]) }
  func to(_ number: Int) -> Int { Int(ends[2 * number + 1]) }

  /// The first of them alone, and those who take part.
  func prefix(_ count: Int) -> LiveTraffic {
    var prefix = self
    prefix.ends = Array(ends.prefix(2 * min(count, eventCount)))
    return prefix
  }
}

/// One deployment of the traffic's agents: the whole of what a child process must know.
struct LiveScene: Codable, Sendable {
  /// The nodes beside that of the root; agents and supervisors are dealt out to them in turn, so that most events cross
  /// nodes, and most of their relays are on others.
  var nodeCount: Int
  /// Events a second over all agents.
  var rate: Double
  var isObserved: Bool
  /// Persistent or realtime: by which events the recording's are sent once more.
  var channel: Channel
  var policyKinds: [UInt8] = LinkKind.allCases.map(\.rawValue)
  /// Where logs and the traffic are, and where sockets.
  var directory: String
  var socketDirectory: String

  static let rootNode: NodeID = "hq"
  static func node(_ number: Int) -> NodeID { NodeID(unchecked: "n\(number)") }
  var nodes: [NodeID] { [Self.rootNode] + (0..<nodeCount).map { Self.node($0) } }
  var trafficPath: String { "\(directory)/traffic.json" }
  func receptionsPath(of node: NodeID) -> String { "\(directory)/\(node).receptions" }

  static let root: AgentID = "root"
  static func supervisor(_ group: String) -> AgentID { AgentID(slug: "lead \(group)") }
  static func agent(_ place: Int) -> AgentID { AgentID(unchecked: "p\(place)") }

  /// The root, a supervisor for each group, and the agents.
  func topology(_ traffic: LiveTraffic) throws -> Topology {
    func settings(_ place: Int) -> JSONValue { .object(["place": .integer(Int64(place))]) }
    var agents = [
      AgentSpec(id: Self.root, kind: Mailer.kind, node: Self.rootNode, settings: settings(-1))
    ]
    var supervisors: Set<AgentID> = []
    for group in traffic.groups.compactMap(\.self) {
      let id = Self.supervisor(group)
      guard supervisors.insert(id).inserted else { continue }
      let node = Self.node((supervisors.count * 7 + 3) % nodeCount)
      agents.append(
        AgentSpec(id: id, kind: Mailer.kind, node: node, reportsTo: Self.root, settings: settings(-1)))
    }
    for (place, group) in traffic.groups.enumerated() {
      agents.append(
        AgentSpec(
          id: Self.agent(place), kind: Mailer.kind, node: Self.node(place % nodeCount),
          reportsTo: group.map(Self.supervisor) ?? Self.root, settings: settings(place)))
    }
    var policy = ObserverPolicy()
    policy.node = isObserved ? Self.rootNode : nil
    policy.kinds = Set(policyKinds.compactMap(LinkKind.init(rawValue:)))
    return try Topology(
      name: "live", nodes: nodes.map { NodeSpec(id: $0) }, agents: agents, observer: policy)
  }
}
