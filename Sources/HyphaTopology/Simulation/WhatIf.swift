public import HyphaCore

/// The same traffic under two topologies or policies: one as it was, with the links that its observer made, and another one with
/// those that its own would have made.
///
/// Both have an ``ObserverSeat``, and both get the same reports and the same operators' rules, in the order of a log. What the
/// log says that was changed is so on the recorded side, whatever the seat there says; the other side hears nothing of it.
/// What has passed is counted by the links before the report that tells of it. Pure: the same log gives the same figures.
public struct WhatIf: Sendable {
  /// One of the two.
  public struct Side: Sendable {
    public let topology: Topology
    public fileprivate(set) var seat: ObserverSeat
    /// The links that there are.
    public private(set) var links: Set<DirectLink>
    /// Rules of operators that cannot be here.
    public fileprivate(set) var refusedCount = 0

    private let tree: AgentTree
    private var meter: SimulationMeter
    private var pairs: Set<AgentPair>
    private var path = LinkedPath()

    init(_ topology: Topology, charge: Int) throws {
      self.topology = topology
      tree = try AgentTree(topology)
      seat = try ObserverSeat(topology)
      meter = SimulationMeter(.reports, tree, charge: charge)
      pairs = Set(seat.observer.links)
      links = Set(topology.observer.pins)
      meter.begin(with: pairs)
    }

    /// What it has cost so far. A change has the same charge on both sides, and links that were there from the start have none.
    public var row: SimulationRow {
      var meter = meter
      return meter.finish(topologyHash: seat.observer.topologyHash)
    }

    func knows(_ agent: AgentID) -> Bool { seat.number(of: agent) != nil }

    mutating func pass(_ flow: FlowReported.Flow) {
      guard let from = seat.number(of: flow.from), let to = seat.number(of: flow.to) else { return }
      guard path.take(tree, from: from, to: to, passing: []) else {
        let edges = tree.distance(from, to)
        return meter.count(treeHops: edges, hops: edges, times: flow.count)
      }
      if !pairs.isEmpty { path.takeLinks { pairs.contains($0) } }
      path.measure()
      meter.count(treeHops: path.edgeCount, hops: path.cost, times: flow.count)
      path.forEachRelay { meter.relayed($0, times: flow.count) }
    }

    /// Gives the seat something, and counts what it answers.
    mutating func decide(_ give: (inout ObserverSeat) -> Void) {
      let count = seat.pending.count
      give(&seat)
      for answer in seat.pending.dropFirst(count) {
        guard case .changed(let event) = answer.content else { continue }
        for change in event.changes {
          for end in change.retired {
            if let pair = pair(end.link), pairs.remove(pair) != nil { meter.remove(pair) }
          }
          if let end = change.promoted, let pair = pair(end.link), pairs.insert(pair).inserted {
            meter.add(pair)
          }
        }
      }
    }

    private func pair(_ link: DirectLink) -> AgentPair? {
      guard let one = seat.number(of: link.one), let other = seat.number(of: link.other) else { return nil }
      return AgentPair(one, other)
    }

    /// Counts what else has changed since it was last asked; whether the links are other ones than then.
    mutating func settle() -> Bool {
      let now = Set(seat.observer.links)
      for pair in pairs.subtracting(now).sorted() { meter.remove(pair) }
      for pair in now.subtracting(pairs).sorted() { meter.add(pair) }
      pairs = now
      let named = Set(now.map { DirectLink(seat.name($0.low), seat.name($0.high)) })
      defer { links = named }
      return named != links
    }

    /// Begins with what an observer knew at a place of a log; false, and nothing has changed, where that is of another hierarchy.
    mutating func resume(_ snapshot: ObserverSeat.Snapshot) -> Bool {
      var next = seat
      guard (try? next.resume(snapshot)) != nil else { return false }
      seat = next
      pairs = Set(next.observer.links)
      links = Set(pairs.map { DirectLink(next.name($0.low), next.name($0.high)) })
      meter = SimulationMeter(.reports, tree, charge: Int(meter.row.charge))
      meter.begin(with: pairs)
      return true
    }
  }

  /// Where the links of both are other ones for the first time.
  public struct Parting: Sendable {
    /// The place in the log; nil where they differ from the start, or the traffic is from several logs.
    public var position: UInt64?
    public var time: Timestamp
    /// How many events of pairs of agents had been reported.
    public var eventCount: Int
    /// Links that one has and the other has not, and what both observers know of each; nil where it has not both agents.
    public var differences: [Difference]
  }

