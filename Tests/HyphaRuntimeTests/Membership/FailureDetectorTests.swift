import HyphaCore
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// node-down-noticed, no-false-alarm, node-returns.
struct FailureDetectorTests {
  private static let fixed = MembershipSettings(
    heartbeat: .milliseconds(200), suspicion: .fixed(after: .seconds(3)), downAfter: .seconds(10))

  /// A detector and a machine clock that moves in ticks of 25 ms.
  private struct Bench {
    var detector: FailureDetector
    var now: UInt64 = 5_000_000
    var changes: [FailureDetector.Change] = []

    init(_ nodes: [NodeID] = ["a"], _ settings: MembershipSettings = FailureDetectorTests.fixed) {
      detector = FailureDetector(nodes, settings: settings, start: now)
    }

    mutating func wait(_ milliseconds: UInt64, beats: [NodeID] = [], every: UInt64 = 200) {
      for passed in stride(from: 25, through: milliseconds, by: 25) {
        now += 25_000
        changes += detector.tick(at: now)
        if passed.isMultiple(of: every) {
          for node in beats { hear(node) }
        }
      }
    }

    mutating func hear(_ node: NodeID, isHeartbeat: Bool = true) {
      if let change = detector.heard(node, isHeartbeat: isHeartbeat, at: now) { changes.append(change) }
    }

    mutating func take() -> [String] {
      defer { changes = [] }
      return changes.map { "\($0.node) \($0.from)-\($0.to) \($0.reason)" }
    }
  }

  @Test func `who does not answer for longer than is borne, or has left, is silent until it is heard`() {
    var bench = Bench(["a", "b"])
    bench.hear("a")
    bench.wait(3000)
    #expect(bench.detector.silentNodes.isEmpty)
    bench.wait(25)
    #expect(bench.detector.silentNodes == ["a", "b"], "b was never heard")
    bench.hear("a")
    #expect(bench.detector.silentNodes == ["b"])
    _ = bench.detector.left("a", at: bench.now)
    #expect(bench.detector.silentNodes == ["a", "b"])
    bench.hear("a")
    #expect(bench.detector.silentNodes == ["b"])
  }

  @Test(arguments: [true, false])
  func `a silent node is suspected, then down, and is back as soon as it is heard`(_ isHeartbeat: Bool) {
    var bench = Bench()
    bench.hear("a")
    #expect(bench.take() == ["a unknown-up firstHeard"])
    bench.wait(3000)
    #expect(bench.take() == [])
    bench.wait(25)
    #expect(bench.take() == ["a up-suspected silent"])
    bench.wait(6975)
    #expect(bench.take() == [])
    bench.wait(25)
    #expect(bench.take() == ["a suspected-down silent"])
    bench.wait(60_000)
    #expect(bench.take() == [])
    bench.hear("a", isHeartbeat: isHeartbeat)
    #expect(bench.changes.map(\.silence) == [70_025_000])
    #expect(bench.take() == ["a down-up heardAgain"])
    #expect(bench.detector.peers["a"]?.suspicionCount == 1)
    #expect(bench.detector.peers["a"]?.downCount == 1)
  }

  @Test func `a node that never comes is down, not suspected`() {
    var bench = Bench()
    // A deployment takes a while to start: three times as long as one that was heard before.
    bench.wait(30_000)
    #expect(bench.take() == [])
    bench.wait(25)
    #expect(bench.take() == ["a unknown-down neverHeard"])
  }

  @Test func `a node that hears nobody says so`() {
    var bench = Bench(["a", "b"])
    bench.wait(1000, beats: ["a", "b"])
    bench.wait(2000, beats: ["b"])
    _ = bench.take()
    bench.wait(3000)
    #expect(bench.take() == ["a up-suspected silent"])
    bench.wait(200)
    #expect(bench.take() == ["b up-suspected allSilent"])
  }

  @Test func `what this node sleeps through is nobody's silence`() {
    var bench = Bench(["a", "b"])
    bench.wait(2000, beats: ["a", "b"])
    _ = bench.take()
    for pause: UInt64 in [2_900_000, 60_000_000, 3_600_000_000] {
      bench.now += pause
      bench.wait(400)
      bench.hear("a")
      bench.hear("b")
    }
    #expect(bench.take() == [])
    // Not even many pauses between two messages, as on a machine that hardly runs it.
    for _ in 0..<10 {
      bench.now += 5_000_000
      bench.changes += bench.detector.tick(at: bench.now)
    }
    #expect(bench.take() == [])
    #expect(bench.detector.silence(of: "a") == 2_000_000)
    // A clock that is set back counts for nothing either.
    bench.now -= 1_000_000
    bench.wait(200)
    #expect(bench.detector.silence(of: "a") <= 2_200_000)
    #expect(bench.take() == [])
  }

