import HyphaCore
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// The promises of docs/guarantees.md where nodes have replicas, by simulation.
@Suite struct ReplicationSimulationTests {
  private func check(_ seeds: [UInt64], _ weather: Scenario.Weather) throws -> (copied: Int, inDoubt: Int) {
    var (copiedCount, inDoubtCount) = (0, 0)
    for seed in seeds {
      let run = try ScenarioRun(Scenario(seed: seed, weather: weather, isReplicated: true))
      let violations = InvariantChecker(run).violations + (run.isComplete ? WorkChecker(run).violations : [])
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
      guard violations.isEmpty else { break }
      inDoubtCount += run.early.count
      for (node, log) in run.logs {
        copiedCount += log.entries.count { entry in
          let origin = run.scenario.topology.agent(entry.record.header.agent)?.node
          return origin.flatMap(run.scenario.topology.node)?.replicas.nodes.contains(node) ?? false
        }
      }
    }
    return (copiedCount, inDoubtCount)
  }

  @Test(arguments: 0..<2)
  func `replicas have all, and nothing leaves before, on a network that loses nothing`(
    part: Int
  ) throws {
    let seeds = seeds(30, part: part, of: 2)
    let found = try check(seeds, .calm)
    #expect(found.inDoubt == 0)
    if seeds.count > 1 { #expect(found.copied > seeds.count) }
  }

  @Test(arguments: 0..<2) func `replication keeps every promise under loss, doubling and overtaking`(
    part: Int
  )
    throws
  {
    _ = try check(seeds(40, part: part, of: 2), .lossy)
  }

  @Test(arguments: 0..<2) func `replication keeps every promise under crashes, partitions and full disks`(
    part: Int
  ) throws {
    let seeds = seeds(80, part: part, of: 2)
    let found = try check(seeds, .stormy)
    if seeds.count > 20 { #expect(found.inDoubt > 0, "no event has ever left in doubt") }
  }
}
