import Foundation
import HyphaCore
import Testing

/// The promises of docs/guarantees.md, by simulation: random deployments, seed after seed.
@Suite struct SimulationTests {
  /// Runs scenarios until one breaks a promise.
  private func check(_ seeds: [UInt64], _ weather: Scenario.Weather) throws {
    for seed in seeds { guard try check(seed, weather) else { return } }
  }

  private func check(_ seed: UInt64, _ weather: Scenario.Weather) throws -> Bool {
    let run = try ScenarioRun(Scenario(seed: seed, weather: weather))
    let violations = InvariantChecker(run).violations + (run.isComplete ? WorkChecker(run).violations : [])
    #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
    return violations.isEmpty
  }

  @Test(arguments: 0..<2) func `every promise holds on a network that loses nothing`(part: Int) throws {
    try check(seeds(60, part: part, of: 2), .calm)
  }

  @Test(arguments: 0..<2) func `every promise holds under loss, doubling and overtaking`(part: Int) throws {
    try check(seeds(120, part: part, of: 2), .lossy)
  }

  @Test(arguments: 0..<2) func `every promise holds under crashes, partitions and full disks`(part: Int)
    throws
  {
    try check(seeds(300, part: part, of: 2), .stormy)
  }

  @Test func `one seed gives the same logs, byte for byte, and another seed gives others`() throws {
    for seed in seeds(20) {
      let first = try ScenarioRun(Scenario(seed: seed))
      let second = try ScenarioRun(Scenario(seed: seed))
      let other = try ScenarioRun(Scenario(seed: seed + 1))
      #expect(first.logs == second.logs, "HYPHA_SEED=\(seed)")
      // Two processes can be compared by these lines.
      if ProcessInfo.processInfo.environment["HYPHA_DIGEST"] != nil { print("digest", seed, first.digest) }
      #expect(first.logs != other.logs, "HYPHA_SEED=\(seed)")
    }
  }
}
