import Foundation
import HyphaCore
import HyphaTopology

/// What is measured between which processes: the whole of what a child process must know.
struct Scene: Codable, Hashable, Sendable {
  /// Over what frames travel.
  enum Carrier: String, Codable, CaseIterable, Sendable { case ipc, tcp }
  /// How an event becomes a payload.
  enum Codec: String, Codable, CaseIterable, Sendable {
    /// The event's own `encode(into:)`.
    case bytes
    case json
  }

  var channel: Channel
  var carrier = Carrier.ipc
  var receiverCount = 1
  var payloadByteCount = 128
  var codec = Codec.bytes
  /// Publishing agents, all on one node.
  var sourceCount = 1
  /// A further agent on each side that sends and takes events of this channel at a low rate.
  var pulse: Channel?
  /// Whether the origin has the seat of an observer.
  var isObserved = false
  /// How many events are on their way at once, at the most.
  var window = 4_096
  /// Where logs and the board are.
  var directory = ""
  /// Where Unix-domain sockets are; short, since their paths are bounded.
  var socketDirectory = ""
  /// The first of the ports that are taken, four for each node and one more for each bare part.
  var port: UInt16 = 0

  /// The sizes in words: `128 B, 1 → 4, ipc, own encoding`, and the publishers where there are several.
  var text: String {
    let payload = payloadByteCount < 1024 ? "\(payloadByteCount) B" : "\(payloadByteCount / 1024) KiB"
    let codec = codec == .json ? "JSON" : "own encoding"
    let sources = sourceCount == 1 ? "" : ", \(sourceCount) publishers"
    return "\(payload), 1 → \(receiverCount), \(carrier.rawValue), \(codec)\(sources)"
  }

  // MARK: Places

  static let originName: NodeID = "origin"
  static func receiverName(_ index: Int) -> NodeID { NodeID(unchecked: "receiver-\(index)") }

  /// The address of the node with this number; the origin is 0.
  private func address(_ number: Int) -> NodeAddress {
    switch carrier {
    case .ipc: .local
    case .tcp: .tcp(host: "127.0.0.1", port: port + UInt16(4 * number))
    }
  }

  /// Where the bare publisher binds.
  var bareEndpoint: String {
    switch carrier {
    case .ipc: "ipc://\(socketDirectory)/bare"
    case .tcp: "tcp://127.0.0.1:\(port + UInt16(4 * (receiverCount + 1)))"
    }
  }

  /// How many ports in a row the scene takes.
  var portCount: Int { 4 * (receiverCount + 1) + 1 }

  /// Publishers on one node that report to the first of them, and a subscriber on each other node.
  func topology() throws -> Topology {
    let root: AgentID = "source-0"
    var agents: [AgentSpec] = []
    for index in 0..<sourceCount {
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "source-\(index)"), kind: Source.kind, node: Self.originName,
          reportsTo: index == 0 ? nil : root, settings: .object(["index": .integer(Int64(index))])))
    }
    if pulse != nil {
      agents.append(
        AgentSpec(
          id: "pulse", kind: Source.kind, node: Self.originName, reportsTo: root,
          settings: .object(["index": .integer(-1)])))
    }
    for index in 0..<receiverCount {
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "sink-\(index)"), kind: Sink.kind, node: Self.receiverName(index),
          reportsTo: root,
          subscribes: [
            Subscription(type: Readings.type(channel, codec: codec, payloadByteCount: payloadByteCount))
          ]))
      guard let pulse else { continue }
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "listener-\(index)"), kind: Sink.kind, node: Self.receiverName(index),
          reportsTo: root,
          subscribes: [Subscription(type: Readings.type(pulse, codec: .bytes, payloadByteCount: 128))]))
    }
    let nodes =
      [NodeSpec(id: Self.originName, address: address(0))]
      + (0..<receiverCount).map { NodeSpec(id: Self.receiverName($0), address: address($0 + 1)) }
    var policy = ObserverPolicy()
    policy.node = isObserved ? Self.originName : nil
    return try Topology(name: "bench", nodes: nodes, agents: agents, observer: policy)
  }
}
