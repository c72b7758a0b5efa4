import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// Past states, and re-runs, of logs that were pruned.
@Suite struct StateCheckpointTests {
  private typealias Taker = Errander<OftenRules>

  /// Keeps more than a checkpoint may have.
  private actor Hoarder: Agent {
    static let kind = "taker"
    static let handles = Handlers(Hoarder.self).on(Errand.self) { agent, errand, _ in
      agent.state.text = String(repeating: errand.what.first ?? " ", count: 600_000)
    }
    static let checkpointEvery = 1
    struct State: Codable { var text = "" }
    var state = State()
  }

  private func topology() throws -> Topology { try ErrandRuns.topology() }

  private func kinds(_ taker: any Agent.Type = Taker.self) throws -> KindRegistry {
    try ErrandRuns.kinds(taker)
  }

  private func run(_ errands: [String], as taker: any Agent.Type = Taker.self, seed: UInt64, crashes: Bool)
    throws -> (log: any LogReader, truths: [ErrandRuns.Truth])
  {
    try ErrandRuns.run(errands, as: taker, seed: seed, crashes: crashes)
  }

  private func steps(
    _ log: any LogReader, as taker: any Agent.Type = Taker.self, at position: Position? = nil
  ) async throws -> [StateStep] {
    var steps: [StateStep] = []
    let isEarly = position.map { position in { (place: StateStep.Place) in place.position <= position } }
    try await Rerun.visitStates(
      of: "taker", in: topology(), kinds: kinds(taker), log: log, isEarly: isEarly
    ) {
      steps.append($0)
      return true
    }
    return steps
  }

  private func found(_ steps: [StateStep], at position: Position) -> StateStep? {
    steps.last { $0.place.map { $0.position <= position } ?? true }
  }

