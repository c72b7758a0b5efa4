import HyphaCore
import HyphaTopology
import Testing

/// The promises of docs/guarantees.md while nodes of supervisors die for long and their branches are attached elsewhere, by simulation.
@Suite struct BranchSimulationTests {
  private enum Seat: CaseIterable { case none, one, standby }

  private func check(_ seeds: [UInt64], _ weather: Scenario.Weather, _ seat: Seat) throws {
    var attachedCount = 0
    for seed in seeds {
      let run = try ScenarioRun(
        Scenario(
          seed: seed, weather: weather, isLive: seat != .none, hasStandby: seat == .standby, isBranching: true
        ))
      let violations = InvariantChecker(run).violations + (run.isComplete ? WorkChecker(run).violations : [])
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
      guard violations.isEmpty else { return }
      attachedCount += BranchChecker(run).attachedCount
    }
    if seeds.count > 1 { #expect(attachedCount > 0, "no branch was ever attached elsewhere") }
  }

  @Test func `branches are attached where nobody observes, and every promise is kept`() throws {
    try check(seeds(10), .calm, .none)
    try check(seeds(16), .stormy, .none)
  }

  @Test func `branches are attached by the observer's seat, and every promise is kept`() throws {
    try check(seeds(10), .lossy, .one)
    try check(seeds(16), .stormy, .one)
  }

  @Test func `branches are attached by whoever has the seat, and every promise is kept`() throws {
    try check(seeds(16), .stormy, .standby)
  }
}
