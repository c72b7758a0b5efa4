import HyphaCore
import Testing

/// Timestamps and the clock that gives them.
@Suite struct HybridClockTests {
  @Test func `a timestamp keeps 52 bits of microseconds and 12 of counter`() {
    let time = Timestamp(microseconds: 1_700_000_000_000_000, counter: 4_095)
    #expect(time.microseconds == 1_700_000_000_000_000)
    #expect(time.counter == 4_095)
    #expect(time.rawValue == 1_700_000_000_000_000 << 12 | 0xFFF)
    #expect(Timestamp(rawValue: time.rawValue) == time)
    #expect(Timestamp.zero < time)
  }

  @Test func `what does not fit a timestamp becomes the highest that does`() {
    #expect(Timestamp(microseconds: .max, counter: .max).rawValue == .max)
    #expect(Timestamp(microseconds: 1 << 52) == Timestamp(microseconds: 1 << 52 - 1))
    #expect(Timestamp(microseconds: 7, counter: 4_096) == Timestamp(microseconds: 7, counter: 4_095))
  }

  @Test func `the time between two readings has a sign and ignores the counter`() {
    let early = Timestamp(microseconds: 1_000_000, counter: 9)
    let late = Timestamp(microseconds: 3_500_000)
    #expect(late.since(early) == .milliseconds(2_500))
    #expect(early.since(late) == .milliseconds(-2_500))
    #expect(Timestamp(rawValue: .max).since(.zero) == .microseconds((1 << 52) - 1))
  }

  @Test func `readings follow the physical clock while it moves`() {
    var clock = HybridClock()
    #expect(clock.now(physical: 100) == Timestamp(microseconds: 100))
    #expect(clock.now(physical: 100) == Timestamp(microseconds: 100, counter: 1))
    #expect(clock.now(physical: 101) == Timestamp(microseconds: 101))
  }

  @Test func `readings rise while the physical clock jumps back`() {
    var clock = HybridClock()
    let before = clock.now(physical: 5_000_000)
    let after = clock.now(physical: 1)
    #expect(after == Timestamp(microseconds: 5_000_000, counter: 1))
    #expect(before < after)
  }

  @Test func `a clock that was set back goes on at a quarter of its pace until it has caught up`() {
    var clock = HybridClock(last: Timestamp(microseconds: 1_000))
    #expect(clock.time(physical: 0) == Timestamp(microseconds: 1_000))
    // However often it is looked at.
    for physical in 1...400 as ClosedRange<UInt64> { _ = clock.time(physical: physical) }
    #expect(clock.time(physical: 400) == Timestamp(microseconds: 1_100))
    #expect(clock.now(physical: 800) == Timestamp(microseconds: 1_200, counter: 1))
    #expect(clock.time(physical: 800) == Timestamp(microseconds: 1_200, counter: 1))
    // Set back once more, it goes on from there.
    #expect(clock.time(physical: 300) == Timestamp(microseconds: 1_200, counter: 1))
    #expect(clock.time(physical: 700) == Timestamp(microseconds: 1_300))
    #expect(clock.now(physical: 1_299) == Timestamp(microseconds: 1_449, counter: 1))
    #expect(clock.now(physical: 1_600) == Timestamp(microseconds: 1_600))
    #expect(clock.time(physical: 1_700) == Timestamp(microseconds: 1_700))
  }

  @Test func `a clock that is behind what it receives goes on from when it received that`() throws {
    var clock = HybridClock()
    _ = clock.now(physical: 1_000)
    try clock.observe(Timestamp(microseconds: 9_100), physical: 9_000)
    #expect(clock.time(physical: 9_040) == Timestamp(microseconds: 9_110))
  }

  @Test func `a full counter carries into the microseconds`() {
    var clock = HybridClock(last: Timestamp(microseconds: 100, counter: 4_095))
    #expect(clock.now(physical: 100) == Timestamp(microseconds: 101))
    var standing = HybridClock()
    var last = standing.now(physical: 100)
    for _ in 0..<10_000 {
      let next = standing.now(physical: 100)
      #expect(next.rawValue == last.rawValue + 1)
      last = next
    }
  }

  @Test func `a reading lies above a received time`() throws {
    var clock = HybridClock()
    try clock.observe(Timestamp(microseconds: 2_000_000, counter: 7), physical: 1_000_000)
    #expect(clock.now(physical: 1_000_000) == Timestamp(microseconds: 2_000_000, counter: 8))
    try clock.observe(Timestamp(microseconds: 5), physical: 1_000_000)
    #expect(clock.now(physical: 1_000_000) == Timestamp(microseconds: 2_000_000, counter: 9))
  }

  @Test func `a received time may lie ahead by the bound and not by a microsecond more`() throws {
    var clock = HybridClock(aheadMax: .seconds(5))
    try clock.observe(Timestamp(microseconds: 6_000_000, counter: 4_095), physical: 1_000_000)
    let before = clock
    expectError(
      "clockAhead: a received time lies 5.000001 seconds ahead of this node's clock; "
        + "synchronise the hosts' clocks (NTP), or raise clock.ahead-max above 5.0 seconds"
    ) { try clock.observe(Timestamp(microseconds: 6_000_001), physical: 1_000_000) }
    // A refused time leaves no trace.
    var unmoved = before
    let (reading, expected) = (clock.now(physical: 0), unmoved.now(physical: 0))
    #expect(reading == expected)
  }

  @Test func `readings rise under random clocks and random received times`() {
    var random = seededRandom()
    var clock = HybridClock()
    var last = Timestamp.zero
    var physical: UInt64 = 1_700_000_000_000_000
    for _ in 0..<20_000 {
      physical = physical &+ UInt64(random.int(0...2_000)) &- (random.chance(0.1) ? 10_000_000 : 500)
      if random.chance(0.3) {
        let received = Timestamp(
          microseconds: physical &+ random.next() % 8_000_000, counter: random.next() % 4_096)
        let refused = errorCode { try clock.observe(received, physical: physical) } != nil
        #expect(refused == (received.microseconds > physical + 5_000_000))
        if !refused { last = max(last, received) }
      }
      let reading = clock.now(physical: physical)
      #expect(reading > last)
      #expect(reading.microseconds >= physical)
      last = reading
    }
  }

  @Test func `hostile values of 64 bits never trap, and readings never fall`() {
    var random = seededRandom()
    for _ in 0..<200 {
      var clock = HybridClock(last: Timestamp(rawValue: random.bits()))
      var last = Timestamp.zero
      for _ in 0..<50 {
        try? clock.observe(Timestamp(rawValue: random.bits()), physical: random.bits())
        let reading = clock.now(physical: random.bits())
        #expect(reading > last || reading.rawValue == .max)
        last = reading
      }
    }
  }

  @Test func `the clock stands still at the end of time`() {
    var clock = HybridClock(last: Timestamp(rawValue: .max))
    #expect(clock.now(physical: 0).rawValue == .max)
    #expect(clock.now(physical: .max).rawValue == .max)
  }
}
