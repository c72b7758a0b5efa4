import HyphaCore
import Testing

@testable import HyphaTopology

/// What decides which questions are ambient, as a fold of the log.
@Suite struct AmbientSeatTests {
  private let agents: Set<AgentID> = ["shop", "bank", "ana"]

  private func seat(_ change: (inout ObserverPolicy) -> Void = { _ in }) -> AmbientSeat {
    var policy = ObserverPolicy()
    policy.node = "x"
    change(&policy)
    return AmbientSeat(agents: agents, nodeCount: 2, policy: policy)
  }

  private func id(_ number: UInt64) -> EventID { EventID(high: 1, low: number) }

  private func key(_ number: UInt64, _ answerer: AgentID = "shop") -> QuestionKey {
    QuestionKey(answerer, "Price", hash: number)
  }

  private func repeated(_ key: QuestionKey, _ count: Int = 20, changes: Int = 0, stated: Int = 0)
    -> QuestionsReported.Line
  {
    .init(
      key, sample: "{}", asks: count + changes, unchanged: count, repeats: count, changes: changes,
      stated: stated)
  }

  private func report(_ lines: QuestionsReported.Line...) -> QuestionsReported {
    QuestionsReported(node: "x", questions: lines)
  }

  private func changes(_ seat: AmbientSeat) -> [QuestionsChanged] {
    seat.pending.compactMap { if case .changed(let event) = $0.content { event } else { nil } }
  }

  /// What is decided comes to the log at once.
  private func settle(_ seat: inout AmbientSeat) {
    for answer in seat.takeDue() {
      switch answer.content {
      case .changed(let event): seat.confirm(event, cause: answer.cause)
      case .suggested(let event): seat.confirm(event, cause: answer.cause)
      case .refused(let event): seat.confirm(event, cause: answer.cause)
      }
    }
  }

