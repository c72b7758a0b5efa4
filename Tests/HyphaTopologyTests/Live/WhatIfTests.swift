import HyphaCore
import Testing

@testable import HyphaTopology

/// The same traffic under two topologies or policies.
@Suite struct WhatIfTests {
  /// Four branches of four agents each, or one branch with all of them.
  private func topology(isFlat: Bool = false, _ change: (inout ObserverPolicy) -> Void = { _ in }) throws
    -> Topology
  {
    var policy = ObserverPolicy()
    policy.node = "x"
    change(&policy)
    var agents = [AgentSpec(id: "root", kind: "k", node: "x")]
    for branch in 0..<4 {
      let supervisor = AgentID(unchecked: "s\(branch)")
      agents.append(AgentSpec(id: supervisor, kind: "k", node: "x", reportsTo: "root"))
      for number in 0..<4 {
        agents.append(
          AgentSpec(
            id: AgentID(unchecked: "a\(branch)\(number)"), kind: "k", node: "x",
            reportsTo: isFlat ? "s0" : supervisor))
      }
    }
    return try Topology(name: "t", nodes: [NodeSpec(id: "x")], agents: agents, observer: policy)
  }

  private func header(_ number: Int) -> RecordHeader {
    let id = EventID(high: 1, low: UInt64(number))
    return RecordHeader(
      id: id, time: Timestamp(microseconds: UInt64(number) * 1000), channel: .persistent,
      agent: "hypha.node.x", epoch: 1, sequence: UInt64(number), previous: .start, addressee: nil,
      type: FlowReported.eventType, subject: "s", correlation: id,
      authority: Authority(principal: "x", grant: "topology"))
  }

  /// The reports that nodes would make of some traffic, 1,000 events each, pairs in the order in which they came.
  private func reports(_ traffic: Traffic, _ topology: Topology) -> [FlowReported] {
    let names = topology.agents.map(\.id)
    return stride(from: 0, to: traffic.events.count, by: 1000).map { start in
      var order: [Traffic.Event] = []
      var counts: [Traffic.Event: Int] = [:]
      for event in traffic.events[start..<min(start + 1000, traffic.events.count)] {
        if counts[event] == nil { order.append(event) }
        counts[event, default: 0] += 1
      }
      return FlowReported(
        node: "x", agents: names, flows: order.flatMap { [Int($0.from), Int($0.to), counts[$0]!] },
        broadcastCount: 1)
    }
  }

  private func traffic(_ topology: Topology, seed: UInt64, events: Int = 12_000) throws -> Traffic {
    let tree = try AgentTree(topology)
    var generator = TrafficGenerator(seed: seed, .skewed, agentCount: tree.count)
    return Traffic(tree: tree, events: (0..<events).map { _ in generator.next() }.filter { $0.from != $0.to })
  }

  /// A log that has what its own observer decides, as a node's log has it.
  private func replay(_ reports: [FlowReported], _ recorded: Topology, into whatIf: inout WhatIf) throws {
    var seat = try ObserverSeat(recorded)
    for (place, report) in reports.enumerated() {
      let header = header(2 * place + 1)
      whatIf.take(report, header, at: UInt64(2 * place + 1))
      seat.take(report, header.id, correlation: header.id)
      guard let answer = seat.pending.first, case .changed(let event) = answer.content else { continue }
      seat.confirm(event, cause: answer.cause)
      var stated = self.header(2 * place + 2)
      stated.causation = header.id
      whatIf.confirm(event, stated, at: UInt64(2 * place + 2))
    }
  }