  @Test func `a node that says goodbye is not missed, and what was on its way does not bring it back`() {
    var bench = Bench()
    bench.wait(1000, beats: ["a"])
    _ = bench.take()
    bench.changes += [bench.detector.left("a", at: bench.now)].compactMap { $0 }
    #expect(bench.detector.left("a", at: bench.now) == nil)
    bench.hear("a", isHeartbeat: false)
    bench.wait(60_000)
    #expect(bench.take() == ["a up-left goodbye"])
    bench.hear("a")
    #expect(bench.take() == ["a left-up heardAgain"])
  }

  @Test func `a node that has started anew is told of, even where nobody missed it`() {
    var bench = Bench()
    #expect(bench.detector.restarted("a", at: bench.now) == nil)
    bench.wait(1000, beats: ["a"])
    _ = bench.take()
    bench.changes += [bench.detector.restarted("a", at: bench.now)].compactMap { $0 }
    #expect(bench.take() == ["a up-up startedAgain"])
    #expect(bench.detector.restarted("z", at: bench.now) == nil)
    #expect(bench.detector.heard("z", isHeartbeat: true, at: bench.now) == nil)
  }

  @Test func `phi bears a longer silence of a node that is heard irregularly, and never one beyond down`()
    throws
  {
    let settings = MembershipSettings(suspicion: .phi(level: 10, pause: .seconds(2)))
    var regular = Bench(["a"], settings)
    #expect(regular.detector.peers["a"]?.allowed == 200_000 + 200_000 * 6361 / 1000 + 2_000_000)
    regular.wait(20_000, beats: ["a"])
    #expect(regular.detector.peers["a"]?.allowed == 200_000 + 50_000 * 6361 / 1000 + 2_000_000)
    var irregular = Bench(["a"], settings)
    for turn in 0...40 {
      irregular.wait(turn % 2 == 0 ? 100 : 900, beats: ["a"], every: turn % 2 == 0 ? 100 : 900)
    }
    let allowed = try #require(irregular.detector.peers["a"]?.allowed)
    #expect(allowed == 500_000 + 400_000 * 6361 / 1000 + 2_000_000)
    for _ in 0..<70 { irregular.wait(9000, beats: ["a"], every: 9000) }
    #expect(irregular.detector.peers["a"]?.allowed == 10_000_000)
    // It learns again.
    irregular.wait(20_000, beats: ["a"])
    #expect(irregular.detector.peers["a"]?.allowed == 200_000 + 50_000 * 6361 / 1000 + 2_000_000)
  }

  @Test func `a square root is the largest number whose square fits`() {
    let roots: [UInt64] = [0, 1, 2, 3, 4, 15, 16, 17, 999, 1000, 65_535, 1 << 31, .init(UInt32.max)]
    for root in roots {
      #expect((root * root).squareRoot == root)
      if root > 0 { #expect((root * root - 1).squareRoot == root - 1) }
    }
    #expect(UInt64.max.squareRoot == UInt64(UInt32.max))
  }

  // MARK: Randomised

  @Test(arguments: 0..<2)
  func `nodes that are only busy are never suspected`(_ part: Int) {
    for seed in seeds(1000, part: part, of: 2) {
      var simulation = DetectorSimulation(seed: seed, weather: .busy)
      #expect(throws: Never.self, "HYPHA_SEED=\(seed)") { try simulation.runBusy(seconds: 30) }
    }
  }

  @Test(arguments: 0..<2)
  func `every alarm has its silence, every end is noticed, and everyone who returns is up`(_ part: Int) {
    var (suspicionCount, downCount) = (0, 0)
    for seed in seeds(1000, part: part, of: 2) {
      var simulation = DetectorSimulation(seed: seed, weather: .stormy)
      #expect(throws: Never.self, "HYPHA_SEED=\(seed)") {
        try simulation.runStorm(seconds: 30)
        try simulation.heal()
      }
      suspicionCount += simulation.suspicionCount
      downCount += simulation.downCount
    }
    // The weather was bad enough to mean something.
    #expect(suspicionCount > 0 && downCount > 0)
  }
}
