import HyphaCore
import HyphaLog
import Testing

@testable import HyphaOperator

/// When a node prunes its log by itself.
@Suite struct RetentionPaceTests {
  private static let start = Timestamp(microseconds: 1_000_000_000)

  private func time(_ seconds: Int64) -> Timestamp {
    Timestamp(microseconds: Self.start.microseconds + UInt64(seconds) * 1_000_000)
  }

  /// A plan of a log of `count` blocks of `size` bytes, whose oldest `old` go; a guard needs all behind `held`.
  private func plan(
    _ old: UInt64, of count: UInt64 = 100, size: UInt64 = 1000, heldBehind held: UInt64? = nil,
    takesHandled: Bool = false, at seconds: Int64
  ) -> PrunePlan {
    let guards = held.map { [PruneGuard("ana", through: Position(rawValue: $0), isConsumer: true)] } ?? []
    let policy = RetentionPolicy(
      entryCountMax: takesHandled ? nil : count - old, takesHandled: takesHandled)
    var plan = PrunePlan(
      policy, head: Position(rawValue: count), byteCount: count * size, guards: guards, now: time(seconds))
    for number in 1...count {
      let position = Position(rawValue: number)
      let block = PrunePlan.Block(
        range: position...position, newest: Self.start, byteCount: size, link: .zero)
      if !plan.add(block) { break }
    }
    return plan
  }

  @Test func `it is looked every five seconds`() {
    var pace = RetentionPace(from: Self.start)
    #expect(!pace.isDue(at: time(4)) && pace.isDue(at: time(5)))
    #expect(pace.decide(on: plan(0, at: 5)) == .wait)
    #expect(!pace.isDue(at: time(9)) && pace.isDue(at: time(10)))
  }

  @Test func `much goes at once, little within an hour, nothing never`() {
    var pace = RetentionPace(from: Self.start)
    #expect(pace.decide(on: plan(7, at: 5)) == .prune)
    #expect(pace.decide(on: plan(6, at: 10)) == .wait)
    #expect(pace.decide(on: plan(6, at: 3609)) == .wait)
    #expect(pace.decide(on: plan(6, at: 3610)) == .prune)
    #expect(pace.decide(on: plan(6, at: 3615)) == .wait)
    #expect(pace.decide(on: plan(0, at: 9000)) == .wait)
    // What waited is gone; what comes waits anew.
    #expect(pace.decide(on: plan(1, at: 9005)) == .wait)
    #expect(pace.decide(on: plan(17, of: 1_000, size: 1 << 20, at: 9010)) == .prune)
    #expect(pace.decide(on: plan(15, of: 1_000, size: 1 << 20, at: 9015)) == .wait)
  }

  @Test func `who holds all back is looked at ever more seldom, and told of after ten minutes`() {
    var pace = RetentionPace(from: Self.start)
    var (now, pauses) = (Int64(5), [Int64]())
    while now < 4000 {
      #expect(pace.isDue(at: time(now)) && pace.decide(on: plan(50, heldBehind: 0, at: now)) == .wait)
      #expect((pace.holder(at: time(now)) == nil) == (now < 605), "\(now)")
      let next = (1...).first { pace.isDue(at: time(now + $0)) } ?? 0
      pauses.append(next)
      now += next
    }
    #expect(pauses.prefix(7) == [10, 20, 40, 80, 160, 320, 600])
    #expect(pace.holder(at: time(now)) == "ana")
    // As soon as it has gone on, all is as before.
    #expect(pace.decide(on: plan(50, at: now)) == .prune)
    #expect(pace.holder(at: time(now + 600)) == nil && pace.isDue(at: time(now + 5)))
  }

  @Test func `what is not handled yet holds back nothing where only the handled goes`() {
    var pace = RetentionPace(from: Self.start)
    for round in 1...200 {
      let now = Int64(round) * 5
      #expect(pace.isDue(at: time(now)))
      #expect(pace.decide(on: plan(0, heldBehind: 0, takesHandled: true, at: now)) == .wait)
      #expect(pace.holder(at: time(now)) == nil)
    }
    #expect(pace.decide(on: plan(0, heldBehind: 30, takesHandled: true, at: 1005)) == .prune)
  }

  @Test func `after a failure it is looked later`() {
    var pace = RetentionPace(from: Self.start)
    pace.failed(at: time(5))
    #expect(!pace.isDue(at: time(14)) && pace.isDue(at: time(15)))
    pace.failed(at: time(15))
    #expect(!pace.isDue(at: time(34)) && pace.isDue(at: time(35)))
  }
}
