import HyphaCore
import Testing

@testable import HyphaTopology

/// What a node counts of questions and audiences.
@Suite struct QuestionMeterTests {
  private func key(_ number: UInt64) -> QuestionKey { QuestionKey("shop", "Price", hash: number) }

  private func time(_ seconds: UInt64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

  @Test func `an answer repeats where an earlier one would have done, and changes where it would not`() throws
  {
    let meter = QuestionMeter()
    func answer(_ hash: UInt64?, at seconds: UInt64, _ bound: Duration?) {
      meter.answered(key(1), sample: { "pen" }, answer: hash, at: time(seconds), bound: bound)
    }
    answer(7, at: 1, .seconds(10))
    answer(7, at: 2, nil)
    answer(7, at: 4, .seconds(2))
    answer(7, at: 9, .seconds(2))
    answer(8, at: 10, .seconds(60))
    // One with effects is worth no copy, and nothing is known of what it would have been.
    answer(nil, at: 11, .seconds(60))
    answer(8, at: 12, .seconds(60))
    meter.answeredLocally(key(1))
    meter.stated(key(1), copies: 3)
    let line = try #require(meter.lines().first)
    #expect(
      line
        == .init(key(1), sample: "pen", asks: 7, unchanged: 3, repeats: 1, changes: 1, local: 1, stated: 3))
    #expect(meter.lines().isEmpty, "each is reported once")
  }

  @Test func `many questions leave those counted that are asked often, and no count is more than was asked`()
  {
    for seed in seeds(20) {
      var random = SeededGenerator(seed: seed)
      let meter = QuestionMeter()
      var asked: [QuestionKey: Int] = [:]
      var counted: [QuestionKey: Int] = [:]
      for step in 0..<40_000 {
        let number = random.chance(40) ? UInt64.random(in: 1...8, using: &random) : random.next()
        asked[key(number), default: 0] += 1
        meter.answered(key(number), sample: { "" }, answer: 1, at: time(UInt64(step)), bound: nil)
        if step % 5_000 == 4_999 {
          let lines = meter.lines()
          #expect(lines.count <= QuestionMeter.lineCountMax)
          for line in lines { counted[line.key, default: 0] += line.asks }
        }
      }
      for (key, count) in counted { #expect(count <= asked[key] ?? 0, "HYPHA_SEED=\(seed)") }
      for number in 1...8 as ClosedRange<UInt64> {
        let (all, known) = (asked[key(number)] ?? 0, counted[key(number)] ?? 0)
        #expect(known * 2 > all, "HYPHA_SEED=\(seed): \(known) of \(all)")
      }
    }
  }

  @Test func `a question's name is read as it is written`() throws {
    let key = QuestionKey("shop", "fin.Price", of: Array("{\"article\":\"pen\"}".utf8))
    #expect(QuestionKey("\(key)") == key)
    for text in [
      "", "shop", "shop/Price", "shop/Price#", "shop/Price#xyz", "/Price#1", "a b/Price#1", "shop#1",
    ] {
      #expect(QuestionKey(text) == nil, "\(text)")
    }
  }

  @Test func `an audience that recurs is found once, and is over when it recurs no more`() throws {
    var policy = ObserverPolicy()
    policy.node = "x"
    let topology = try Topology(
      name: "t", nodes: [NodeSpec(id: "x")],
      agents: [AgentSpec(id: "root", kind: "k", node: "x")]
        + ["a", "b", "c"].map { AgentSpec(id: $0, kind: "k", node: "x", reportsTo: "root") },
      observer: policy)
    var seat = try ObserverSeat(topology)
    let meter = AudienceMeter()
    func report() -> QuestionsReported {
      QuestionsReported(node: "x", questions: [], audiences: meter.report())
    }
    let id = EventID(high: 1, low: 1)
    meter.told(["a", "b"], "ops.Word", by: "root")
    #expect(meter.report().isEmpty, "two are no audience")
    for times in [31, 1] {
      #expect(seat.findingsDue == nil)
      for _ in 0..<times { meter.told(["a", "b", "c"], "ops.Word", by: "root") }
      seat.take(report(), id, correlation: id)
    }
    let change = try #require(seat.findingsDue)
    #expect(change.began.map(\.topic) == [.init(.audience, "root")])
    #expect(change.began.first?.evidence == .audience(type: "ops.Word", members: ["a", "b", "c"]))
    seat.confirm(change)
    for _ in 0..<63 { seat.tickAmbient(from: "x") }
    #expect(seat.findingsDue == nil)
    seat.tickAmbient(from: "x")
    #expect(seat.findingsDue?.ended == [.init(.audience, "root")])
  }
}
