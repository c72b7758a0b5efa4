import HyphaCore
import Testing

@testable import HyphaTopology

/// What the observer knows of decisions, out of what desks' nodes report.
@Suite struct DecisionWatchTests {
  private static let desk: AgentID = "hypha.desk.boss"

  private func stratum(_ kind: String, _ role: String = "clerk") -> Delegation.Stratum {
    Delegation.Stratum(approver: "boss", kind: kind, requester: role)
  }

  private func topology(_ mode: ObserverPolicy.Mode, risk: Int = 2000) throws -> Topology {
    var policy = DeskPolicy(approver: "boss")
    (policy.delegation.mode, policy.delegation.risk, policy.delegation.shadowed) = (mode, risk, 4)
    var observer = ObserverPolicy()
    observer.node = "hq"
    return try Topology(
      name: "d", nodes: [NodeSpec(id: "hq"), NodeSpec(id: "far")],
      agents: [
        AgentSpec(id: "boss", kind: "k", node: "hq"),
        AgentSpec(
          id: Self.desk, kind: DeskPolicy.kind, node: "far", reportsTo: "boss",
          settings: try JSON.decode(JSONValue.self, from: JSON.encode(policy))),
      ], observer: observer)
  }

  private func id(_ number: Int) -> EventID {
    EventID(time: Timestamp(microseconds: UInt64(number) + 1), random: UInt64(number))
  }

  /// A desk that decides, and the node around it.
  private struct Desk {
    var ledger = DecisionLedger()
    var books = DecisionBooks()
    var count = 0

    mutating func state(_ event: any Event) {
      switch event {
      case let event as DecisionTaken: ledger.apply(event)
      case let event as DecisionReferred: ledger.apply(event)
      case let event as DecisionAudited: ledger.apply(event)
      case let event as DelegationChanged: ledger.apply(event)
      default: break
      }
      books.take(event, by: DecisionWatchTests.desk)
    }

    /// The node begins again.
    mutating func restart() {
      books = DecisionBooks()
      books.begin(DecisionWatchTests.desk, with: ledger)
    }
  }

  private func decide(
    _ desk: inout Desk, _ stratum: Delegation.Stratum, approved: Bool = true,
    after microseconds: UInt64 = 1000,
    by policy: DeskPolicy? = nil
  ) {
    desk.count += 1
    desk.state(
      DecisionTaken(
        decision: id(desk.count), requester: "ana", stratum: stratum, isGranted: approved,
        waitedMicroseconds: microseconds))
    guard let policy, let change = desk.ledger.change(of: stratum, approved: approved, by: policy) else {
      return
    }
    desk.state(change)
  }

  private func report(of desk: inout Desk) throws -> DecisionsReported {
    let report = desk.books.report(by: "far")
    return try #require(report)
  }

  @Test func `how long decisions wait is known to a factor of two, lately, in constant memory`() {
    var waits = DecisionWaits()
    #expect(waits.usualMicroseconds == 0)
    for _ in 0..<100 { waits.add(1000) }
    for _ in 0..<50 { waits.add(60_000_000) }
    #expect(waits.usualMicroseconds == 1024 && waits.microseconds(percent: 90) == 60_000_000)
    // What was long ago counts less and less.
    for _ in 0..<1000 { waits.add(60_000_000) }
    #expect(waits.usualMicroseconds == 60_000_000)
    waits.add(.max)
    waits.add(0)
    #expect(waits.counts.count == 65 && waits.count < 256 && waits.longestMicroseconds == .max)
  }

