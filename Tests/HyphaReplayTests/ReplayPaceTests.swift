import HyphaCore
import HyphaReplay
import Testing

/// When the next event is due.
@Suite struct ReplayPaceTests {
  private func time(_ milliseconds: UInt64) -> Timestamp {
    Timestamp(microseconds: 1_000_000 + milliseconds * 1_000)
  }

  @Test func `twice as fast waits half as long, from when the one before was due`() {
    var pace = ReplayPace(rate: .times(2))
    #expect(pace.decide(recorded: time(0), now: .seconds(5)) == .deliver)
    #expect(pace.decide(recorded: time(100), now: .seconds(5)) == .wait(.milliseconds(50)))
    #expect(pace.decide(recorded: time(100), now: .milliseconds(5_020)) == .wait(.milliseconds(30)))
    // It comes 10 ms late; the next is not.
    #expect(pace.decide(recorded: time(100), now: .milliseconds(5_060)) == .deliver)
    #expect(pace.decide(recorded: time(200), now: .milliseconds(5_060)) == .wait(.milliseconds(40)))
  }

  @Test func `without a limit everything is due at once`() {
    var pace = ReplayPace()
    for milliseconds: UInt64 in [0, 10_000, 5, 80_000] {
      #expect(pace.decide(recorded: time(milliseconds), now: .zero) == .deliver)
    }
  }

  @Test func `a long pause is cut, and what follows keeps its distances`() {
    var pace = ReplayPace(rate: .times(1), idleMax: .seconds(1))
    #expect(pace.decide(recorded: time(0), now: .zero) == .deliver)
    #expect(pace.decide(recorded: time(60_000), now: .zero) == .wait(.seconds(1)))
    #expect(pace.decide(recorded: time(60_000), now: .seconds(1)) == .deliver)
    #expect(pace.decide(recorded: time(60_500), now: .seconds(1)) == .wait(.milliseconds(500)))
  }

  @Test func `an event that is older than one before is due at once and moves nothing`() {
    var pace = ReplayPace(rate: .times(1))
    #expect(pace.decide(recorded: time(1_000), now: .zero) == .deliver)
    #expect(pace.decide(recorded: time(10), now: .zero) == .deliver)
    #expect(pace.decide(recorded: time(1_500), now: .zero) == .wait(.milliseconds(500)))
  }

  @Test func `a pause holds, a step shows one, and time goes on from there`() {
    var pace = ReplayPace(rate: .times(1))
    #expect(pace.decide(recorded: time(0), now: .zero) == .deliver)
    pace.pause()
    #expect(pace.decide(recorded: time(100), now: .seconds(9)) == .hold)
    pace.step()
    #expect(pace.decide(recorded: time(100), now: .seconds(10)) == .deliver)
    #expect(pace.decide(recorded: time(200), now: .seconds(10)) == .hold)
    pace.step()
    pace.step()
    #expect(pace.decide(recorded: time(200), now: .seconds(10)) == .deliver)
    #expect(pace.decide(recorded: time(300), now: .seconds(10)) == .deliver)
    #expect(pace.decide(recorded: time(400), now: .seconds(10)) == .hold)
    pace.resume(now: .seconds(20))
    #expect(pace.decide(recorded: time(400), now: .seconds(20)) == .wait(.milliseconds(100)))
  }

  @Test func `a step while it runs pauses it`() {
    var pace = ReplayPace(rate: .times(1))
    pace.step()
    #expect(pace.decide(recorded: time(0), now: .zero) == .deliver)
    #expect(pace.decide(recorded: time(1), now: .seconds(5)) == .hold)
  }

  @Test func `a new speed counts from now, and has its limits`() {
    var pace = ReplayPace(rate: .times(1))
    #expect(pace.decide(recorded: time(0), now: .zero) == .deliver)
    pace.faster(now: .seconds(1))
    #expect(pace.rate == .times(2))
    #expect(pace.decide(recorded: time(4_000), now: .seconds(1)) == .wait(.seconds(2)))
    pace.slower(now: .seconds(2))
    pace.slower(now: .seconds(2))
    #expect(pace.rate == .times(0.5))
    #expect(pace.decide(recorded: time(4_000), now: .seconds(2)) == .wait(.seconds(8)))
    for _ in 0..<40 { pace.slower(now: .zero) }
    #expect(pace.rate == .times(ReplayPace.timesMin))
    for _ in 0..<40 { pace.faster(now: .zero) }
    #expect(pace.rate == .unlimited)
    pace.slower(now: .zero)
    #expect(pace.rate == .times(ReplayPace.timesMax))
  }

  @Test func `after a seek the next event is due at once, and time goes on from it`() {
    var pace = ReplayPace(rate: .times(1))
    #expect(pace.decide(recorded: time(100_000), now: .zero) == .deliver)
    pace.seek()
    #expect(pace.decide(recorded: time(50_000), now: .seconds(3)) == .deliver)
    #expect(pace.decide(recorded: time(51_000), now: .seconds(3)) == .wait(.seconds(1)))
  }
}
