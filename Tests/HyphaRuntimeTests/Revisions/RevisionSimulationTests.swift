import HyphaCore
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// The promises of docs/guarantees.md while topology files are applied to a running deployment, seed after seed.
@Suite struct RevisionSimulationTests {
  private func check(
    _ seeds: [UInt64], crashes: Bool, faults: MemoryNetwork.Faults = .none, observed: Bool = false,
    leaves: RevisionScenario.Leaves = .none
  ) throws {
    var (appliedCount, seatCount) = (0, 0)
    for seed in seeds {
      let scenario = try RevisionScenario(seed: seed, faults: faults, observed: observed, leaves: leaves)
      try scenario.run(crashes: crashes)
      appliedCount += scenario.appliedCount
      seatCount += scenario.seatCount
      let violations = scenario.violations
      #expect(violations.isEmpty, "HYPHA_SEED=\(seed): \(violations.prefix(4).joined(separator: "; "))")
      guard violations.isEmpty else { return }
    }
    #expect(seeds.count < 4 || leaves != .any || seatCount > 0, "the node that orders is always the same")
    #expect(seeds.count < 10 || appliedCount >= seeds.count, "\(appliedCount) files were applied")
  }

  @Test func `every promise holds while files are applied`() throws { try check(seeds(20), crashes: false) }

  @Test func `every promise holds while files are applied and nodes crash`() throws {
    try check(seeds(40), crashes: true)
  }

  @Test func `every promise holds while files are applied and links come and go`() throws {
    try check(seeds(15), crashes: true, observed: true)
  }

  @Test func `every promise holds while nodes leave`() throws {
    try check(seeds(8), crashes: false, leaves: .allButTheSeat)
  }

  @Test func `every promise holds while nodes leave and crash, under loss, doubling and overtaking`() throws {
    try check(seeds(8), crashes: true, leaves: .allButTheSeat)
    try check(
      seeds(6), crashes: true,
      faults: MemoryNetwork.Faults(loss: 0.1, duplication: 0.1, delay: .zero ... .milliseconds(20)),
      observed: true, leaves: .allButTheSeat)
  }

  @Test func `every promise holds while nodes leave that order what is applied`() throws {
    try check(seeds(4), crashes: false, leaves: .any)
    try check(
      seeds(4), crashes: true,
      faults: MemoryNetwork.Faults(loss: 0.1, duplication: 0.1, delay: .zero ... .milliseconds(20)),
      leaves: .any)
  }

  @Test func `every promise holds while files are applied under loss, doubling and overtaking`() throws {
    try check(
      seeds(15), crashes: true,
      faults: MemoryNetwork.Faults(loss: 0.1, duplication: 0.1, delay: .zero ... .milliseconds(20)))
  }
}
