import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What the nodes' logs got after the deployment had said that all is done.
struct LateEvents {
  /// How many of them have no excuse.
  private(set) var count = 0

  private let excused: Set<EventID>

  init(after atEnd: [NodeID: LoggedNode], in later: [NodeID: LoggedNode], of topology: Topology) {
    let authors = Set(topology.nodes.map(\.id.author))
    // A realtime event may come at any time; what comes of it is not waited for.
    // Nor is what nodes say of the topology and of each other.
    excused = Set(
      later.values.flatMap(\.entries).map(\.record)
        .filter { $0.said(Bell.self)?.isForSignal == true || authors.contains($0.agent) }
        .map(\.header.correlation))
    for (node, log) in later {
      let late = log.entries.dropFirst(atEnd[node]?.entries.count ?? 0).map(\.record)
      for (place, record) in late.enumerated() {
        let isExcused =
          record.type == Observed.eventType
          ? isExcused(record, before: late[(place + 1)...]) : excused.contains(record.header.correlation)
        if !isExcused { count += 1 }
      }
    }
  }

  /// How handlers ran is in the commit of what they stated, in front of that: the one has the excuse that the other has.
  private func isExcused(_ record: Record, before others: ArraySlice<Record>) -> Bool {
    guard let left = record.said(Observed.self)?.left else { return false }
    let stated = others.filter { $0.header.stream == record.header.stream }.prefix(left)
    return stated.count == left
      && stated.allSatisfy {
        $0.type == Observed.eventType || excused.contains($0.header.correlation)
      }
  }
}
