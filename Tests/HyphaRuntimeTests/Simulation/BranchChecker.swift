import HyphaCore
import HyphaLog
import HyphaTopology

@testable import HyphaRuntime

/// Checks the promises about branches whose supervisors' nodes are away, from what the nodes' logs have and the topology file says.
struct BranchChecker {
  private(set) var violations: [String] = []
  /// How many branches were attached elsewhere.
  private(set) var attachedCount = 0

  private let run: LoggedTopology
  private let topology: Topology

  init(_ run: ScenarioRun) { self.init(LoggedTopology(run)) }

  init(_ run: LoggedTopology) {
    self.run = run
    topology = run.topology
    checkDecisions()
    checkVersions()
    if run.isNewest { checkEnd() }
  }

  private mutating func fail(_ invariant: String, _ text: String) {
    violations.append("\(invariant): \(text)")
  }

  // MARK: branch-attached

  /// What a node's log says that it took another one for last.
  private struct Judgement {
    var isGone: Bool
    var id: EventID
    var at: Timestamp
  }

  /// A branch is attached only while its supervisor's node counts as gone, to somebody whose does not; it comes back only after that
  /// node was there for as long as others take to count as down. The cause is a judgement of the node that states it.
  private mutating func checkDecisions() {
    let seats = topology.observer.seats.isEmpty ? [topology.moveSeat] : topology.observer.seats
    for (node, log) in run.logs.sorted(by: { $0.key < $1.key }) {
      var judged: [NodeID: Judgement] = [:]
      var causes: Set<EventID> = []
      for entry in log.entries where entry.source == .stated {
        let header = entry.record.header
        func judge(_ other: NodeID, _ isGone: Bool) {
          judged[other] = Judgement(isGone: isGone, id: header.id, at: header.time)
          causes.insert(header.id)
        }
        switch header.type {
        case NodeDown.eventType: if let event = try? NodeDown.decode(entry.record) { judge(event.node, true) }
        case NodeLeft.eventType: if let event = try? NodeLeft.decode(entry.record) { judge(event.node, true) }
        case NodeUp.eventType: if let event = try? NodeUp.decode(entry.record) { judge(event.node, false) }
        case NodeReturned.eventType:
          if let event = try? NodeReturned.decode(entry.record) { judge(event.node, false) }
        case LinksChanged.eventType:
          guard let event = try? LinksChanged.decode(entry.record), let change = event.attachments else {
            continue
          }
          let stay = topology.membership.downAfter.wholeMicroseconds
          if !seats.contains(node) { fail("branch-attached", "\(node) has no say about branches") }
          if !causes.contains(header.causation) {
            fail("branch-attached", "\(node) has no cause for \(change)")
          }
          for attachment in change.attached {
            attachedCount += 1
            // One that is back and has not stayed yet counts as away, and may be attached to another than before.
            let isBack = judged[attachment.node].map { judged in
              !judged.isGone && header.time.since(judged.at).wholeMicroseconds > stay + 1_000_000
            }
            if isBack != false {
              fail("branch-attached", "\(node) attaches a branch of \(attachment.node), which is there")
            }
            if let place = topology.agent(attachment.to)?.node, judged[place]?.isGone == true {
              fail("branch-attached", "\(node) attaches a branch to \(attachment.to), which is gone")
            }
          }
          // Nobody is left to stand in for it.
          if change.turn?.isGone == true { continue }
          for supervisor in change.returned {
            guard let home = topology.agent(supervisor)?.node, home != node else { continue }
            guard let last = judged[home], !last.isGone else {
              fail("branch-returned", "\(node) gives \(supervisor) its branch back while it is gone")
              continue
            }
            if header.time.since(last.at).wholeMicroseconds + 100_000 < stay {
              fail("branch-returned", "\(node) gives \(supervisor) its branch back at once")
            }
          }
        default: break
        }
      }
    }
  }

  // MARK: topology-agrees

  /// All who come to know a version know the same attachments for it.
  private mutating func checkVersions() {
    var known: [UInt32: (attachments: [AgentID: AgentID], node: NodeID)] = [:]
    for (node, log) in run.logs.sorted(by: { $0.key < $1.key }) {
      var (version, attachments): (UInt32, [AgentID: AgentID]) = (topology.version, [:])
      for event in log.entries.compactMap({ $0.record.said(LinksChanged.self) })
      where event.version > version {
        version = event.version
        if let begun = event.begun {
          attachments = Dictionary(
            (begun.attached ?? []).map { ($0.attachment.supervisor, $0.attachment.to) }
          ) { $1 }
        }
        for supervisor in event.attachments?.returned ?? [] { attachments[supervisor] = nil }
        for attachment in event.attachments?.attached ?? [] {
          attachments[attachment.supervisor] = attachment.to
        }
        if let other = known.updateValue((attachments, node), forKey: version),
          other.attachments != attachments
        {
          fail("topology-agrees", "\(node) and \(other.node) have other attachments for version \(version)")
        }
      }
    }
  }

  // MARK: branch-returned

  /// In the end all are there, every branch is back, and every node knows that.
  private mutating func checkEnd() {
    let newest = run.lives.values.map(\.live.version).max()
    for (node, (live, sending)) in run.lives.sorted(by: { $0.key < $1.key }) {
      if !live.attachments.isEmpty {
        fail("branch-returned", "\(node) has \(live.attachments.map(\.attachment)) in the end")
      }
      if live.version != newest { fail("topology-agrees", "\(node) knows version \(live.version)") }
      if topology.canAttach, sending != live.version {
        fail("topology-followed", "\(node) sends by \(sending), not \(live.version)")
      }
    }
  }
}
