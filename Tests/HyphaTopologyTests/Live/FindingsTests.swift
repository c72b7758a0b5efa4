import HyphaCore
import Testing

@testable import HyphaTopology

/// Bottlenecks, stalls and hot pairs, out of what nodes report.
@Suite struct FindingsTests {
  private typealias Ages = LoadReported.Ages

  /// Node `left` sends to `hq`, where `root` relays to `right`, where `sr` relays: all in microseconds of age.
  private struct Bench {
    var findings = Findings(halfLife: 1000)

    mutating func second(left: Int = 1000, root: Int = 3000, right: Int = 5000, rootInbox: Int = 0) {
      take("left", [], [Ages(node: "hq", events: 100, microseconds: left)])
      take(
        "hq",
        [
          .init(
            agent: "root", events: 100, inbox: rootInbox,
            sources: [Ages(node: "left", events: 100, microseconds: root)])
        ], [Ages(node: "right", events: 100, microseconds: root)])
      take(
        "right",
        [
          .init(
            agent: "sr", events: 100, inbox: 0, sources: [Ages(node: "hq", events: 100, microseconds: right)])
        ], [])
    }

    mutating func take(
      _ node: NodeID, _ relays: [LoadReported.Relay], _ sent: [Ages], _ waits: [LoadReported.Wait] = []
    ) {
      findings.take(
        LoadReported(node: node, milliseconds: 1000, relays: relays, sent: sent, waits: waits)
      ) {
        ["root", "sr", "ana"].contains($0)
      } knowsNode: {
        ["left", "hq", "right"].contains($0)
      }
    }

    var bottlenecks: [AgentID] {
      findings.current.keys.filter { $0.kind == .bottleneck }.map(\.agent).sorted()
    }
  }

