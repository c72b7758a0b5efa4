import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime
import HyphaTopology

/// Reports such as nodes make of their traffic, from the events that their logs have: for deployments that nobody has observed.
/// Realtime events are in no log, and in no such report.
struct RecordedFlows {
  private let routes: Routes
  private let meters: [(node: NodeID, meter: FlowMeter)]
  private let places: [AgentID: Int]
  private var begin: Timestamp?

  /// Nobody's traffic yet, in a topology.
  init(_ topology: Topology) {
    routes = Routes(topology)
    meters = topology.nodes.map { ($0.id, FlowMeter()) }
    var nodes: [NodeID: Int] = [:]
    for (place, node) in topology.nodes.enumerated() { nodes[node.id] = place }
    places = topology.agents.reduce(into: [:]) { places, agent in places[agent.id] = nodes[agent.node] }
  }

  /// Counts an event; where a second has passed since the last reports, they are given to `take` before that.
  mutating func count(_ replayed: ReplayedEntry, _ take: (FlowReported, RecordHeader) -> Void) throws {
    let header = try Record(replayed.entry.record).header
    guard let place = places[header.agent] else { return }
    if header.time.since(begin ?? header.time) >= .seconds(1) { finish(header, take) }
    if begin == nil { begin = header.time }
    let routes = routes
    meters[place].meter.counter(of: header.lane) { routes.destinations(of: header.lane) }.add(1)
  }

  /// Reports all that was counted. `header` is that of the event that it is reported at.
  mutating func finish(_ header: RecordHeader, _ take: (FlowReported, RecordHeader) -> Void) {
    begin = nil
    for (node, meter) in meters {
      while let report = meter.report(by: node) { take(report, header) }
    }
  }
}
