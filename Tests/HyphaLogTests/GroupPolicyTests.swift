import HyphaLog
import Testing

/// When a commit group is complete.
@Suite struct GroupPolicyTests {
  private let commit = Duration.microseconds(400)

  @Test func `a writer that is alone never waits`() {
    var policy = GroupPolicy()
    for _ in 0..<100 {
      #expect(policy.decide(waitingCount: 1, waited: .zero) == .commit)
      policy.committed(count: 1, duration: commit, arrivedMeanwhile: 0)
    }
  }

  @Test func `those who wrote last time are waited for, for a part of a commit`() {
    var policy = GroupPolicy()
    policy.committed(count: 64, duration: commit, arrivedMeanwhile: 0)
    #expect(
      policy.decide(waitingCount: 5, waited: .zero) == .gather(untilCount: 64, upTo: .microseconds(100)))
    #expect(
      policy.decide(waitingCount: 40, waited: .microseconds(60))
        == .gather(untilCount: 64, upTo: .microseconds(40)))
    #expect(policy.decide(waitingCount: 64, waited: .zero) == .commit)
    #expect(policy.decide(waitingCount: 5, waited: .microseconds(100)) == .commit)
  }

  @Test func `two cohorts that write in turns become one`() {
    var policy = GroupPolicy()
    policy.committed(count: 32, duration: commit, arrivedMeanwhile: 32)
    #expect(
      policy.decide(waitingCount: 32, waited: .zero) == .gather(untilCount: 64, upTo: .microseconds(100)))
  }

  @Test func `writers that have gone are waited for once`() {
    var policy = GroupPolicy()
    policy.committed(count: 64, duration: commit, arrivedMeanwhile: 0)
    #expect(policy.decide(waitingCount: 1, waited: .zero) != .commit)
    policy.committed(count: 1, duration: commit, arrivedMeanwhile: 0)
    #expect(policy.decide(waitingCount: 1, waited: .zero) == .commit)
  }

  @Test func `on a slow disk the wait has a bound`() {
    var policy = GroupPolicy(gatherMax: .milliseconds(2))
    policy.committed(count: 8, duration: .seconds(5), arrivedMeanwhile: 0)
    #expect(
      policy.decide(waitingCount: 1, waited: .zero) == .gather(untilCount: 8, upTo: .milliseconds(2)))
  }

  @Test func `a group has no more events than are planned in time`() {
    var policy = GroupPolicy(planMax: .milliseconds(10))
    #expect(policy.appendCountMax(upTo: 4096) == 4096, "nothing was planned yet")
    policy.planned(appendCount: 1000, duration: .milliseconds(1))
    #expect(policy.appendCountMax(upTo: 4096) == 4096)
    for _ in 0..<100 { policy.planned(appendCount: 1000, duration: .milliseconds(50)) }
    #expect((199...201).contains(policy.appendCountMax(upTo: 4096)))
    #expect(policy.appendCountMax(upTo: 100) == 100)
    policy.planned(appendCount: 1, duration: .seconds(10))
    #expect((199...201).contains(policy.appendCountMax(upTo: 4096)), "one event says nothing")
    for _ in 0..<100 { policy.planned(appendCount: 1000, duration: .seconds(10)) }
    #expect(policy.appendCountMax(upTo: 4096) == GroupPolicy.appendCountMin)
  }
}