  private func checkpoints(_ log: any LogReader) throws -> [Position] {
    try log.read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.record.type == .stateCheckpointed && $0.record.agent == "taker" }.map(\.position)
  }

  /// Logs that were pruned where nothing was under way.
  private func eachPruned(
    _ body: (_ seed: UInt64, _ pruned: GappedReader, _ gap: Position, [ErrandRuns.Truth]) async throws -> Void
  ) async throws {
    for seed in seeds(12) {
      var random = SeededGenerator(seed: seed, name: "order")
      let errands = (ErrandRuns.errands + ErrandRuns.errands + ErrandRuns.errands).shuffled(using: &random)
      let (log, truths) = try run(errands, seed: seed, crashes: seed.isMultiple(of: 2))
      for _ in 0..<3 {
        guard let gap = truths.randomElement(using: &random)?.position, gap < (try log.head()) else {
          continue
        }
        let pruned = GappedReader(log, lost: Position.start.next...gap, pruned: true)
        try await body(seed, pruned, gap, truths)
      }
    }
  }

  @Test func `behind a prune the state is the one that the agent had, from the first checkpoint on`()
    async throws
  {
    var (shownCount, refusedCount) = (0, 0)
    try await eachPruned { seed, log, gap, truths in
      let left = try checkpoints(log).filter { $0 > gap }
      let steps = try await steps(log)
      let unknown = try #require(steps.first { $0.unknown != nil }?.unknown, "HYPHA_SEED=\(seed)")
      let first = try #require(steps.first { $0.unknown == nil && $0.place != nil }?.place?.position)
      #expect(
        "\(unknown)".hasPrefix(
          "failed: the states of 'taker' before position \(first) are not known: the log was pruned through \(gap)"
        ))
      #expect("\(unknown)".contains("ask for position \(first) or a later one"))
      for truth in truths {
        let step = try #require(found(steps, at: truth.position))
        #expect((step.unknown != nil) == (truth.position < first), "HYPHA_SEED=\(seed), \(truth.position)")
        if step.unknown == nil {
          shownCount += 1
          #expect(try step.state() == truth.state, "HYPHA_SEED=\(seed), \(gap), \(truth.position)")
        } else {
          refusedCount += 1
        }
        // The newest checkpoint that was there by then tells the same.
        let near = try #require(await found(self.steps(log, at: truth.position), at: truth.position))
        #expect((near.unknown != nil) == (truth.position < first))
        if near.unknown == nil {
          #expect(try near.state() == truth.state, "HYPHA_SEED=\(seed), \(gap), \(truth.position)")
        }
      }
      // Of the first one behind it the inputs may be gone that it had not handled.
      if left.count > 1 { #expect(first < left[1], "HYPHA_SEED=\(seed), \(gap), \(left)") }
    }
    #expect(shownCount > 50 && refusedCount > 5)
  }

  @Test func `a re-run of a log that was pruned begins with the first checkpoint, and is the same`()
    async throws
  {
    var callCount = 0
    try await eachPruned { seed, log, gap, truths in
      let left = try checkpoints(log).filter { $0 > gap }
      var outcomes: [RerunOutcome] = []
      let summary = try await Rerun(topology(), kinds: kinds(), log: log, agents: ["taker"]).run {
        outcomes.append($0)
        return true
      }
      let different = outcomes.filter { !$0.differences.isEmpty }
      #expect(different.isEmpty, "HYPHA_SEED=\(seed), \(gap): \(different.prefix(2).map(\.brief))")
      guard let report = summary.agents.first else {
        #expect(left.count < 2 && summary.notRun.map(\.agent) == ["taker"], "HYPHA_SEED=\(seed), \(gap)")
        return
      }
      #expect(report.skippedCount == 0 && report.isStateKnown && report.unclaimedCount == 0)
      #expect(left.prefix(2).contains(report.from), "HYPHA_SEED=\(seed), \(gap): \(report.from) \(left)")
      callCount += report.callCount
    }
    #expect(callCount > 200)
  }

  @Test func `checkpoints cost one event for so many inputs, and are in no state of others`() throws {
    let (log, _) = try run(Array(repeating: "plain", count: 60), seed: 1, crashes: false)
    let checkpoints = try log.read(after: .start, limit: .max, byteLimit: .max).filter {
      $0.record.type == .stateCheckpointed
    }
    let taken = checkpoints.filter { $0.record.agent == "taker" }
    #expect(taken.count > 5 && taken.count <= 60)
    #expect(checkpoints.allSatisfy { $0.record.header.addressee == nil && $0.record.agent == "taker" })
    for entry in taken {
      let event = try StateCheckpointed.decode(entry.record)
      let snapshot = try AgentSnapshot(decoding: try #require(event.snapshot).bytes)
      #expect(event.agent == "taker" && event.kind == "taker" && event.hasBegun)
      #expect(try JSON.decode(Taker.State.self, from: snapshot.state).starts == 1)
    }
  }

  @Test func `what an actor keeps beside its state has it begin where an actor began, if one has since`()
    async throws
  {
    #expect(KeptBeside.names(of: Taker()).isEmpty)
    #expect(KeptBeside.names(of: Errander<FirstRules>()) == ["memory"])
    let places = [10, 20, 30, 40].map { StateStep.Place(position: Position(rawValue: $0), time: .zero) }
    let hasBegun = [true, false, true, false]
    func index(_ choice: RerunCheckpoint.Choice, _ prefersStarts: Bool) -> Int? {
      choice.index(hasBegun, prefersStarts: prefersStarts) { places[$0] }
    }
    func newest(_ position: UInt64) -> RerunCheckpoint.Choice { .newest { $0.position.rawValue <= position } }
    #expect(index(.first, false) == 0 && index(.first, true) == 1)
    for (position, plain, start) in [(UInt64(5), 0, 0), (10, 0, 0), (20, 1, 1), (35, 2, 1), (99, 3, 3)] {
      #expect(
        index(newest(position), false) == plain && index(newest(position), true) == start, "\(position)")
    }
    #expect(RerunCheckpoint.Choice.first.index([], prefersStarts: true) { places[$0] } == nil)
    #expect(RerunCheckpoint.Choice.first.index([true], prefersStarts: true) { places[$0] } == 0)
  }

  @Test func `a state that is larger than a checkpoint may be is known from its newest change on`()
    async throws
  {
    let errands = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]
    let (log, truths) = try run(errands, as: Hoarder.self, seed: 2, crashes: false)
    let gap = try #require(truths.first).position
    let pruned = GappedReader(log, lost: Position.start.next...gap, pruned: true)
    var policy = CheckpointPolicy(every: 1)
    policy.handled(9_374)
    #expect(!policy.isDue(byteCount: 600_000))
    let steps = try await steps(pruned, as: Hoarder.self)
    #expect(steps.contains { $0.unknown != nil })
    let last = try #require(truths.last)
    #expect(try found(steps, at: log.head())?.state() == last.state)
    let summary = try await Rerun(topology(), kinds: kinds(Hoarder.self), log: pruned, agents: ["taker"])
      .run { _ in true }
    let left = try (log.head(), checkpoints(log))
    let why = try #require(summary.notRun.first?.reason, "\(gap) \(summary) \(left)")
    #expect(why.contains("no checkpoint of its state behind that"))
  }
}
