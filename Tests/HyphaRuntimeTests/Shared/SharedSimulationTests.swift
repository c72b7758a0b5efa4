import Foundation
import HyphaCore
import Testing

@testable import HyphaRuntime

/// What is promised of shared values, in random deployments, seed after seed.
@Suite struct SharedSimulationTests {
  private func check(
    _ seeds: [UInt64], _ weather: Scenario.Weather, isLive: Bool = false, isReplicated: Bool = false,
    isMoving: Bool = false
  ) throws {
    var (foundCount, staleCount) = (0, 0)
    for seed in seeds {
      let run = try ScenarioRun(
        Scenario(
          seed: seed, weather: weather, isLive: isLive, isReplicated: isReplicated, isMoving: isMoving,
          isSharing: true))
      let shared = try SharedChecker(run)
      let violations =
        shared.violations + InvariantChecker(run).violations
        + (run.isComplete ? WorkChecker(run).violations : [])
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
      guard violations.isEmpty else { return }
      foundCount += shared.foundCount
      staleCount += shared.staleCount
    }
    #expect(seeds.count < 10 || foundCount > 1_000 && staleCount > 100, "\(foundCount), \(staleCount)")
  }

  @Test func `shared values are read as promised on a network that loses nothing`() throws {
    try check(seeds(20), .calm)
  }

  @Test func `shared values are read as promised under crashes, partitions and full disks`() throws {
    try check(seeds(60), .stormy)
  }

  @Test func `shared values are read as promised while agents move`() throws {
    try check(seeds(20), .stormy, isMoving: true)
  }

  @Test func `shared values are read as promised while links come and go`() throws {
    try check(seeds(20), .stormy, isLive: true)
  }

  @Test func `shared values are read as promised where nodes have replicas`() throws {
    try check(seeds(20), .stormy, isReplicated: true)
  }
}