  @Test
  func `a supervisor that holds up what it relays is found after three reports, and not those behind it`() {
    var bench = Bench()
    for _ in 0..<20 { bench.second() }
    #expect(bench.bottlenecks == [])
    // All of it comes late to sr, too, but it has left hq so late.
    for _ in 0..<2 { bench.second(root: 900_000, right: 902_000) }
    #expect(bench.bottlenecks == [])
    bench.second(root: 900_000, right: 902_000)
    #expect(bench.bottlenecks == ["root"])
    let finding = bench.findings.current[Finding.Topic(.bottleneck, "root")]
    #expect(
      finding?.evidence
        == .relay(lateMicroseconds: 899_000, usualMicroseconds: 2000, eventsPerSecond: 100, inbox: 0))
    let stated = bench.findings.current
    for _ in 0..<50 { bench.second(root: 700_000, right: 703_000) }
    #expect(bench.findings.current == stated, "it is found once, as it began")
    for _ in 0..<4 { bench.second() }
    #expect(bench.bottlenecks == ["root"])
    bench.second()
    #expect(bench.bottlenecks == [])
  }

  @Test func `what hovers about the level is found once`() {
    var bench = Bench()
    var changeCount = 0
    var last = bench.findings.current
    for second in 0..<400 {
      bench.second(root: second % 7 < 4 ? 320_000 : 180_000)
      if bench.findings.current != last { changeCount += 1 }
      last = bench.findings.current
    }
    #expect(changeCount <= 1)
  }

  @Test func `clocks that differ make no bottleneck`() {
    var bench = Bench()
    for _ in 0..<100 { bench.second(root: 40_000_000, right: 1000) }
    #expect(bench.bottlenecks == [])
  }

  @Test func `silence ends a bottleneck, and a long inbox is one`() {
    var bench = Bench()
    for _ in 0..<3 { bench.second(rootInbox: 2000) }
    #expect(bench.bottlenecks == ["root"])
    for _ in 0..<5 { bench.take("hq", [], []) }
    #expect(bench.bottlenecks == [])
  }

  @Test func `what waits far longer than its like is a stall until it waits no more`() {
    var bench = Bench()
    let id = EventID(high: 7, low: 8)
    func wait(_ seconds: Int, usual: Int, _ alert: EventID?) -> LoadReported.Wait {
      .init(agent: "ana", alert: alert, type: "fire.Alarm", seconds: seconds, usualMicroseconds: usual)
    }
    let (slow, quick) = (Finding.Topic(.stall, "ana"), Finding.Topic(.stall, "ana", alert: id))
    bench.take("left", [], [], [wait(2, usual: 0, id), wait(2, usual: 2_000_000, nil)])
    #expect(bench.findings.current.isEmpty)
    bench.take("left", [], [], [wait(4, usual: 30_000, id), wait(8, usual: 2_000_000, nil)])
    #expect(Array(bench.findings.current.keys) == [quick])
    bench.take("left", [], [], [wait(16, usual: 2_000_000, nil), wait(8, usual: 30_000, id)])
    #expect(Set(bench.findings.current.keys) == [quick, slow])
    #expect(
      bench.findings.current[quick]?.evidence
        == .wait(type: "fire.Alarm", seconds: 4, usualMicroseconds: 30_000))
    bench.take("hq", [], [], [])
    #expect(bench.findings.current.count == 2, "another node has nothing to say of it")
    bench.take("left", [], [], [])
    #expect(bench.findings.current.isEmpty)
  }

  @Test func `hot pairs are those that exact counts have, and every pair of an eighth is found`() {
    var generator = SeededGenerator(seed: 5)
    for round in 0..<20 {
      var sketch = HotPairs(halfLife: .max)
      var exact: [AgentPair: Int64] = [:]
      let hotCount = Int32.random(in: 0...5, using: &generator)
      for _ in 0..<4000 {
        let isHot = hotCount > 0 && generator.chance(50)
        let from = Int32.random(in: 0..<(isHot ? hotCount : 200), using: &generator)
        let pair = AgentPair(from, isHot ? from + 1000 : Int32.random(in: 200..<400, using: &generator))
        let events = Int.random(in: 1...5, using: &generator)
        sketch.add(pair, events)
        exact[pair, default: 0] += Int64(events)
      }
      #expect(sketch.pairs.count <= HotPairs.capacity)
      for (pair, count) in exact {
        #expect(sketch.certain(pair) <= count, "round \(round)")
        #expect(sketch.possible(pair) >= count, "round \(round)")
        if count * 8 >= sketch.total { #expect(sketch.certain(pair) * 16 >= sketch.total, "round \(round)") }
      }
    }
  }

  /// Reports as a node might make them that is broken, or hostile.
  private func wildReport(_ generator: inout SeededGenerator) -> LoadReported {
    func number() -> Int {
      switch Int.random(in: 0..<8, using: &generator) {
      case 0: Int.max
      case 1: Int.min
      case 2: -1
      default: Int.random(in: 0...3_000_000, using: &generator)
      }
    }
    let nodes: [NodeID] = ["left", "hq", "right", "nowhere"]
    let agents: [AgentID] = ["root", "sr", "ana", "nobody"]
    func ages() -> [Ages] {
      (0..<Int.random(in: 0...3, using: &generator)).map { _ in
        Ages(node: nodes.randomElement(using: &generator)!, events: number(), microseconds: number())
      }
    }
    func some<Element>(_ make: () -> Element) -> [Element] {
      (0..<Int.random(in: 0...3, using: &generator)).map { _ in make() }
    }
    let relays = some {
      LoadReported.Relay(
        agent: agents.randomElement(using: &generator)!, events: number(), inbox: number(), sources: ages())
    }
    let waits = some {
      LoadReported.Wait(
        agent: agents.randomElement(using: &generator)!,
        alert: Bool.random(using: &generator) ? nil : EventID(high: 1, low: generator.next() % 4), type: "t",
        seconds: number(), usualMicroseconds: number())
    }
    return LoadReported(
      node: nodes.randomElement(using: &generator)!, milliseconds: number(), relays: relays, sent: ages(),
      waits: waits)
  }

  @Test func `any reports whatever: bounded, the same each time, and each topic begins and ends by turns`()
    throws
  {
    for seed in seeds(12) {
      var generator = SeededGenerator(seed: seed)
      var findings = Findings(halfLife: 500)
      var resumed = findings
      var stated: [Finding.Topic: Finding] = [:]
      for step in 0..<300 {
        let report = wildReport(&generator)
        let (one, other) = (
          Int32.random(in: 0..<9, using: &generator), Int32.random(in: 9..<14, using: &generator)
        )
        let events = Int.random(in: 1...400, using: &generator)
        func take(_ findings: inout Findings) {
          findings.take(report) {
            $0 != "nobody"
          } knowsNode: {
            $0 != "nowhere"
          }
          findings.count(AgentPair(one, other), events)
          findings.lookAtPairs {
            Finding.Topic(
              .hotPair, AgentID(unchecked: "a\($0.low)"), other: AgentID(unchecked: "a\($0.high)"))
          } isServed: {
            $0.low == 3
          }
        }
        take(&findings)
        take(&resumed)
        #expect(findings.memory.relays.count <= 3 && findings.current.count <= 3 + 15 + 45)
        #expect(!findings.current.keys.contains { $0.agent == "nobody" || $0.agent == "a3" })
        #expect(resumed.current == findings.current, "HYPHA_SEED=\(seed) step \(step)")
        if let change = findings.current.change(from: stated) {
          for topic in change.ended { #expect(stated[topic] != nil, "it ends and had not begun") }
          for finding in change.began { #expect(stated[finding.topic] == nil, "it begins twice") }
          stated.apply(change)
        }
        #expect(Set(stated.keys) == Set(findings.current.keys))
        // Through the bytes that a log keeps.
        let bytes = try JSON.encode(findings.memory)
        resumed = Findings(halfLife: 500)
        resumed.resume(try JSON.decode(Findings.Memory.self, from: bytes))
      }
    }
  }
}

/// What a node makes of its counts.
@Suite struct LoadWatchTests {
  private func at(_ second: UInt64) -> Timestamp { Timestamp(microseconds: second * 1_000_000) }

  private func sum(_ events: Int, _ age: UInt64) -> AgeSum {
    var sum = AgeSum()
    sum.add(events, age: age)
    return sum
  }

  @Test func `a report has what came since the last, with ages of that alone`() throws {
    var watch = LoadWatch()
    var figures = LoadWatch.Figures()
    figures.relayed = ["root": 10]
    figures.sources = ["root": ["left": sum(10, 100)]]
    figures.sent = ["right": sum(10, 120)]
    let firstReport = watch.report(figures, by: "hq", at: at(1))
    let first = try #require(firstReport)
    #expect(first.milliseconds == 0 && first.relays.map(\.events) == [10])
    figures.relayed["root"] = 14
    figures.sources["root"]?["left"]?.add(4, age: 900)
    figures.sent["right"]?.add(4, age: 950)
    let secondReport = watch.report(figures, by: "hq", at: at(3))
    let second = try #require(secondReport)
    #expect(second.milliseconds == 2000 && second.relays.map(\.events) == [4])
    #expect(second.relays.first?.sources == [.init(node: "left", events: 4, microseconds: 900)])
    #expect(second.sent == [.init(node: "right", events: 4, microseconds: 950)])
  }

  @Test func `silence is told five times, and what waits when its time has doubled`() {
    var watch = LoadWatch()
    var figures = LoadWatch.Figures()
    figures.relayed = ["root": 10]
    #expect(watch.report(figures, by: "hq", at: at(1)) != nil)
    let told = (2..<20).count { watch.report(figures, by: "hq", at: at($0)) != nil }
    #expect(told == Findings.underCountMin)
    func wait(_ seconds: Int, usual: Int) -> LoadReported.Wait {
      .init(agent: "ana", alert: nil, type: "t", seconds: seconds, usualMicroseconds: usual)
    }
    var toldAt: [Int] = []
    for second in 2..<64 {
      figures.waits = [wait(1 << (Int.bitWidth - 1 - second.leadingZeroBitCount), usual: second)]
      if watch.report(figures, by: "hq", at: at(UInt64(20 + second))) != nil { toldAt.append(second) }
    }
    #expect(toldAt == [2, 4, 8, 16, 32])
    figures.waits = []
    #expect(watch.report(figures, by: "hq", at: at(90)) != nil, "that nothing waits any more is news")
  }
}
