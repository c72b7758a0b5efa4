import HyphaCore
import HyphaLog
import HyphaTopology

@testable import HyphaRuntime

/// A record by the parts that a test cares for.
func record(
  _ agent: AgentID, _ channel: Channel, _ sequence: UInt64, epoch: UInt64 = 1,
  after previous: LanePoint? = nil, to addressee: AgentID? = nil, type: EventTypeName = "load.Entry",
  subject: Subject = "s", time: UInt64 = 1_000_000, byteCount: Int = 2, version: UInt16 = 1
) throws -> Record {
  let id = EventID(
    time: Timestamp(microseconds: time),
    random: sequence << 40 | epoch << 32 | UInt64(channel.rawValue) << 24 | UInt64(agent.text.utf8.first ?? 0)
      << 16)
  let header = RecordHeader(
    id: id, time: Timestamp(microseconds: time + sequence), channel: channel, agent: agent, epoch: epoch,
    sequence: sequence,
    previous: previous ?? (sequence > 1 ? LanePoint(epoch: epoch, sequence: sequence - 1) : .start),
    addressee: addressee, type: type, schemaVersion: version, subject: subject, correlation: id,
    authority: Authority(principal: agent))
  return try Record(header, payload: Array(repeating: UInt8(ascii: " "), count: byteCount))
}

func record(
  _ agent: AgentID, _ sequence: UInt64, to addressee: AgentID? = nil, type: EventTypeName = "load.Entry",
  byteCount: Int = 2
) throws -> Record {
  try record(agent, .persistent, sequence, to: addressee, type: type, byteCount: byteCount)
}

func record(_ sequence: UInt64) throws -> Record { try record("a", .persistent, sequence) }

/// `a` on node `x` and `b` on node `y` report to `root` on `hub`; `b` and `c` (on `y`) subscribe to entries.
func smallTopology() throws -> Topology {
  try Topology(
    name: "small", nodes: [NodeSpec(id: "hub"), NodeSpec(id: "x"), NodeSpec(id: "y")],
    agents: [
      AgentSpec(id: "root", kind: "supervisor", node: "hub"),
      AgentSpec(id: "a", kind: "generator", node: "x", reportsTo: "root"),
      AgentSpec(id: "a2", kind: "recorder", node: "x", reportsTo: "root"),
      AgentSpec(
        id: "b", kind: "recorder", node: "y", reportsTo: "root",
        subscribes: [Subscription(type: "load.Entry")]),
      AgentSpec(
        id: "c", kind: "recorder", node: "y", reportsTo: "root",
        subscribes: [Subscription(type: "load.Entry"), Subscription(type: "load.Alarm")]),
    ])
}

func routeTable(_ node: NodeID) throws -> RouteTable {
  RouteTable(node: node, topology: try smallTopology())
}

/// An in-memory log that commits inside `submit`.
func memoryLog(_ node: NodeID = "x", full: Bool = false) throws -> (MemoryLog, MemoryLogStore) {
  let store = MemoryLogStore(identity: LogIdentity(id: EventID(high: 7, low: 7), node: node))
  store.setFull(full)
  return (try MemoryLog(store: store, time: SimulationLoop()), store)
}
