import HyphaCore
import Testing

@testable import HyphaOperator

/// Where a replay on a terminal is, whatever keys say.
@Suite struct ReplayPlaceTests {
  private func time(_ seconds: UInt64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

  @Test func `steps add up while nothing is shown`() {
    var place = ReplayPlace()
    #expect(place.move(by: 10) == nil && place.time == nil)
    place.meet(time(100), isShown: false)
    #expect(place.time == time(100))
    for step in 1...5 as ClosedRange<UInt64> {
      #expect(place.move(by: 10) == time(100 + 10 * step))
      // The event that comes next there waits, and is not where it is.
      place.meet(time(103 + 10 * step), isShown: false)
    }
    #expect(place.move(by: -60) == time(100) && place.move(by: 60) == time(160))
    // What is shown is where it is.
    place.meet(time(165), isShown: true)
    #expect(place.move(by: -10) == time(155))
  }

  @Test func `there is nothing before the earliest event, so nothing adds up there`() {
    var place = ReplayPlace()
    place.meet(time(100), isShown: true)
    place.meet(time(110), isShown: true)
    for _ in 0..<9 { #expect(place.move(by: -60) == time(100)) }
    #expect(place.move(by: 10) == time(110))
    place.rewind()
    #expect(place.time == nil)
    place.meet(time(100), isShown: false)
    #expect(place.time == time(100))
  }

  @Test func `no step leads out of what a time can be`() {
    var place = ReplayPlace()
    place.meet(time(5), isShown: true)
    #expect(place.move(by: -10) == time(5))
    var far = ReplayPlace()
    far.meet(Timestamp(microseconds: .max), isShown: true)
    #expect(far.move(by: 10) == far.time)
  }
}
