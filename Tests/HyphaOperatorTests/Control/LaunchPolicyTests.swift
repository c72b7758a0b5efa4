import HyphaCore
import HyphaRuntime
import Testing

@testable import HyphaOperator

@Suite struct LaunchPolicyTests {
  @Test func `a node that died is started again, and one that was started elsewhere is not`() {
    var policy = LaunchPolicy(["a", "b"])
    for node in ["a", "b"] as [NodeID] { policy.reported(node) }
    #expect(policy.ended("a", .killed(signal: 9), at: .seconds(1)) == .wait)
    #expect(policy.due(at: .seconds(2), DeploymentSummary([])) == .restart(["a"]))
    let ending = policy.ended("b", .exited(1), isSuperseded: true, at: .seconds(3))
    #expect(ending == .fail("node 'b' was started again elsewhere, and has stopped here"))
    #expect(policy.due(at: .seconds(9), DeploymentSummary([])) == .wait)
  }
}