  @Test func `a question that repeats is promoted with its evidence, one that changes is not`() throws {
    var seat = seat()
    seat.take(report(repeated(key(1), 14)), id(1), correlation: id(1))
    #expect(seat.pending.isEmpty, "it has not paid yet")
    seat.take(report(repeated(key(1), 4), repeated(key(2), 40, changes: 6)), id(2), correlation: id(2))
    let change = try #require(changes(seat).first)
    #expect(seat.pending.count == 1 && seat.pending[0].cause == id(2))
    #expect(change.version == 1 && change.promoted.map(\.key) == [key(1)])
    let evidence = try #require(change.changes.first?.evidence)
    #expect(
      change.changes[0].cause == .earned && evidence.credit >= evidence.threshold && evidence.asks == 17)
    settle(&seat)
    #expect(seat.pending.isEmpty && seat.view.isPromoted(key(1)))
  }

  @Test
  func `answers that change too often, and copies that save nothing, end it, and it must be earned anew`() {
    for worse in [repeated(key(1), 4, changes: 6), repeated(key(1), 0, stated: 60)] {
      var seat = seat()
      seat.take(report(repeated(key(1))), id(1), correlation: id(1))
      settle(&seat)
      // A few changes are borne.
      seat.take(report(repeated(key(1), 0, changes: 1)), id(2), correlation: id(2))
      #expect(seat.pending.isEmpty)
      seat.take(report(worse), id(3), correlation: id(3))
      #expect(changes(seat).first?.changes.first?.cause == .changing && !seat.view.isPromoted(key(1)))
      settle(&seat)
      seat.take(report(repeated(key(1), 10)), id(4), correlation: id(4))
      #expect(seat.pending.isEmpty, "what it had before counts no more")
    }
  }

  @Test func `what nobody asks for long goes, however quiet it is otherwise`() {
    var seat = seat()
    seat.take(report(repeated(key(1))), id(1), correlation: id(1))
    settle(&seat)
    for _ in 0..<128 { seat.tick() }
    seat.take(report(repeated(key(9), 1)), id(2), correlation: id(2))
    #expect(changes(seat).first?.changes.map(\.cause) == [.idle])
  }

  // MARK: Audiences

  /// A report of a node whose agents were answered from copies.
  private func used(_ key: QuestionKey, at node: NodeID, _ count: Int = 3) -> QuestionsReported {
    QuestionsReported(node: node, questions: [.init(key, local: count)])
  }

  private func audience(_ seat: AmbientSeat, _ key: QuestionKey) -> [NodeID]? {
    seat.view.promoted.first { $0.key == key }?.audience
  }

  @Test func `nodes that use copies again and again become an audience, and who stops leaves it`() throws {
    var seat = seat()
    let rounds = Int(AmbientSeat.Limits.audienceReportCount)
    // What is not ambient earns no audience.
    for _ in 0..<rounds { seat.take(used(key(1), at: "z", 1), id(1), correlation: id(1)) }
    seat.take(report(repeated(key(1))), id(2), correlation: id(2))
    settle(&seat)
    for round in 1...3 * rounds { seat.take(used(key(1), at: "y"), id(UInt64(round)), correlation: id(3)) }
    #expect(seat.pending.isEmpty, "one alone is none")
    for round in 1...rounds {
      #expect(audience(seat, key(1)) == nil, "\(round)")
      seat.take(used(key(1), at: "z"), id(UInt64(100 + round)), correlation: id(3))
    }
    let event = try #require(changes(seat).first)
    #expect(event.changes.map(\.cause) == [.earned] && event.changes[0].evidence != nil)
    #expect(event.changes[0].audience == AnswerAudience(question: key(1), nodes: ["y", "z"]))
    #expect(event.promoted.map(\.audience) == [["y", "z"]], "each event has all of it")
    settle(&seat)
    for _ in 0..<rounds { seat.take(used(key(1), at: "z"), id(200), correlation: id(3)) }
    #expect(seat.pending.isEmpty && audience(seat, key(1)) == ["y", "z"], "nothing has changed")
    // 64 reports of each of two nodes.
    for _ in 0..<128 where seat.pending.isEmpty {
      seat.take(used(key(1), at: "z"), id(300), correlation: id(3))
    }
    #expect(changes(seat).first?.changes.map(\.cause) == [.idle])
    #expect(changes(seat).first?.changes.first?.audience?.nodes == [])
    settle(&seat)
    #expect(audience(seat, key(1)) == nil && seat.view.isPromoted(key(1)))
  }

  @Test func `an audience is bounded, whatever nodes say, and ends with its question`() {
    var seat = seat()
    seat.take(report(repeated(key(1))), id(1), correlation: id(1))
    settle(&seat)
    for _ in 0..<AmbientSeat.Limits.audienceReportCount {
      for number in 0..<100 {
        seat.take(used(key(1), at: NodeID(unchecked: "n\(number)"), 1), id(2), correlation: id(2))
        settle(&seat)
      }
    }
    #expect(audience(seat, key(1))?.count == AmbientSeat.Limits.audienceCounts.upperBound)
    // Another term begins with it.
    seat.sync(term: 2, isActive: true, isFrozen: false, cause: id(3))
    #expect(changes(seat).first?.promoted.first?.audience == audience(seat, key(1)))
    settle(&seat)
    seat.take(QuestionRuleAsked(rule: .retire(key(1))), id(4), correlation: id(4))
    settle(&seat)
    seat.take(report(repeated(key(1), 40)), id(5), correlation: id(5))
    settle(&seat)
    #expect(seat.view.isPromoted(key(1)) && audience(seat, key(1)) == nil, "it is earned anew")
  }

  @Test(arguments: ObserverPolicy.Mode.allCases)
  func `what an operator made ambient has an audience, unless the observer is off or stopped`(
    mode: ObserverPolicy.Mode
  ) {
    var seat = seat { $0.mode = mode }
    seat.take(QuestionRuleAsked(rule: .revert(version: 0, promoted: [key(1)])), id(1), correlation: id(1))
    settle(&seat)
    seat.sync(term: 1, isActive: true, isFrozen: true, cause: .none)
    func use() {
      for node in ["y", "z"] as [NodeID] { seat.take(used(key(1), at: node), id(2), correlation: id(2)) }
      settle(&seat)
    }
    seat.isFrozen = true
    for _ in 0..<10 { use() }
    #expect(audience(seat, key(1)) == nil)
    seat.isFrozen = false
    use()
    #expect(audience(seat, key(1)) == (mode == .off ? nil : ["y", "z"]))
    #expect(seat.suggestions.isEmpty)
  }

  @Test func `no more are ambient than may be, and a better one takes the place of the weakest`() {
    var seat = seat()
    for number in 1...20 {
      seat.take(
        report(repeated(key(UInt64(number)), 20 + number)), id(UInt64(number)), correlation: id(1))
      settle(&seat)
    }
    #expect(seat.view.promoted.count == AmbientSeat.Limits.answererCount)
    seat.take(report(repeated(key(99), 500)), id(99), correlation: id(99))
    let change = changes(seat).first?.changes.first
    #expect(change?.promoted == key(99) && change?.retired.count == 1)
    settle(&seat)
    #expect(seat.view.promoted.count == AmbientSeat.Limits.answererCount)
  }

  @Test func `operators rule in every mode, and nothing else changes what is frozen, off or only suggested`()
    throws
  {
    for mode in ObserverPolicy.Mode.allCases {
      var seat = seat { $0.mode = mode }
      if mode == .auto { seat.sync(term: 1, isActive: true, isFrozen: true, cause: .none) }
      seat.take(report(repeated(key(1), 100)), id(1), correlation: id(1))
      #expect(changes(seat).isEmpty, "\(mode)")
      settle(&seat)
      #expect(seat.suggestions.map(\.promoted) == (mode == .suggest ? [key(1)] : []))
      seat.take(QuestionRuleAsked(rule: .approve(key(1))), id(2), correlation: id(2))
      if mode == .suggest {
        #expect(changes(seat).first?.promoted.map(\.key) == [key(1)])
        settle(&seat)
        seat.take(QuestionRuleAsked(rule: .forbid(key(1))), id(3), correlation: id(3))
        settle(&seat)
        #expect(seat.view.promoted.isEmpty && seat.view.forbidden == [key(1)])
        seat.take(report(repeated(key(1), 100)), id(4), correlation: id(4))
        #expect(seat.pending.isEmpty, "what is forbidden is not suggested")
        seat.take(
          QuestionRuleAsked(rule: .revert(version: 1, promoted: [key(1), key(2)])), id(5), correlation: id(5))
        settle(&seat)
        #expect(seat.view.promoted.map(\.key) == [key(2)])
        seat.take(QuestionRuleAsked(rule: .retire(key(2))), id(6), correlation: id(6))
        settle(&seat)
        #expect(seat.view.promoted.isEmpty)
      } else {
        guard case .refused(let refusal)? = seat.pending.first?.content else {
          Issue.record("\(mode): not refused")
          continue
        }
        #expect(refusal.reason.contains("is not suggested"))
      }
    }
  }

  @Test func `a fold of the same log decides the same, wherever it begins again`() throws {
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed)
      var live = seat()
      var entries: [(AmbientSeat) -> AmbientSeat] = []
      var snapshots: [(Int, AmbientSeat.Memory)] = []
      for step in 0..<60 {
        let lines = (0..<Int.random(in: 1...4, using: &random)).map { _ in
          repeated(
            key(UInt64.random(in: 1...24, using: &random), random.chance(70) ? "shop" : "bank"),
            Int.random(in: 0...30, using: &random),
            changes: random.chance(20) ? Int.random(in: 1...20, using: &random) : 0,
            stated: random.chance(20) ? Int.random(in: 1...40, using: &random) : 0)
        }
        let (event, number) = (QuestionsReported(node: "x", questions: lines), UInt64(step))
        let id = id(number)
        entries.append { seat in
          var seat = seat
          seat.take(event, id, correlation: id)
          return seat
        }
        live.take(event, id, correlation: id)
        if random.chance(60) {
          for answer in live.takeDue() {
            guard case .changed(let event) = answer.content else { continue }
            entries.append { seat in
              var seat = seat
              seat.confirm(event, cause: answer.cause)
              return seat
            }
            live.confirm(event, cause: answer.cause)
          }
        }
        let view = live.view
        #expect(view.promoted.count <= AmbientSeat.Limits.count, "HYPHA_SEED=\(seed)")
        for answerer in agents {
          let own = view.promoted.count { $0.key.answerer == answerer }
          #expect(own <= AmbientSeat.Limits.answererCount, "HYPHA_SEED=\(seed)")
        }
        if random.chance(10) { snapshots.append((entries.count, live.memory)) }
      }
      for (place, memory) in [(0, seat().memory)] + snapshots {
        var again = seat()
        again.memory = try JSON.decode(AmbientSeat.Memory.self, from: JSON.encode(memory))
        for entry in entries[place...] { again = entry(again) }
        #expect(again.view == live.view && again.pending == live.pending, "HYPHA_SEED=\(seed)")
        #expect(again.memory.stated == live.memory.stated, "HYPHA_SEED=\(seed)")
      }
    }
  }

  @Test func `a standby follows, and its term begins with all that its log has`() throws {
    var (first, standby) = (seat(), seat())
    standby.sync(term: 1, isActive: false, isFrozen: false, cause: .none)
    let report = report(repeated(key(1)))
    for number in 1...2 as ClosedRange<UInt64> {
      first.take(report, id(number), correlation: id(number))
      standby.take(report, id(number), correlation: id(number))
    }
    #expect(standby.pending.isEmpty)
    let stated = try #require(changes(first).first)
    standby.confirm(stated, cause: id(1))
    #expect(standby.view == first.view)
    // A rule that nobody has answered is the new term's.
    standby.take(QuestionRuleAsked(rule: .retire(key(1))), id(7), correlation: id(7))
    #expect(standby.pending.isEmpty)
    standby.sync(term: 2, isActive: true, isFrozen: false, cause: id(8))
    let begun = changes(standby)
    #expect(begun.map(\.version) == [SeatTerm.firstVersion(of: 2) + 1, SeatTerm.firstVersion(of: 2) + 2])
    #expect(begun.first?.promoted.map(\.key) == [key(1)] && begun.last?.promoted.isEmpty == true)
    // What the older one decides later counts no more for whoever knows of the term.
    var view = AmbientView()
    view.apply(stated)
    for event in begun { view.apply(event) }
    let late = QuestionsChanged(version: 9, changes: [], promoted: [.init(key(3), version: 9)], forbidden: [])
    #expect(!view.apply(late) && view.promoted.isEmpty)
    standby.confirm(late, cause: id(20))
    for (event, cause) in zip(begun, [id(8), id(7)]) { standby.confirm(event, cause: cause) }
    #expect(standby.pending.isEmpty && standby.view == view)
    for event in begun { first.confirm(event, cause: .none) }
    first.sync(term: 2, isActive: false, isFrozen: false, cause: .none)
    #expect(first.view == view && first.pending.isEmpty)
  }

  @Test func `no report makes it overflow or grow`() {
    var seat = seat()
    for number in 0..<2_000 as Range<UInt64> {
      let lines = (0..<200 as Range<UInt64>).map {
        QuestionsReported.Line(
          key(number &* 200 &+ $0, $0 % 3 == 0 ? "nobody" : "shop"),
          sample: String(repeating: "x", count: 4096),
          asks: .max, unchanged: .max, repeats: .max, changes: $0 % 2 == 0 ? .max : .min, local: .max,
          stated: .max)
      }
      if number % 20 == 0 {
        seat.take(QuestionsReported(node: "x", questions: lines), id(number), correlation: id(number))
      }
      settle(&seat)
    }
    #expect(seat.known.count <= AmbientSeat.Limits.itemCount)
    #expect(seat.known.allSatisfy { $0.sample?.utf8.count ?? 0 <= QuestionMeter.sampleByteCountMax })
    #expect(seat.view.promoted.allSatisfy { agents.contains($0.key.answerer) })
  }
}
