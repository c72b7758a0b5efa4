import HyphaCore
import HyphaRuntime
import HyphaTopology

/// Who is drawn, and which traffic between them: the busiest, with all supervisors above them.
struct ReportGraph {
  private(set) var nodes: [String] = []
  private(set) var agents: [ReportData.AgentData] = []
  private(set) var pairs: [ReportData.PairData] = []
  /// Whether the traffic is what nodes have reported to the observer.
  let isReported: Bool
  /// How many agents there are, and how many are not drawn.
  private(set) var agentCount = 0
  private(set) var leftOutAgentCount = 0
  /// Events of pairs that are not listed.
  private(set) var leftOutEventCount: UInt64 = 0

  /// The most agents that are drawn, and pairs that are listed.
  static let (agentCountMax, pairCountMax) = (1_500, 1_000)

  private struct Ends: Hashable {
    let from, to: String
  }

  init(_ report: RunReport, _ outline: DeploymentOutline?) {
    isReported = !report.reported.isEmpty
    let traffic = isReported ? report.reported : report.logged
    leftOutEventCount = traffic.foldedEventCount
    let flows = Self.flows(traffic, report, outline)
    var (sent, got): ([String: UInt64], [String: UInt64]) = ([:], [:])
    for (ends, flow) in flows {
      sent[ends.from, default: 0] += flow.count
      got[ends.to, default: 0] += flow.count
    }
    let known = Self.known(report, outline)
    agentCount = known.count
    let drawn = Self.drawn(known, { (sent[$0] ?? 0) + (got[$0] ?? 0) })
    leftOutAgentCount = known.count - drawn.count
    place(drawn, sent, got)
    list(flows)
  }

  /// An agent as it is known.
  private struct Known {
    let name: String
    let node: String?
    let parent: String?
    let kind: String?
  }

  private static func known(_ report: RunReport, _ outline: DeploymentOutline?) -> [Known] {
    if let outline {
      return outline.agents.map {
        Known(name: $0.id.text, node: $0.node.text, parent: $0.reportsTo?.text, kind: $0.kind)
      }
    }
    return report.agents.names.enumerated().filter { !$0.element.hasPrefix("hypha.") }.map { place, name in
      Known(name: name, node: report.homes[place]?.text, parent: nil, kind: nil)
    }
  }

  /// The flows by the names of their ends; what is published to all counts for each agent that subscribes.
  private static func flows(_ traffic: PairTraffic, _ report: RunReport, _ outline: DeploymentOutline?)
    -> [Ends: (count: UInt64, counts: [UInt32])]
  {
    var subscribers: [String: [String]] = [:]
    for agent in outline?.agents ?? [] {
      for type in agent.takes { subscribers[type.text, default: []].append(agent.id.text) }
    }
    var flows: [Ends: (count: UInt64, counts: [UInt32])] = [:]
    for flow in traffic.flows {
      let from = report.agents.names[Int(flow.pair.from)]
      let to = Int(flow.pair.to)
      let targets =
        flow.pair.isType
        ? (subscribers[report.types.names[to]] ?? []).filter { $0 != from } : [report.agents.names[to]]
      for target in targets {
        let ends = Ends(from: from, to: target)
        guard let known = flows[ends] else {
          flows[ends] = (flow.eventCount, flow.counts)
          continue
        }
        flows[ends] = (
          known.count + flow.eventCount, zip(known.counts, flow.counts).map { $0 &+ $1 }
        )
      }
    }
    return flows
  }

  /// At most ``agentCountMax`` of them: the busiest with those above them, in the order of the topology.
  private static func drawn(_ known: [Known], _ weight: (String) -> UInt64) -> [Known] {
    guard known.count > agentCountMax else { return known }
    let parents = Dictionary(known.map { ($0.name, $0.parent) }, uniquingKeysWith: { first, _ in first })
    var chosen: Set<String> = []
    let ranked = known.map { (name: $0.name, weight: weight($0.name)) }
      .sorted { ($1.weight, $0.name) < ($0.weight, $1.name) }
    for (name, _) in ranked {
      var way: [String] = []
      var next: String? = name
      while let agent = next, !chosen.contains(agent) {
        way.append(agent)
        next = parents[agent] ?? nil
      }
      guard chosen.count + way.count <= agentCountMax else { continue }
      chosen.formUnion(way)
    }
    return known.filter { chosen.contains($0.name) }
  }

  private var places: [String: Int] = [:]

  private mutating func place(_ drawn: [Known], _ sent: [String: UInt64], _ got: [String: UInt64]) {
    nodes = Set(drawn.compactMap(\.node)).sorted()
    let nodePlaces = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
    places = Dictionary(drawn.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    agents = drawn.map { agent in
      ReportData.AgentData(
        name: agent.name, node: agent.node.flatMap { nodePlaces[$0] } ?? -1,
        parent: agent.parent.flatMap { places[$0] } ?? -1, kind: agent.kind, sent: sent[agent.name] ?? 0,
        got: got[agent.name] ?? 0)
    }
  }

  private mutating func list(_ flows: [Ends: (count: UInt64, counts: [UInt32])]) {
    let sorted = flows.sorted {
      $0.value.count != $1.value.count
        ? $0.value.count > $1.value.count : ($0.key.from, $0.key.to) < ($1.key.from, $1.key.to)
    }
    for (ends, flow) in sorted {
      guard let from = places[ends.from], let to = places[ends.to], from != to,
        pairs.count < Self.pairCountMax
      else {
        leftOutEventCount += flow.count
        continue
      }
      let at = flow.counts.enumerated().flatMap { $1 > 0 ? [$0, Int($1)] : [] }
      pairs.append(.init(from: from, to: to, events: flow.count, at: at))
    }
  }
}
