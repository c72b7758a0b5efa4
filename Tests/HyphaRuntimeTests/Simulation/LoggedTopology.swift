import HyphaCore
import HyphaLog
import HyphaTopology

@testable import HyphaRuntime

/// What nodes have stated and know under one topology file: what checkers of the live topology look at.
struct LoggedTopology {
  /// As the file says it, without moves.
  let topology: Topology
  let logs: [NodeID: Entries]
  /// What each node knows at the end, and by which version it sends.
  let lives: [NodeID: (live: LiveTopology, sending: UInt32)]
  /// Whether it is the file that the deployment ends under.
  let isNewest: Bool

  struct Entries {
    let entries: [LogEntry]

    /// Entries with whole events in place of those that are stated in parts, each at the place of its last one.
    init(entries: [LogEntry]) {
      var parts = EventParts()
      self.entries = entries.compactMap { entry in
        parts.take(entry.record).map {
          LogEntry(
            position: entry.position, appendedAt: entry.appendedAt, source: entry.source,
            previousInStream: entry.previousInStream, previousInLane: entry.previousInLane, record: $0)
        }
      }
    }
  }

  /// All of a run under one file.
  init(_ run: ScenarioRun) {
    topology = run.scenario.topology
    logs = run.logs.mapValues { Entries(entries: $0.entries) }
    (lives, isNewest) = (run.lives, true)
  }

  /// What of a run is of one revision of the file. What nodes take each other for is of all.
  init(
    _ topology: Topology, of logs: [NodeID: [LogEntry]],
    lives: [NodeID: (live: LiveTopology, sending: UInt32)], isNewest: Bool
  ) {
    self.topology = topology
    self.logs = logs.mapValues { entries in
      Entries(
        entries: entries.filter { entry in
          let header = entry.record.header
          return MembershipEvents.all.contains(header.type)
            || header.agent.text.hasPrefix(NodeID.authorPrefix)
              && header.authority.policyVersion == topology.version
        })
    }
    (self.lives, self.isNewest) = (lives, isNewest)
  }
}

extension Record {
  /// What it says where it is of this type. The payload of another type may read as this one, too.
  func said<E: Event>(_ type: E.Type) -> E? { self.type == E.eventType ? try? E.decode(self) : nil }
}
