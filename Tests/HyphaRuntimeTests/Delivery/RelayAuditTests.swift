import HyphaCore
import HyphaLog
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// What is decided about events that others relayed: which runs are asked for, and what the answers mean.
@Suite struct RelayAuditTests {
  private let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))

  private func time(_ milliseconds: UInt64) -> Timestamp { Timestamp(microseconds: milliseconds * 1000) }

  private func own(_ lane: Lane, after: UInt64, through: UInt64, digest: UInt8 = 7) -> OwnRun {
    OwnRun(
      run: LaneRun(
        lane: lane, after: after == 0 ? .start : LanePoint(epoch: 1, sequence: after),
        through: LanePoint(epoch: 1, sequence: through)),
      digest: [UInt8](repeating: digest, count: 32), position: Position(rawValue: through),
      count: Int(through - after), isFull: false)
  }

  private func answer(_ own: OwnRun, _ verdict: RunVoucher.Verdict? = nil) -> RunVoucher.Entry {
    .init(run: own.run, verdict: verdict ?? .digest(own.digest))
  }

  // MARK: The machine

  @Test func `a run counts as checked once its origin has signed its digest, and not before`() {
    var audit = RelayAudit(heads: [:])
    for number in 1...5 { audit.took(lane, at: Position(rawValue: UInt64(number))) }
    #expect(audit.uncheckedCount == 5)
    #expect(audit.due(now: time(1), upTo: 9).map(\.after) == [.start])
    let question = own(lane, after: 0, through: 5)
    audit.asked(lane, question, now: time(1))
    #expect(audit.due(now: time(2), upTo: 9).isEmpty, "one question at a time")
    // An answer to another question, or to none.
    #expect(audit.answered(answer(own(lane, after: 0, through: 4)), now: time(2)) == nil)
    #expect(audit.answered(answer(own(lane, after: 1, through: 5)), now: time(2)) == nil)
    #expect(audit.uncheckedCount == 5)
    #expect(audit.answered(answer(question), now: time(3)) == nil)
    #expect(audit.uncheckedCount == 0)
    #expect(audit.due(now: time(60_000), upTo: 9).isEmpty, "there is nothing to ask for")
    audit.took(lane, at: Position(rawValue: 6))
    #expect(audit.due(now: time(100), upTo: 9).isEmpty, "the lane rests")
    #expect(audit.due(now: time(300), upTo: 9).map(\.after) == [Position(rawValue: 5)])
  }

  @Test func `a lane is open until its origin has confirmed all, and not where there is none to ask`() {
    var audit = RelayAudit(heads: [:])
    audit.took(lane, at: Position(rawValue: 2), count: 2)
    #expect(audit.openLanes == [lane])
    let question = own(lane, after: 0, through: 2)
    audit.asked(lane, question, now: time(1))
    #expect(audit.openLanes == [lane] && audit.answered(answer(question), now: time(2)) == nil)
    #expect(audit.openLanes.isEmpty)
    let left = Lane(agent: "b", channel: .persistent, target: .type("load.Entry"))
    audit.took(left, at: Position(rawValue: 5), count: 3, hasOrigin: false)
    #expect(audit.openLanes.isEmpty && audit.due(now: time(60_000), upTo: 9).isEmpty)
    #expect(audit.uncheckedCount == 3, "it is not confirmed for that")
  }

  @Test
  func `a lane is open from when its events are given to the log until they are confirmed, or do not come`() {
    var audit = RelayAudit(heads: [:])
    for _ in 1...2 { audit.submitted(lane) }
    #expect(audit.openLanes == [lane] && audit.due(now: time(60_000), upTo: 9).isEmpty)
    audit.settled(lane)
    #expect(audit.openLanes == [lane], "one does not come, and the other one is on its way")
    audit.took(lane, at: Position(rawValue: 2), count: 2)
    audit.settled(lane)
    let question = own(lane, after: 0, through: 2)
    audit.asked(lane, question, now: time(1))
    audit.submitted(lane)
    #expect(audit.answered(answer(question), now: time(2)) == nil)
    #expect(audit.openLanes == [lane], "more is on its way")
    audit.settled(lane)
    #expect(audit.openLanes.isEmpty)
  }

  @Test func `an origin that answers too late at first is told of all the same`() {
    var audit = RelayAudit(heads: [:])
    audit.took(lane, at: Position(rawValue: 1))
    let question = own(lane, after: 0, through: 1)
    for number in 1...7 as ClosedRange<UInt64> { audit.asked(lane, question, now: time(number)) }
    #expect(audit.answered(answer(question, .unknown), now: time(8)) == .disowned(question))
    audit.asked(lane, question, now: time(9))
    #expect(audit.answered(answer(question, .unknown), now: time(10)) == nil, "once")
  }

  @Test func `another digest of its origin contradicts a lane, once`() {
    var audit = RelayAudit(heads: [:])
    audit.took(lane, at: Position(rawValue: 1))
    let question = own(lane, after: 0, through: 1)
    audit.asked(lane, question, now: time(1))
    let other = answer(question, .digest([UInt8](repeating: 8, count: 32)))
    #expect(audit.answered(other, now: time(2)) == .contradicted(question))
    #expect(audit.answered(other, now: time(2)) == nil)
    #expect(audit.contradicted == [lane])
    audit.took(lane, at: Position(rawValue: 2))
    #expect(audit.due(now: time(60_000), upTo: 9).isEmpty)
  }

  @Test func `a run that its origin does not have is asked for ever less often, and told once`() {
    var audit = RelayAudit(heads: [:])
    audit.took(lane, at: Position(rawValue: 1))
    let question = own(lane, after: 0, through: 1)
    var (asked, findings, now): ([UInt64], [RelayAudit.Finding], UInt64) = ([], [], 0)
    while asked.count < 12 {
      now += 25
      guard !audit.due(now: time(now), upTo: 1).isEmpty else { continue }
      // Every other time the same run, so that an origin that has moved on can say what it has there.
      #expect(audit.due(now: time(now), upTo: 1)[0].again == (asked.count % 2 == 1 ? question : nil))
      asked.append(now)
      audit.asked(lane, question, now: time(now))
      if let finding = audit.answered(answer(question, .unknown), now: time(now)) { findings.append(finding) }
    }
    #expect(findings == [.disowned(question)])
    #expect(audit.openLanes.isEmpty, "the operator knows")
    let waits = zip(asked, asked.dropFirst()).map { $1 - $0 }
    #expect(waits == waits.sorted() && waits[0] >= 200 && waits.last! > 50_000)
    #expect(audit.uncheckedCount == 1 && audit.contradicted.isEmpty)
    // It may have been on its way into the log, and then it is there.
    audit.asked(lane, question, now: time(now))
    #expect(audit.answered(answer(question), now: time(now)) == nil)
    #expect(audit.uncheckedCount == 0)
  }

  @Test func `an origin that does not answer is asked ever less often`() {
    var audit = RelayAudit(heads: [:])
    audit.took(lane, at: Position(rawValue: 1))
    var (asked, now): ([UInt64], UInt64) = ([], 0)
    while asked.count < 10 {
      now += 100
      guard !audit.due(now: time(now), upTo: 1).isEmpty else { continue }
      asked.append(now)
      audit.asked(lane, own(lane, after: 0, through: 1), now: time(now))
    }
    #expect(zip(asked, asked.dropFirst()).map { $1 - $0 }.prefix(4) == [2000, 4000, 8000, 16_000])
  }

  @Test func `every lane gets its turn, and what its origin confirms in any order is counted`() {
    for seed in seeds(300) {
      var random = SeededGenerator(seed: seed)
      let lanes = (0..<10).map { number in
        Lane(agent: AgentID(unchecked: "a\(number)"), channel: .persistent, target: .type("load.Entry"))
      }
      var audit = RelayAudit(heads: [:])
      var heads: [Lane: UInt64] = [:]
      var open: [OwnRun] = []
      var checked: [Lane: UInt64] = [:]
      for step in UInt64(0)..<600 {
        let now = time(step * 50)
        let isEnding = step > 300
        if !isEnding, random.chance(0.6), let lane = lanes.randomElement(using: &random) {
          heads[lane, default: 0] += 1
          audit.took(lane, at: Position(rawValue: heads[lane] ?? 0))
        }
        for turn in audit.due(now: now, upTo: 3) {
          let (lane, after) = (turn.lane, turn.after)
          #expect(after?.rawValue == checked[lane] ?? 0, "seed \(seed)")
          let run = own(lane, after: after?.rawValue ?? 0, through: heads[lane] ?? 0)
          audit.asked(lane, run, now: now)
          open.append(run)
        }
        // Answers come late, twice, or not at all.
        if let run = open.randomElement(using: &random), random.chance(isEnding ? 1 : 0.7) {
          if random.chance(isEnding ? 1 : 0.5) { open.removeAll { $0 == run } }
          let before = audit.uncheckedCount
          #expect(audit.answered(answer(run), now: now) == nil, "seed \(seed)")
          if audit.uncheckedCount < before { checked[run.run.lane] = run.run.through.sequence }
        }
        let unchecked = heads.reduce(0) { $0 + $1.value - (checked[$1.key] ?? 0) }
        #expect(audit.uncheckedCount == unchecked, "seed \(seed)")
      }
      #expect(audit.uncheckedCount == 0, "seed \(seed): not every lane got its turn")
    }
  }

  // MARK: Runs of two logs

  private func log(_ records: [Record], of node: NodeID) throws -> MemoryLog {
    let (log, _) = try memoryLog(node)
    let source: EntrySource = node == "x" ? .stated : .received(hops: 1)
    log.submit(LogBatch(appends: records.map { .init($0, source: source) })) { _ in }
    return log
  }

  private func verdict(_ run: LaneRun, _ server: RunServer) -> RunVoucher.Verdict? {
    guard case .vouched(let voucher) = server.answer([run], for: "y") else { return nil }
    #expect(TestNotary("y").hasSigned("x", voucher.statement, voucher.signature))
    return voucher.entries.first?.verdict
  }

  private func server(_ log: MemoryLog) throws -> RunServer {
    RunServer(log: log, routes: try routeTable("x"), notary: TestNotary("x"))
  }

  @Test(arguments: [2, 3000]) func `a lane of two logs has the same runs, each within its bounds`(
    byteCount: Int
  ) throws {
    let records = try (1...2500).map { try record("a", $0, byteCount: byteCount) }
    let server = try server(log(records, of: "x"))
    let own = OwnRuns(log: try log(records, of: "y"), notary: TestNotary("y"))
    var (after, count): (Position, Int) = (.start, 0)
    while let run = try own.next(of: lane, after: after) {
      #expect(verdict(run.run, server) == .digest(run.digest))
      #expect(run.count <= RunContent.countMax && run.count * byteCount < RunContent.byteCountMax + 4000)
      #expect(run.run.after == (count == 0 ? .start : LanePoint(epoch: 1, sequence: UInt64(count))))
      (after, count) = (run.position, count + run.count)
      #expect(run.isFull == (count < 2500))
    }
    #expect(count == 2500)
    // After a start the newest ones are looked at again.
    let newest = try #require(try own.next(of: lane, after: nil))
    #expect(newest.run.after.sequence == 2500 - 1024)
  }

  @Test func `what was changed, left out, added or moved on the way has another digest`() throws {
    let records = try (1...9).map { try record("a", $0) }
    let server = try server(log(records, of: "x"))
    func changed(_ place: Int, _ change: (inout RecordHeader, inout [UInt8]) -> Void) throws -> Record {
      var (header, payload) = (records[place].header, Array(records[place].payload))
      change(&header, &payload)
      return try Record(header, payload: payload)
    }
    let point = { LanePoint(epoch: 1, sequence: $0) }
    let lies: [[Record]] = [
      records.prefix(4) + [try changed(4) { $1 += [32] }] + records.suffix(4),
      records.prefix(4) + [try changed(4) { header, _ in header.subject = "t" }] + records.suffix(4),
      records.prefix(4) + [try changed(5) { header, _ in header.previous = point(4) }] + records.suffix(3),
      [try changed(1) { header, _ in header.previous = .start }] + records.suffix(7),
      records.prefix(8) + [try changed(8) { header, _ in header.id = EventID(high: 1, low: 1) }],
    ]
    for (number, lie) in lies.enumerated() {
      let own = OwnRuns(log: try log(lie, of: "y"), notary: TestNotary("y"))
      let run = try #require(try own.next(of: lane, after: .start))
      let said = try #require(verdict(run.run, server))
      guard case .digest(let digest) = said else {
        Issue.record("lie \(number): \(said)")
        continue
      }
      #expect(digest != run.digest, "lie \(number)")
    }
    // An event behind the end is nothing that the origin could have a digest of.
    #expect(verdict(LaneRun(lane: lane, after: point(9), through: point(10)), server) == .unknown)
    #expect(verdict(LaneRun(lane: lane, after: point(4), through: point(10)), server) == .unknown)
    #expect(
      verdict(LaneRun(lane: lane, after: LanePoint(epoch: 0, sequence: 3), through: point(9)), server)
        == .unknown)
  }

  @Test func `what an origin has lost is left out of the runs around it`() throws {
    // The origin sent 5 and 6 of its first epoch, lost them, and goes on after 4.
    let kept = try (1...4).map { try record("a", $0) }
    let lost = try (5...6).map { try record("a", $0) }
    let after = LanePoint(epoch: 1, sequence: 4)
    let later = [
      try record("a", .persistent, 1, epoch: 2, after: after), try record("a", .persistent, 2, epoch: 2),
    ]
    let server = try server(log(kept + later, of: "x"))
    let own = OwnRuns(log: try log(kept + lost + later, of: "y"), notary: TestNotary("y"))
    let first = try #require(try own.next(of: lane, after: .start))
    #expect(first.run.through == after && verdict(first.run, server) == .digest(first.digest))
    let second = try #require(try own.next(of: lane, after: first.position))
    #expect(second.run.after == after && second.run.through == LanePoint(epoch: 2, sequence: 2))
    #expect(verdict(second.run, server) == .digest(second.digest))
    #expect(try own.next(of: lane, after: second.position) == nil)
  }

  @Test func `a node vouches for its own lanes alone, to nodes that they are for`() throws {
    let server = try server(log(try (1...3).map { try record("a", $0) }, of: "x"))
    let run = LaneRun(lane: lane, after: .start, through: LanePoint(epoch: 1, sequence: 3))
    var foreign = run
    foreign.lane = Lane(agent: "b", channel: .persistent, target: .type("load.Entry"))
    for (asked, node) in [(run, "hub"), (run, "nobody"), (foreign, "y")] as [(LaneRun, NodeID)] {
      var told: [String] = []
      guard case .vouched(let voucher) = server.answer([asked], for: node, tell: { told.append($0) }) else {
        Issue.record("'\(node)' is not answered")
        continue
      }
      #expect(voucher.entries == [.init(run: asked, verdict: .unknown)])
      #expect(told.count == 1 && told[0].contains("does not go from 'x' to '\(node)'"), "\(told)")
    }
  }

  @Test func `a run that may not be vouched for, or cannot be read, keeps no other from being vouched for`()
    throws
  {
    let log = try log(try (1...3).map { try record("a", $0) } + [record("a2", 1, to: "b")], of: "x")
    let second = Position(rawValue: 2)
    let server = RunServer(
      log: GappedReader(log, lost: second...second, pruned: false, isUnreadable: true),
      routes: try routeTable("x"), notary: TestNotary("x"))
    let through = { LanePoint(epoch: 1, sequence: $0) }
    let good = LaneRun(
      lane: Lane(agent: "a2", channel: .persistent, target: .addressee("b")), after: .start,
      through: through(1))
    var foreign = good
    foreign.lane = Lane(agent: "b", channel: .persistent, target: .type("load.Entry"))
    let unreadable = LaneRun(lane: lane, after: .start, through: through(3))
    for runs in [[foreign, unreadable, good], [good, unreadable, foreign]] {
      var told: [String] = []
      guard case .vouched(let voucher) = server.answer(runs, for: "y", tell: { told.append($0) }) else {
        Issue.record("all is refused because of one")
        continue
      }
      #expect(voucher.entries.map(\.run) == runs && told.count == 2, "\(told)")
      for entry in voucher.entries {
        if case .digest = entry.verdict {
          #expect(entry.run == good)
        } else {
          #expect(entry.run != good && entry.verdict == .unknown)
        }
      }
    }
  }

  @Test func `what its origin does not vouch for is not confirmed, and is not waited for for ever`() throws {
    let records = try (1...3).map { try record("a", $0) }
    let auditor = try RelayAuditor(
      log: try log(records + [record("a", .persistent, 4, after: .start, to: "b")], of: "y"),
      routes: try routeTable("y"),
      notary: TestNotary("y"))
    // The origin goes by another file, by which the one lane is not for this node.
    let server = try server(try log(records + [record("a", .persistent, 4, after: .start, to: "b")], of: "x"))
    var (now, findings, asked): (UInt64, [RelayAudit.Finding], [LaneRun]) = (0, [], [])
    while auditor.awaits("x"), now < 120_000 {
      now += 25
      for (node, question) in try auditor.questions(now: time(now)) {
        guard case .vouch(let runs) = question else { continue }
        asked += runs
        let answers = runs.map { run in
          run.lane == lane ? server.answer([run], for: "nobody") : server.answer([run], for: "y")
        }
        for case .vouched(let voucher) in answers {
          findings += try auditor.take(voucher, from: node, now: time(now))
        }
      }
    }
    #expect(!auditor.awaits("x") && asked.filter { $0.lane == lane }.count >= RelayAudit.disownedCount)
    #expect(asked.filter { $0.lane != lane }.count == 1, "it was confirmed at once")
    #expect(findings.count == 1 && auditor.counts.contradicted == 0)
  }

  @Test func `that a run is not known is taken from its origin alone`() throws {
    let log = try log(try (1...3).map { try record("a", $0) }, of: "y")
    let auditor = try RelayAuditor(log: log, routes: try routeTable("y"), notary: TestNotary("y"))
    var now: UInt64 = 0
    for _ in 0..<400 {
      now += 1000
      for case (_, .vouch(let runs)) in try auditor.questions(now: time(now)) {
        let entries = runs.map { RunVoucher.Entry(run: $0, verdict: .unknown) }
        let voucher = RunVoucher(origin: "x", entries: entries, sign: TestNotary("x").sign)
        #expect(try auditor.take(voucher, from: "hub", now: time(now)).isEmpty)
      }
    }
    #expect(auditor.awaits("x"))
  }

  @Test func `only what others brought is asked about, and not what was stated here`() throws {
    // The way from a to a2 leads over hub; but both are on x.
    let stated = try log([try record("a", 1, to: "a2")], of: "x")
    let auditor = try RelayAuditor(log: stated, routes: try routeTable("x"), notary: TestNotary("x"))
    #expect(try auditor.questions(now: time(1)).isEmpty)
    let received = try log([try record("a", 1, to: "b")], of: "y")
    let other = try RelayAuditor(log: received, routes: try routeTable("y"), notary: TestNotary("y"))
    #expect(try other.questions(now: time(1)).map(\.node) == ["x"])
  }

  @Test func `nothing is believed that its origin has not signed, and nothing of another's lanes`() throws {
    let records = try (1...3).map { try record("a", $0) }
    let log = try log(records, of: "y")
    let auditor = try RelayAuditor(log: log, routes: try routeTable("y"), notary: TestNotary("y"))
    let questions = try auditor.questions(now: time(1))
    guard case .vouch(let runs)? = questions.first?.question, let run = runs.first else {
      Issue.record("nothing is asked: \(questions)")
      return
    }
    #expect(questions.map(\.node) == ["x"] && run.through.sequence == 3)
    let wrong = [RunVoucher.Entry(run: run, verdict: .digest([UInt8](repeating: 0, count: 32)))]
    for (origin, signer) in [("x", "hub"), ("hub", "hub"), ("x", "y")] as [(NodeID, NodeID)] {
      let voucher = RunVoucher(origin: origin, entries: wrong, sign: TestNotary(signer).sign)
      #expect(throws: HyphaError.self) { try auditor.take(voucher, from: "hub", now: time(2)) }
    }
    #expect(auditor.counts.contradicted == 0)
    let voucher = RunVoucher(origin: "x", entries: wrong, sign: TestNotary("x").sign)
    #expect(try auditor.take(voucher, from: "hub", now: time(2)).count == 1)
    #expect(auditor.counts.contradicted == 1)
  }
}
