import HyphaCore
import HyphaLog
import Testing

/// Planning groups ahead of what can be looked up.
@Suite struct AppendPlannerTests {
  /// A log that has nothing yet: whatever was planned is still on its way to it.
  private struct Nothing: HeadSource {
    func laneHead(_ lane: Lane) -> LaneHead? { nil }
    func streamHead(_ stream: StreamID) -> StreamHead? { nil }
    func newestEpoch(of agent: AgentID, on channel: Channel) -> UInt64? { nil }
    func keptReceipt(_ key: IdempotencyKey) -> KeptReceipt? { nil }
  }

  private func decide(_ planner: inout AppendPlanner, _ batch: LogBatch) throws -> AppendPlanner.Decision {
    planner.beginGroup(mayForget: false)
    defer { planner.groupWasCommitted() }
    return try planner.plan(batch, body: batch.bodyBytes, now: .zero, heads: Nothing())
  }

  @Test func `a key of the group before counts while that is on its way to the log`() throws {
    var planner = AppendPlanner()
    var ana = Author("ana")
    var batch = try ana.batch(2)
    batch.idempotencyKey = "order-17"
    guard case .take(let first) = try decide(&planner, batch) else {
      Issue.record("the first is not taken")
      return
    }
    guard case .repeated(let again) = try decide(&planner, batch) else {
      Issue.record("the second is taken as well")
      return
    }
    #expect(again.first == first.first && again.isRepeated)
    #expect(planner.head == Position(rawValue: 2))
  }

  @Test func `heads, conditions and epochs go on from groups that are on their way to the log`() throws {
    var planner = AppendPlanner()
    var ana = Author("ana")
    _ = try decide(&planner, try ana.batch(3))
    var next = try ana.batch(2)
    next.expectedSequences = [StreamID(agent: "ana", epoch: 1, channel: .persistent): 3]
    _ = try decide(&planner, next)
    #expect(planner.placements.map(\.previousInLane.rawValue) == [3, 4])
    let duplicate = LogBatch(appends: [.init(try event("ana", 1, 4, after: LanePoint(epoch: 1, sequence: 3)))]
    )
    expectError(.logConflict, "it is in the log already") { _ = try decide(&planner, duplicate) }
    let stale = ana
    ana.beginEpoch()
    _ = try decide(&planner, try ana.batch(1))
    var late = stale
    let behind = LogBatch(appends: [.init(try late.next(to: "bob"))])
    expectError(.logConflict, "epoch 1 of ana is over") { _ = try decide(&planner, behind) }
  }

  @Test func `a group that is taken back leaves what groups before it have moved`() throws {
    var planner = AppendPlanner()
    var ana = Author("ana")
    _ = try decide(&planner, try ana.batch(3))
    let before = ana
    planner.beginGroup(mayForget: false)
    let lost = try ana.batch(2)
    _ = try planner.plan(lost, now: .zero, heads: Nothing())
    planner.rollBack()
    #expect(planner.head == Position(rawValue: 3))
    var moved: [Lane: LaneHead] = [:]
    planner.forEachMovedLane { moved[$0] = $1 }
    #expect(moved[ana.lane()]?.count == 3)
    ana = before
    _ = try decide(&planner, try ana.batch(1))
    #expect(planner.head == Position(rawValue: 4))
  }
}
