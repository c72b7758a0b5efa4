import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// Agents of random deployments are run again on the logs that these have left.
@Suite struct RerunSimulationTests {
  private func check(_ seed: UInt64, _ weather: Scenario.Weather, isSharing: Bool = false) async throws {
    let run = try ScenarioRun(Scenario(seed: seed, weather: weather, isSharing: isSharing))
    let kinds = try Scenario.kinds
    for (node, store) in run.stores.sorted(by: { $0.key < $1.key }) {
      let log = try MemoryLog(store: store, time: SimulationLoop())
      log.close()
      var differences: [String] = []
      let summary = try await Rerun(run.scenario.topology, kinds: kinds, log: log).run { outcome in
        if !outcome.differences.isEmpty { differences.append("\(outcome.brief)") }
        return true
      }
      #expect(differences.isEmpty, "HYPHA_SEED=\(seed) \(node): \(differences.prefix(3))")
      let outside = summary.agents.filter { $0.skippedCount > 0 || $0.unclaimedCount > 0 }
      #expect(outside.isEmpty, "HYPHA_SEED=\(seed) \(node): \(outside)")
      #expect(summary.notRun.isEmpty)
      #expect(try Self.stated(in: log) == summary.agents.reduce(0) { $0 + $1.recordedCount + $1.cutOffCount })
    }
  }

  /// How many events the agents of a log's node have stated in their handlers.
  private static func stated(in log: any LogReader) throws -> Int {
    try log.read(after: .start, limit: .max, byteLimit: .max).count { entry in
      entry.source == .stated && entry.record.agent != log.identity.node.author
        && !SystemEvents.all.contains(entry.record.type)
    }
  }

  @Test func `what agents do again on a calm network is what they did`() async throws {
    for seed in seeds(20) { try await check(seed, .calm) }
  }

  @Test func `what agents do again is what they did, whatever crashed`() async throws {
    for seed in seeds(60) { try await check(seed, .stormy) }
  }

  @Test func `what agents read of shared values they read again`() async throws {
    for seed in seeds(10) { try await check(seed, .calm, isSharing: true) }
    for seed in seeds(30) { try await check(seed, .stormy, isSharing: true) }
  }
}

extension RerunOutcome {
  /// The outcome in a line, for tests.
  var brief: String {
    let what = differences.map { difference in
      switch difference {
      case .changed(let recorded, let stated, let parts):
        "changed \(parts) \(String(decoding: recorded.payload, as: UTF8.self)) \(String(decoding: stated.payload, as: UTF8.self))"
      case .missing(let record): "missing \(record.type) \(record.id) caused by \(record.causation)"
      case .added(let record): "added \(record.type) \(String(decoding: record.payload, as: UTF8.self))"
      default: "\(difference)"
      }
    }
    return
      "\(agent) \(call.map { "\($0)" } ?? "end") \(input?.type.text ?? "") at \(position.map { "\($0)" } ?? "–"): \(what)"
  }
}