  /// A link that one of the two has.
  public struct Difference: Sendable {
    public var link: DirectLink
    public var isRecorded: Bool
    /// What the side knows that does not have it.
    public var evidence: LinkEvidence?
  }

  public private(set) var recorded: Side
  public private(set) var other: Side
  /// Where they part; nil as long as they have the same links.
  public private(set) var parting: Parting?
  /// Events of pairs of which both topologies have both agents, and all others: these are in neither's cost.
  public private(set) var eventCount = 0
  public private(set) var leftOutCount = 0
  /// Events for so many agents each that nobody has counted them pair by pair.
  public private(set) var broadcastCount: UInt64 = 0
  public private(set) var ruleCount = 0

  /// Two deployments before any traffic. Changes cost what the recorded policy says.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for a policy out of bounds and for pins that cannot be.
  public init(recorded: Topology, other: Topology) throws {
    self.recorded = try Side(recorded, charge: recorded.observer.charge)
    self.other = try Side(other, charge: recorded.observer.charge)
    compare(at: nil, .zero, isBeginning: true)
  }

  /// Begins both where the recorded one was at a place of its log.
  ///
  /// - Returns: whether the other one could take up what was known there; else it begins with its own pins.
  /// - Throws: ``HyphaError/Code/invalidTopology`` where the recorded one could not.
  public mutating func resume(_ snapshot: ObserverSeat.Snapshot, at position: UInt64) throws -> Bool {
    guard recorded.resume(snapshot) else {
      throw HyphaError(
        .invalidTopology, "what the observer knew at position \(position) is of another topology",
        remedy: "give the topology file that the logs were written under")
    }
    let both = other.resume(snapshot)
    parting = nil
    compare(at: position, .zero, isBeginning: true)
    return both
  }

  /// Takes a report, which stands at `position` of the log.
  public mutating func take(_ report: FlowReported, _ header: RecordHeader, at position: UInt64?) {
    broadcastCount &+= report.broadcastCount
    for flow in report.pairs where flow.from != flow.to {
      guard [flow.from, flow.to].allSatisfy({ recorded.knows($0) && other.knows($0) }) else {
        leftOutCount += flow.count
        continue
      }
      eventCount += flow.count
      recorded.pass(flow)
      other.pass(flow)
    }
    recorded.decide { $0.take(report, header.id, correlation: header.correlation) }
    other.decide { $0.take(report, header.id, correlation: header.correlation) }
    other.agree()
    compare(at: position, header.time)
  }

  /// Takes what an operator asked for: it is asked of both.
  public mutating func take(_ asked: RuleAsked, _ header: RecordHeader, at position: UInt64?) {
    ruleCount += 1
    recorded.decide { $0.take(asked, header.id, correlation: header.correlation) }
    other.decide { $0.take(asked, header.id, correlation: header.correlation) }
    other.agree()
    compare(at: position, header.time)
  }

  /// Takes note of what the log says that was changed.
  public mutating func confirm(_ event: LinksChanged, _ header: RecordHeader, at position: UInt64?) {
    recorded.seat.confirm(event, cause: header.causation)
    compare(at: position, header.time)
  }

  /// Takes note that the log says that something was suggested or refused.
  public mutating func confirmUnchanged(_ header: RecordHeader, isRefusal: Bool) {
    recorded.seat.confirmUnchanged(cause: header.causation)
    if isRefusal { recorded.refusedCount += 1 }
  }

  private mutating func compare(at position: UInt64?, _ time: Timestamp, isBeginning: Bool = false) {
    let changes = [recorded.settle(), other.settle()]
    guard parting == nil, isBeginning || changes.contains(true), recorded.links != other.links else { return }
    let missing = recorded.links.subtracting(other.links).sorted().map {
      Difference(link: $0, isRecorded: true, evidence: try? other.seat.evidence($0))
    }
    let added = other.links.subtracting(recorded.links).sorted().map {
      Difference(link: $0, isRecorded: false, evidence: try? recorded.seat.evidence($0))
    }
    parting = Parting(position: position, time: time, eventCount: eventCount, differences: missing + added)
  }
}

extension WhatIf.Side {
  /// Takes all that the seat has decided for done.
  fileprivate mutating func agree() {
    while let answer = seat.pending.first {
      switch answer.content {
      case .changed(let event): seat.confirm(event, cause: answer.cause)
      case .suggested: seat.confirmUnchanged(cause: answer.cause)
      case .superseded(let event): seat.confirm(event, cause: answer.cause)
      case .refused:
        refusedCount += 1
        seat.confirmUnchanged(cause: answer.cause)
      }
    }
  }
}
