import HyphaCore
import Testing

@testable import HyphaRuntime

/// How long it took to record a log.
@Suite struct RecordedTimeTests {
  @Test func `pauses are no time in which anything was recorded`() {
    var time = RecordedTime()
    // A day between two runs, and a second within one, which is none.
    let millis: [UInt64] = [0, 400, 1_400, 1_300, 1_500, 86_401_500, 86_402_000, 86_404_000]
    for milli in millis { time.take(Timestamp(microseconds: 1_700_000_000_000_000 + milli * 1_000)) }
    #expect(time.worked == .milliseconds(2_000))
    #expect(time.pauseCount == 2 && time.paused == .seconds(86_402))
  }

  @Test func `an empty log took no time`() { #expect(RecordedTime().worked == .zero) }
}
