import HyphaCore
import HyphaLog
import Testing

/// What a prune decides to remove.
@Suite struct RetentionPlanTests {
  /// Ten blocks of ten entries and 100 bytes each; block n was taken at second n.
  private static let blocks = (UInt64(1)...10).map { (number: UInt64) -> PrunePlan.Block in
    let last = Position(rawValue: number * 10)
    return PrunePlan.Block(
      range: Position(rawValue: last.rawValue - 9)...last,
      newest: Timestamp(microseconds: number * 1_000_000), byteCount: 100, link: .zero)
  }

  private func plan(_ policy: RetentionPolicy, guards: [PruneGuard] = []) -> PrunePlan {
    var plan = PrunePlan(
      policy, head: Position(rawValue: 100), byteCount: 1_000, guards: guards,
      now: Timestamp(microseconds: 10_000_000))
    for block in Self.blocks where !plan.add(block) { break }
    return plan
  }

  private func through(_ policy: RetentionPolicy, guards: [PruneGuard] = []) -> UInt64 {
    plan(policy, guards: guards).range?.upperBound.rawValue ?? 0
  }

  @Test func `a block that is spared stays, and what is around it goes`() {
    var plan = PrunePlan(
      RetentionPolicy(entryCountMax: 20), head: Position(rawValue: 100), byteCount: 1_000, guards: [],
      sparing: [Position(rawValue: 3), Position(rawValue: 45), Position(rawValue: 95)],
      now: Timestamp(microseconds: 10_000_000))
    for block in Self.blocks where !plan.add(block) { break }
    #expect(plan.range == Position(rawValue: 11)...Position(rawValue: 80))
    #expect(plan.sparedBlockCount == 2 && plan.blockCount == 6 && plan.entryCount == 60)
    #expect(plan.byteCount == 600 && plan.heldBackBy == nil)
  }

  @Test func `a hundred thousand blocks that stay are looked at once, and no step is long`() {
    // Of two blocks one stays, and of those between every second one went before.
    var blocks = (UInt64(1)...200_000).filter { $0 % 4 != 3 }
    let spared = SparedPositions(blocks.lazy.filter { $0 % 2 == 0 }.map { Position(rawValue: $0) })
    let last = Position(rawValue: 199_999)
    var (begin, lookCount, stepCount, isOver) = (Position(rawValue: 1), 0, 0, false)
    var isBounded = true
    var gone: Set<UInt64> = []
    var next = blocks[...]
    while !isOver {
      var walk = PruneWalk(from: begin, through: last, sparing: spared)
      // What a step finds is what is there from its begin on.
      next = next.drop { $0 < begin.rawValue || gone.contains($0) }
      isOver = true
      for block in next where !gone.contains(block) {
        let position = Position(rawValue: block)
        guard walk.look(at: position...position, byteCount: 100, link: .zero) else {
          isOver = !walk.goesOn
          break
        }
      }
      gone.formUnion(walk.blocks.map(\.rawValue))
      isBounded = isBounded && walk.lookCount <= PruneWalk.lookCountMax && walk.begin >= begin
      isOver = isOver && walk.blocks.isEmpty
      (begin, lookCount, stepCount) = (walk.begin, lookCount + walk.lookCount, stepCount + 1)
    }
    #expect(isBounded && gone == Set(blocks.filter { $0 % 2 == 1 }))
    #expect(stepCount <= 50_000 + 2 && lookCount <= blocks.count + 2 * stepCount)
    // With nothing left to remove, a step passes over as many as it may.
    blocks.removeAll { $0 % 2 == 1 }
    (begin, stepCount) = (Position(rawValue: 1), 0)
    while begin < last {
      var walk = PruneWalk(from: begin, through: last, sparing: spared)
      for block in blocks[(Int(begin.rawValue) / 2)...] {
        let position = Position(rawValue: block)
        guard walk.look(at: position...position, byteCount: 100, link: .zero) else { break }
      }
      (begin, stepCount) = (walk.begin, stepCount + 1)
    }
    #expect(stepCount == (blocks.count + PruneWalk.lookCountMax - 1) / PruneWalk.lookCountMax)
  }

  @Test func `a policy without limits keeps everything`() {
    #expect(through(RetentionPolicy()) == 0)
    #expect(RetentionPolicy().description == "everything")
  }

  @Test func `each limit takes whole blocks that lie beyond it`() {
    #expect(through(RetentionPolicy(ageMax: .seconds(4))) == 50)
    #expect(through(RetentionPolicy(ageMax: .milliseconds(3_999))) == 60)
    #expect(through(RetentionPolicy(ageMax: .seconds(Int64.max))) == 0)
    #expect(through(RetentionPolicy(byteCountMax: 300)) == 70)
    #expect(through(RetentionPolicy(byteCountMax: 299)) == 80)
    #expect(through(RetentionPolicy(byteCountMax: 5_000)) == 0)
    #expect(through(RetentionPolicy(entryCountMax: 25)) == 70)
    #expect(through(RetentionPolicy(entryCountMax: 20)) == 80)
    #expect(through(RetentionPolicy(entryCountMax: .max)) == 0)
  }

  @Test func `of several limits the strictest decides`() {
    let policy = RetentionPolicy(ageMax: .seconds(8), byteCountMax: 600, entryCountMax: 75)
    #expect(through(policy) == 40)
    #expect(policy.description == "newer than 8 s, at most 600 bytes, newest 75")
  }

  @Test func `what was handled goes only where somebody handles`() {
    let ana = PruneGuard(
      CursorKey(agent: "ana", channel: .persistent),
      at: Cursor(position: Position(rawValue: 57), handledCount: 3))
    #expect(through(RetentionPolicy(takesHandled: true)) == 0)
    #expect(through(RetentionPolicy(takesHandled: true), guards: [ana]) == 50)
    let kept = PruneGuard(keeping: Position(rawValue: 31))
    #expect(through(RetentionPolicy(takesHandled: true), guards: [ana, kept]) == 30)
    #expect(through(RetentionPolicy(takesHandled: true), guards: [kept]) == 0)
  }

  @Test func `the lowest guard is the bound, to the end of a block, and is named`() {
    let guards = [
      PruneGuard(keeping: Position(rawValue: 61)), PruneGuard("b", through: Position(rawValue: 49)),
    ]
    let plan = plan(RetentionPolicy(entryCountMax: 1), guards: guards)
    #expect(plan.range == Position(rawValue: 1)...Position(rawValue: 40))
    #expect(plan.heldBackBy?.name == "b")
    #expect(plan.entryCount == 40 && plan.byteCount == 400 && plan.blockCount == 4)
    #expect(self.plan(RetentionPolicy(entryCountMax: 70), guards: guards).heldBackBy == nil)
    #expect(through(RetentionPolicy(entryCountMax: 1), guards: [PruneGuard(keeping: .start)]) == 0)
  }
}
