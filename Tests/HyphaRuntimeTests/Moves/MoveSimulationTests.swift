import Foundation
import HyphaCore
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// The promises of docs/guarantees.md while agents move from node to node, seed after seed.
@Suite struct MoveSimulationTests {
  private func check(
    _ seeds: [UInt64], _ weather: Scenario.Weather, isLive: Bool = false, isReplicated: Bool = false
  ) throws {
    var arrivedCount = 0
    for seed in seeds {
      let run = try ScenarioRun(
        Scenario(
          seed: seed, weather: weather, isLive: isLive, isReplicated: isReplicated, isMoving: true))
      arrivedCount += run.moves.moves.count { $0.stage == .arrived }
      let violations =
        InvariantChecker(run).violations + (run.isComplete ? WorkChecker(run).violations : [])
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
      guard violations.isEmpty else { return }
    }
    #expect(seeds.count < 10 || arrivedCount >= seeds.count, "agents have moved \(arrivedCount) times")
  }

  @Test func `every promise holds while agents move`() throws { try check(seeds(20), .calm) }

  @Test func `every promise holds while agents move under loss, doubling and overtaking`() throws {
    try check(seeds(20), .lossy)
  }

  @Test func `every promise holds while agents move under crashes, partitions and full disks`() throws {
    try check(seeds(60), .stormy)
  }

  @Test func `every promise holds while agents move from and to nodes with replicas`() throws {
    try check(seeds(10), .calm, isReplicated: true)
    try check(seeds(10), .lossy, isReplicated: true)
  }

  @Test(arguments: 0..<2)
  func `every promise holds while agents move from and to nodes with replicas under crashes and partitions`(
    part: Int
  ) throws {
    try check(seeds(40, part: part, of: 2), .stormy, isReplicated: true)
  }

  @Test func `every promise holds while agents move and links come and go`() throws {
    try check(seeds(20), .stormy, isLive: true)
  }
}
