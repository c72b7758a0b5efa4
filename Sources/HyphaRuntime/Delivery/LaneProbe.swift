import HyphaCore
import HyphaTopology

/// What a receiver keeps of very many lanes, for the bench: each of the deployment's other agents has sent one event.
package final class LaneProbe {
  private let routes: RouteTable
  private let agents: [AgentID]
  private var courier: Courier
  private static let type: EventTypeName = "bench.Idle"

  /// A receiver of `laneCount` lanes that has taken nothing.
  package init(laneCount: Int) throws {
    // Names that do not fit into a string's own 15 bytes.
    agents = (0..<laneCount).map { AgentID(unchecked: "an-idle-agent-\($0)") }
    let taker = AgentSpec(
      id: "taker", kind: "taker", node: "here", subscribes: [Subscription(type: Self.type)])
    let others = agents.map { AgentSpec(id: $0, kind: "other", node: "there", reportsTo: "taker") }
    let topology = try Topology(
      name: "lanes", nodes: [NodeSpec(id: "here"), NodeSpec(id: "there")], agents: [taker] + others)
    routes = RouteTable(node: "here", topology: topology)
    courier = Courier(channel: .persistent, routes: routes, heads: [:]) { _, _ in true }
  }

  /// Takes one event of each lane.
  package func takeOneEventOfEach() throws {
    for agent in agents {
      let header = RecordHeader(
        id: EventID(high: 1, low: 1), time: Timestamp(microseconds: 1), channel: .persistent, agent: agent,
        epoch: 1, sequence: 1, previous: .start, addressee: nil, type: Self.type, subject: "bench.idle",
        correlation: EventID(high: 1, low: 1), authority: Authority(principal: agent))
      let frame = Frame(
        via: "taker", topologyVersion: 1, hops: 1, records: [try Record(header, payload: [] as [UInt8])])
      // Decoded, as it comes: with names of its own.
      let arrived = try Frame(decoding: frame.encoded())
      let actions = courier.receive(arrived, from: "there", now: Timestamp(microseconds: 2))
      guard actions.taken.count == 1 else {
        throw HyphaError(.failed, "the lane of \(agent) was not taken: \(actions.refusals)")
      }
    }
  }
}