  @Test func `whatever reports are lost, doubled or late, what is known was so, and the newest in the end`()
    throws
  {
    for seed in seeds(50) {
      var random = SeededGenerator(seed: seed)
      var watch = DecisionWatch(try topology(.off))
      var desk = Desk()
      desk.restart()
      var history: [Delegation.Stratum: [DecisionFigure]] = [:]
      var late: [(report: DecisionsReported, time: Timestamp)] = []
      var time: UInt64 = 1
      func take(_ report: DecisionsReported, _ time: Timestamp) {
        watch.take(report, at: time)
        for line in report.lines {
          let figure = watch[line.stratum]?.line.figure
          #expect(
            figure.map { history[line.stratum]?.contains($0) == true } ?? false, "HYPHA_SEED=\(seed)")
        }
      }
      for step in 0..<120 {
        let stratum = stratum("kind \(random.next() % 90)", "r\(random.next() % 3)")
        switch random.next() % 4 {
        case 0:
          desk.state(
            DecisionTaken(
              decision: id(step), requester: "ana", stratum: stratum, isGranted: true, grant: "g",
              isAudited: true))
        case 1:
          desk.state(
            DecisionAudited(decision: id(step), stratum: stratum, grant: "g", isGranted: random.chance(50)))
        default: decide(&desk, stratum, approved: random.chance(80), after: random.next() % 9_000)
        }
        history[stratum, default: []].append(desk.ledger.figure(stratum))
        if random.chance(5) { desk.restart() }
        time += 1
        if random.chance(40), let report = desk.books.report(by: "far") {
          #expect(report.lines.count <= DecisionsReported.lineCountMax)
          // Nobody but a node that begins again says again what is lost.
          if random.chance(20) {
            late.append((report, Timestamp(microseconds: time)))
          } else {
            take(report, Timestamp(microseconds: time))
            if random.chance(20) { take(report, Timestamp(microseconds: time)) }
          }
        }
        if random.chance(30), let old = late.popLast() { take(old.report, old.time) }
      }
      desk.restart()
      while let report = desk.books.report(by: "far") {
        time += 1
        take(report, Timestamp(microseconds: time))
      }
      for old in late { take(old.report, old.time) }
      #expect(watch.lines.map(\.line.stratum) == desk.ledger.strata.map(\.stratum), "HYPHA_SEED=\(seed)")
      for known in watch.lines {
        let stratum = known.line.stratum
        #expect(known.line.figure == desk.ledger.figure(stratum), "HYPHA_SEED=\(seed)")
        #expect(known.line.report == desk.ledger.report(stratum), "HYPHA_SEED=\(seed)")
      }
      // A copy of the state says the same, and so does what a seat's snapshot keeps.
      let again = try JSON.decode(DecisionLedger.self, from: JSON.encode(desk.ledger))
      #expect(again == desk.ledger)
      var resumed = DecisionWatch(try topology(.off))
      resumed.memory = try JSON.decode([DecisionWatch.Line].self, from: JSON.encode(watch.memory))
      #expect(resumed == watch)
    }
  }

  @Test func `a decision stalls by what is usual for its kind, as was reported`() throws {
    var seat = try ObserverSeat(topology(.off))
    var desk = Desk()
    desk.restart()
    for _ in 0..<40 {
      decide(&desk, stratum("small"), after: 200_000)
      decide(&desk, stratum("large"), after: 60_000_000)
    }
    seat.take(try report(of: &desk), at: Timestamp(microseconds: 1))
    func wait(_ kind: String, _ seconds: Int) -> LoadReported.Wait {
      // By the node, all decisions of this approver take half a minute on average.
      .init(
        agent: "boss", alert: nil, type: DecisionReferred.eventType, seconds: seconds,
        usualMicroseconds: 30_000_000, decisionKind: kind)
    }
    func stalls(_ waits: LoadReported.Wait...) -> [String] {
      seat.take(LoadReported(node: "far", milliseconds: 1000, relays: [], sent: [], waits: waits))
      return seat.findings.current.keys.filter { $0.kind == .stall }.sorted().compactMap(\.about)
    }
    #expect(stalls(wait("small", 8), wait("large", 64)) == ["small"])
    #expect(stalls(wait("small", 16), wait("large", 512)) == ["large", "small"])
    #expect(stalls(wait("large", 512)) == ["large"])
    // Of a kind that is not known, what the node says counts.
    #expect(stalls(wait("other", 128)) == [] && stalls(wait("other", 256)) == ["other"])
  }

  @Test func `what could be delegated and is not is found, until it is, or a rejection comes`() throws {
    for mode in [ObserverPolicy.Mode.off, .suggest, .auto] {
      var seat = try ObserverSeat(topology(mode))
      var policy = DeskPolicy(approver: "boss")
      (policy.delegation.mode, policy.delegation.risk, policy.delegation.shadowed) = (mode, 2000, 4)
      var desk = Desk()
      desk.restart()
      var time: UInt64 = 0
      func found(_ approved: Bool = true) throws -> [String] {
        decide(&desk, stratum("trip"), approved: approved, by: policy)
        time += 1
        seat.take(try report(of: &desk), at: Timestamp(microseconds: time))
        return seat.findings.current.keys.filter { $0.kind == .delegable }.compactMap(\.about)
      }
      // Wilson's bound for no rejection is n/(n + 2.7): 0.8 at 11.
      for _ in 0..<10 { #expect(try found() == []) }
      #expect(try found() == (mode == .auto ? [] : ["trip of clerk"]), "\(mode)")
      #expect(
        desk.ledger.report(stratum("trip")).stage
          == (mode == .auto ? .delegated : mode == .off ? .shadowed : .proposed))
      let due = seat.findingsDue?.began.first?.evidence
      if mode == .auto {
        #expect(due == nil)
      } else {
        #expect(
          due
            == .decisions(
              stratum("trip"), approved: 11, of: 11, bound: 8025, needed: 8000, isProposed: mode == .suggest))
      }
      #expect(try found(false) == [], "\(mode)")
    }
  }

  @Test func `no more is kept than the bound, of desks that the topology has`() throws {
    var watch = DecisionWatch(try topology(.off))
    var taken = 0
    for number in 0..<5000 {
      let line = DecisionsReported.Line(stratum("k\(number)"), report: .init(), figure: .init())
      taken += watch.take(DecisionsReported(node: "far", lines: [line]), at: .zero).count
    }
    #expect(taken == DecisionWatch.lineCountMax && watch.lines.count == taken)
    let other = DecisionsReported.Line(.init(approver: "eve", kind: "k"), report: .init(), figure: .init())
    #expect(watch.take(DecisionsReported(node: "far", lines: [other]), at: .zero).isEmpty)
  }

  @Test func `numbers that cannot be are not taken`() throws {
    var watch = DecisionWatch(try topology(.off))
    var line = DecisionsReported.Line(
      stratum("permit"), report: Delegation.Report(), figure: DecisionFigure())
    func isTaken() -> Bool { !watch.take(DecisionsReported(node: "far", lines: [line]), at: .zero).isEmpty }
    line.waiting = .max
    #expect(!isTaken())
    line.waiting = 0
    line.figure.auditApproved = .max
    #expect(!isTaken())
    line.figure.auditApproved = -1
    #expect(!isTaken())
    line.figure.auditApproved = 3
    #expect(isTaken())
  }
}
