import HyphaCore
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// Nodes whose programs speak other protocol versions, in one deployment.
@Suite struct UpgradeTests {
  @Test func `a deployment is upgraded node by node, and back`() throws {
    for seed in seeds(4) {
      let scenario = try RevisionScenario(seed: seed)
      // The next version beside this one, then alone; and the same way back.
      try scenario.upgrade([1...2, 2...2, 1...2, 1...1])
      let violations = scenario.violations
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
      guard violations.isEmpty else { return }
    }
  }

  @Test func `nodes without a version in common wait for each other, say so, and lose nothing`() throws {
    let scenario = try RevisionScenario(seed: 1)
    let deployment = scenario.deployment
    deployment.versions["y"] = 3...4
    try deployment.start()
    deployment.run(for: .seconds(10))
    let notes = deployment.nodes.flatMap { $0.status().notes }
    #expect(
      notes.contains { $0.contains("speaks protocol version 3 to 4") && $0.contains("upgrade node 'hub'") },
      "\(notes)")
    #expect(!deployment.summary().isComplete)
    // What it speaks now fits.
    try scenario.upgrade([1...3])
    #expect(scenario.violations.isEmpty, "\(scenario.violations.prefix(4))")
  }
}