  @Test func `what was recorded costs what the simulation by reports says, and comes out again`() throws {
    for seed in seeds(4) {
      let topology = try topology { $0.charge = 3 }
      let traffic = try traffic(topology, seed: seed)
      var whatIf = try WhatIf(recorded: topology, other: topology)
      try replay(reports(traffic, topology), topology, into: &whatIf)
      let expected = try Simulation(traffic, policy: topology.observer).run(.reports)
      for row in [whatIf.recorded.row, whatIf.other.row] {
        #expect(row.hops == expected.hops && row.treeHops == expected.treeHops, "HYPHA_SEED=\(seed)")
        #expect(row.addCount == expected.addCount && row.removeCount == expected.removeCount)
        #expect(row.rootRelays == expected.rootRelays && row.supervisorRelays == expected.supervisorRelays)
        #expect(row.topologyHash == expected.topologyHash && row.readdCount == expected.readdCount)
      }
      #expect(whatIf.parting == nil && whatIf.eventCount == traffic.events.count)
      #expect(
        whatIf.broadcastCount == UInt64((traffic.events.count + 999) / 1000) && expected.changeCount > 5)
    }
  }

  @Test func `another policy costs what it would have cost alone, and parts where its links do`() throws {
    for seed in seeds(4) {
      let recorded = try topology()
      let other = try topology { $0.charge = 2 }
      let traffic = try traffic(recorded, seed: seed)
      let reports = reports(traffic, recorded)
      var whatIf = try WhatIf(recorded: recorded, other: other)
      try replay(reports, recorded, into: &whatIf)
      let expected = try Simulation(traffic, policy: other.observer).run(.reports)
      #expect(whatIf.other.row.hops == expected.hops && whatIf.other.row.addCount == expected.addCount)
      // A change costs the same on both sides.
      #expect(whatIf.other.row.totalCost == expected.hops + 10 * Int64(expected.changeCount))
      // The links of both, report by report, as seats of their own have them.
      var seats = [try ObserverSeat(recorded), try ObserverSeat(other)]
      let parted = reports.firstIndex { report in
        for index in seats.indices { seats[index].take(report, .none, correlation: .none) }
        return seats[0].observer.links != seats[1].observer.links
      }
      let parting = try #require(whatIf.parting)
      #expect(parting.position == parted.map { UInt64(2 * $0 + 1) }, "HYPHA_SEED=\(seed)")
      let missing = Set(seats[1].observer.links).subtracting(seats[0].observer.links)
      #expect(parting.differences.filter { !$0.isRecorded }.count == missing.count)
      for difference in parting.differences where !difference.isRecorded {
        #expect(difference.evidence?.isLinked == false)
      }
    }
  }

  @Test func `another hierarchy has other ways, and who is in one alone is in neither's cost`() throws {
    let recorded = try topology { $0.mode = .off }
    let flat = try topology(isFlat: true) { $0.mode = .off }
    var agents = flat.agents
    agents.removeAll { $0.id == "a33" }
    let other = try flat.replacing(agents: agents)
    var whatIf = try WhatIf(recorded: recorded, other: other)
    let report = FlowReported(
      node: "x", agents: ["a00", "a11", "a33", "gone"], flows: [0, 1, 5, 1, 0, 2, 0, 2, 3, 3, 0, 1, 0, 0, 9],
      broadcastCount: 0)
    whatIf.take(report, header(1), at: 1)
    #expect(whatIf.eventCount == 7 && whatIf.leftOutCount == 4)
    #expect(whatIf.recorded.row.hops == 28 && whatIf.other.row.hops == 14)
    #expect(whatIf.recorded.row.rootRelays == 7 && whatIf.other.row.rootRelays == 0)
    #expect(whatIf.recorded.row.supervisorRelays == 14 && whatIf.other.row.supervisorRelays == 7)
    #expect(whatIf.parting == nil)
  }

  @Test func `what the log says was changed is so, whatever the observer would decide today`() throws {
    let topology = try topology()
    var whatIf = try WhatIf(recorded: topology, other: topology)
    whatIf.take(
      FlowReported(node: "x", agents: ["a00", "a11"], flows: [0, 1, 1], broadcastCount: 0), header(1), at: 1)
    let link = DirectLink("a22", "a33")
    let change = LinkChange(
      cause: .earned, rule: nil, promoted: .init(link: link, kind: .agents, score: 1), retired: [], event: 1,
      credit: 1, threshold: 1, ledgerBefore: 0, ledgerAfter: 0, policyVersion: 1)
    whatIf.confirm(LinksChanged(version: 2, changes: [change]), header(2), at: 2)
    #expect(whatIf.recorded.links == [link] && whatIf.other.links.isEmpty)
    let parting = try #require(whatIf.parting)
    #expect(parting.position == 2 && parting.eventCount == 1 && parting.differences.map(\.link) == [link])
    #expect(parting.differences[0].isRecorded && parting.differences[0].evidence?.obstacle == .unseen)
  }

  @Test func `operators' commands are given to both, and pins part them from the start`() throws {
    let recorded = try topology()
    let other = try topology { $0.pins = [DirectLink("a00", "a11")] }
    var whatIf = try WhatIf(recorded: recorded, other: other)
    let parting = try #require(whatIf.parting)
    #expect(parting.position == nil && parting.eventCount == 0 && whatIf.other.row.changeCount == 0)
    whatIf.take(RuleAsked(rule: .pin(DirectLink("a00", "a22"))), header(1), at: 1)
    whatIf.take(RuleAsked(rule: .reject(DirectLink("a00", "a33"))), header(2), at: 2)
    #expect(whatIf.recorded.links == [DirectLink("a00", "a22")])
    #expect(whatIf.other.links == [DirectLink("a00", "a11"), DirectLink("a00", "a22")])
    #expect(whatIf.ruleCount == 2 && whatIf.other.refusedCount == 1 && whatIf.recorded.refusedCount == 0)
    whatIf.confirmUnchanged(header(3), isRefusal: true)
    #expect(whatIf.recorded.refusedCount == 1)
  }

  @Test func `both begin where a pruned log does, with what was known there`() throws {
    let topology = try topology { $0.charge = 3 }
    let reports = reports(try traffic(topology, seed: 5), topology)
    var seat = try ObserverSeat(topology)
    for report in reports.prefix(6) { seat.take(report, .none, correlation: .none) }
    seat.agreeToAll()
    var whatIf = try WhatIf(recorded: topology, other: topology)
    #expect(try whatIf.resume(seat.snapshot, at: 9))
    #expect(!whatIf.recorded.links.isEmpty && whatIf.recorded.links == whatIf.other.links)
    #expect(whatIf.recorded.row.changeCount == 0 && whatIf.parting == nil)
    let small = try self.topology().replacing(agents: Array(topology.agents.prefix(6)))
    var differing = try WhatIf(recorded: topology, other: small)
    #expect(try !differing.resume(seat.snapshot, at: 9))
    #expect(differing.other.links.isEmpty && differing.parting?.position == 9)
    var foreign = try WhatIf(recorded: small, other: topology)
    #expect(throws: HyphaError.self) { try foreign.resume(seat.snapshot, at: 9) }
  }
}

extension ObserverSeat {
  fileprivate mutating func agreeToAll() {
    while let answer = pending.first {
      if case .changed(let event) = answer.content {
        confirm(event, cause: answer.cause)
      } else {
        confirmUnchanged(cause: answer.cause)
      }
    }
  }
}
