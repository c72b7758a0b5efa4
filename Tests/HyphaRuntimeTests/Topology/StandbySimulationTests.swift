import HyphaCore
import HyphaTopology
import Testing

/// The promises of docs/guarantees.md while the observer's seat goes from node to node, by simulation: nodes of the seat die, come
/// back, and are cut off from all others or from some.
@Suite struct StandbySimulationTests {
  private func check(_ seeds: [UInt64], _ weather: Scenario.Weather, ownByteCountMax: Int? = nil) throws {
    var takeoverCount = 0
    for seed in seeds {
      let run = try ScenarioRun(
        Scenario(seed: seed, weather: weather, isLive: true, hasStandby: true),
        ownByteCountMax: ownByteCountMax)
      let violations = InvariantChecker(run).violations + (run.isComplete ? WorkChecker(run).violations : [])
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
      guard violations.isEmpty else { return }
      takeoverCount += SeatChecker(run).takeoverCount
    }
    if seeds.count > 1 { #expect(takeoverCount > 0, "no standby has ever taken the seat over") }
  }

  @Test(arguments: 0..<2)
  func `a seat that is taken over keeps every promise on a network that loses nothing`(
    part: Int
  ) throws {
    try check(seeds(40, part: part, of: 2), .calm)
  }

  @Test(arguments: 0..<2)
  func `a seat that is taken over keeps every promise under loss, crashes and partitions`(
    part: Int
  ) throws {
    try check(seeds(80, part: part, of: 2), .stormy)
  }

  @Test func `a seat that states its terms in parts keeps every promise under loss, crashes and partitions`()
    throws
  {
    try check(seeds(20), .stormy, ownByteCountMax: 384)
  }
}
