import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// What an agent whose handlers change its state had before.
@Suite struct StateRerunTests {
  /// A kind that changes its state by what is not in the log.
  private actor Leaky: Agent {
    static let kind = "taker"
    static let handles = Handlers(Leaky.self).on(Errand.self) { agent, _, _ in
      agent.state.total += leak.withLock { $0 }
    }
    static let leak = Mutex(1)
    struct State: Codable { var total = 0 }
    var state = State()
  }

  /// Leaves nothing in the log but its state.
  private actor Quiet: Agent {
    static let kind = "taker"
    static let handles = Handlers(Quiet.self).on(Errand.self) { agent, _, _ in agent.state.total += 1 }
    struct State: Codable { var total = 0 }
    var state = State()
  }

  private func topology() throws -> Topology { try ErrandRuns.topology() }

  private func kinds(_ taker: any Agent.Type = Errander<FirstRules>.self) throws -> KindRegistry {
    try ErrandRuns.kinds(taker)
  }

  private func run(
    _ errands: [String], as taker: any Agent.Type = Errander<FirstRules>.self, seed: UInt64, crashes: Bool
  )
    throws -> (log: any LogReader, truths: [ErrandRuns.Truth])
  {
    try ErrandRuns.run(errands, as: taker, seed: seed, crashes: crashes)
  }

  private func steps(
    _ log: any LogReader, as taker: any Agent.Type = Errander<FirstRules>.self, of agent: AgentID = "taker"
  ) async throws -> [StateStep] {
    var steps: [StateStep] = []
    try await Rerun.visitStates(of: agent, in: topology(), kinds: kinds(taker), log: log) {
      steps.append($0)
      return true
    }
    return steps
  }

  private func refusal(_ log: any LogReader, as taker: any Agent.Type, of agent: AgentID = "taker") async
    -> String
  {
    do {
      return "\(try await steps(log, as: taker, of: agent).count) steps"
    } catch { return "\(error)" }
  }

  @Test func `at each place the state is the one that the agent had there`() async throws {
    for seed in seeds(20) {
      var random = SeededGenerator(seed: seed, name: "order")
      let errands = (ErrandRuns.errands + ErrandRuns.errands).shuffled(using: &random)
      let (log, truths) = try run(errands, seed: seed, crashes: seed.isMultiple(of: 2))
      let steps = try await steps(log)
      #expect(truths.count > 5 && steps.count > errands.count, "HYPHA_SEED=\(seed)")
      #expect(steps[0].place == nil && steps[1...].allSatisfy { $0.place != nil })
      for (one, next) in zip(steps.dropFirst(), steps.dropFirst(2)) {
        #expect(one.place?.position ?? .start <= next.place?.position ?? .start)
      }
      for truth in truths {
        let step = steps.last { $0.place.map { $0.position <= truth.position } ?? true }
        #expect(try step?.state() == truth.state, "HYPHA_SEED=\(seed), position \(truth.position)")
      }
    }
  }

  @Test func `what leaves nothing in the log counts before the restart that it came before`() async throws {
    for seed in seeds(10) {
      let (log, truths) = try run(
        Array(repeating: "plain", count: 40), as: Quiet.self, seed: seed, crashes: true)
      let steps = try await steps(log, as: Quiet.self)
      #expect(truths.count > 5, "HYPHA_SEED=\(seed)")
      for truth in truths {
        let step = steps.last { $0.place.map { $0.position <= truth.position } ?? true }
        #expect(try step?.state() == truth.state, "HYPHA_SEED=\(seed), position \(truth.position)")
      }
    }
  }

  @Test func `what no event has led to is told by what the log has of the call`() async throws {
    let (log, _) = try run(["wake", "plain", "wake"], seed: 5, crashes: false)
    let wakes = try await steps(log).filter { $0.call == .wake || $0.call == .start }
    #expect(wakes.contains { $0.call == .wake })
    for step in wakes {
      #expect(step.event == nil && step.stated?.agent == "taker", "\(step)")
      let stated = try #require(step.stated)
      let place = try #require(step.place)
      let entry = try #require(try log.page(of: .event(stated.id)).entries.first)
      #expect(entry.position <= place.position)
    }
  }

  @Test func `of a log that was pruned, what was stated is told as far as it is there`() throws {
    let (log, _) = try run(["plain", "time", "many", "plain"], seed: 4, crashes: false)
    let whole = try AgentMoment(of: "taker", in: log)
    #expect(whole.gaps.isEmpty && whole.move == nil)
    let middle = Position(rawValue: try log.head().rawValue / 2)
    let pruned = try AgentMoment(
      of: "taker", in: GappedReader(log, lost: Position.start.next...middle, pruned: true))
    #expect(pruned.gaps.first?.range.upperBound == middle)
    #expect(pruned.statedCount < whole.statedCount && pruned.last == whole.last)
  }

  @Test func `an agent that does something else now has no past that can be shown`() async throws {
    let (log, _) = try run(["time", "plain"], seed: 3, crashes: false)
    let refusal = await refusal(log, as: Errander<PoliteRules>.self)
    #expect(
      refusal.hasPrefix("failed: the past states of 'taker' are not known: run again, it does something else")
    )
    #expect(refusal.contains("with test.Errand") && refusal.contains("the topology file"))
  }

  @Test func `an agent that comes to another state than the log keeps has no past that can be shown`()
    async throws
  {
    let (log, _) = try run(["plain", "plain"], as: Leaky.self, seed: 1, crashes: false)
    #expect(try await steps(log, as: Leaky.self).count > 2)
    Leaky.leak.withLock { $0 = 2 }
    defer { Leaky.leak.withLock { $0 = 1 } }
    #expect(await refusal(log, as: Leaky.self).contains("it comes to another state than the log keeps"))
  }

  @Test func `an agent without a state, and one that is not there, are told`() async throws {
    let (log, _) = try run(["plain"], seed: 1, crashes: false)
    #expect(
      await refusal(log, as: Errander<FirstRules>.self, of: "seer").hasPrefix("usage: 'seer' keeps no state"))
    #expect(await refusal(log, as: Errander<FirstRules>.self, of: "nobody").hasPrefix("invalidTopology: "))
  }

  @Test func `lost events of the agent or for it make its past unknown, and others do not`() async throws {
    let (log, truths) = try run(["plain", "time", "many", "plain"], seed: 4, crashes: false)
    let whole = try await steps(log)
    var (refusedCount, shownCount) = (0, 0)
    try log.visit(Position.start.next...log.head(), .forward) { _ in true }
    let entries = try log.read(after: .start, limit: .max, byteLimit: .max)
    for entry in entries where entry.record.channel == .persistent {
      let header = entry.record.header
      let concerns = header.agent == "taker" || header.addressee == "taker"
      let gapped = GappedReader(log, lost: entry.position...entry.position, pruned: false)
      let found = try? await steps(gapped)
      if concerns {
        refusedCount += 1
        #expect(found == nil, "\(header.type) of \(header.agent) at \(entry.position)")
      } else {
        shownCount += 1
        #expect(found?.count == whole.count, "\(header.type) of \(header.agent) at \(entry.position)")
      }
    }
    #expect(refusedCount > 4 && shownCount > 2 && !truths.isEmpty)
    let pruned = GappedReader(log, lost: Position.start.next...entries[2].position, pruned: true)
    let left = try await steps(pruned)
    #expect(left.compactMap(\.unknown).map(\.problem).first?.contains("the log was pruned through") ?? false)
    #expect(left.count == 3, "the begin, that it is not known from there on, and the newest")
  }
}
