import HyphaCore
import HyphaTopology
import Testing

/// The promises of docs/guarantees.md while links come and go under load, by simulation.
@Suite struct RewireSimulationTests {
  private func check(_ seeds: [UInt64], _ weather: Scenario.Weather) throws {
    var directCount = 0
    for seed in seeds {
      let run = try ScenarioRun(Scenario(seed: seed, weather: weather, isLive: true))
      let violations = InvariantChecker(run).violations + (run.isComplete ? WorkChecker(run).violations : [])
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
      guard violations.isEmpty else { return }
      directCount += run.directFrameCount
    }
    if seeds.count > 1 { #expect(directCount > 0, "no event has ever taken a direct link") }
  }

  @Test(arguments: 0..<2) func `rewiring keeps every promise on a network that loses nothing`(part: Int)
    throws
  {
    try check(seeds(20, part: part, of: 2), .calm)
  }

  @Test(arguments: 0..<2) func `rewiring keeps every promise under loss, doubling and overtaking`(part: Int)
    throws
  {
    try check(seeds(40, part: part, of: 2), .lossy)
  }

  @Test(arguments: 0..<2) func `rewiring keeps every promise under crashes, partitions and full disks`(
    part: Int
  ) throws {
    try check(seeds(80, part: part, of: 2), .stormy)
  }
}
