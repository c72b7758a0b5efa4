import HyphaCore
import HyphaTopology
import Testing

/// The promises of docs/guarantees.md where revisions of the file, dead supervisors' branches, direct links, the observer's seat with its
/// standby and delegated decisions meet, seed after seed.
@Suite struct MixedSimulationTests {
  @Test func `every promise holds where everything meets`() throws {
    var counts: [String: Int] = [:]
    let seeds = seeds(4)
    for seed in seeds {
      let scenario = try MixedScenario(seed: seed)
      let checker = try scenario.play()
      let violations = scenario.violations
      #expect(
        violations.isEmpty,
        "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))\n\(seeds.count > 1 ? [] : scenario.diary)"
      )
      counts.merge(checker.counts, uniquingKeysWith: +)
    }
    guard seeds.count > 9 else { return }
    for what in [
      "revisions", "nodes added", "moves", "attached", "takeovers", "links", "granted", "pleas overseen",
    ] {
      #expect(counts[what] ?? 0 > 0, "\(what) were never met: \(counts)")
    }
  }
}
