import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology
import HyphaTransport
import Synchronization

/// An event that left its node with fewer copies than it was to have.
struct Early {
  var node: NodeID
  var id: EventID
  var at: UInt64
  var copyCount: Int
}

/// Looks, at the moment that a frame leaves its node, at who has its events in a synced log. It knows nothing of how nodes
/// decide: frames and logs alone.
final class Departures: Sendable {
  private let found = Mutex<[Early]>([])

  init(_ deployment: SimulatedDeployment, _ topology: Topology) {
    let (names, loop) = (Set(topology.nodes.map(\.id.author)), deployment.loop)
    for node in topology.nodes where node.replicas.level > 0 {
      // Its agent may be elsewhere by now.
      let own = deployment.stores[node.id]
      let stores = node.replicas.nodes.compactMap { deployment.stores[$0] }
      deployment.network.setLie(
        { [weak self] frame in
          guard frame.channel == .persistent, let read = try? Frame(decoding: frame.bytes),
            let first = read.records.first, own?.isStated(first.header.stream) ?? false,
            !names.contains(read.via)
          else { return [frame] }
          for record in read.records {
            let copyCount = stores.count { store in
              (store.laneEnd(record.lane) ?? .start) >= record.point
            }
            guard copyCount < node.replicas.level else { continue }
            let early = Early(
              node: node.id, id: record.header.id, at: loop.microseconds(), copyCount: copyCount)
            self?.found.withLock { $0.append(early) }
          }
          return [frame]
        }, of: node.id)
    }
  }

  /// What left early. What a node was killed right after is left out: it may have lost the note that it left in doubt.
  func early(besides kills: [(node: NodeID, at: UInt64)]) -> [Early] {
    found.withLock { $0 }.filter { early in
      !kills.contains { $0.node == early.node && $0.at >= early.at && $0.at < early.at + 100_000 }
    }
  }
}
