import HyphaCore
import Testing

@testable import HyphaOperator

/// Nights between two runs on the same data.
@Suite struct TimePausesTests {
  private static let (second, day): (UInt64, UInt64) = (1_000_000, 86_400_000_000)
  private static let begin: UInt64 = 1_700_000_000_000_000

  private func pauses(_ times: [UInt64]) -> TimePauses {
    var pauses = TimePauses()
    for time in times { pauses.take(Self.begin + time) }
    pauses.finish()
    return pauses
  }

  /// Runs of 20 s with an event each 100 ms, at some times.
  private func runs(at begins: [UInt64]) -> [UInt64] {
    begins.flatMap { begin in (0...200).map { begin + $0 * Self.second / 10 } }
  }

  @Test func `nights are cut out, and what was stated in the runs keeps its order and its distances`() {
    let times = runs(at: [0, Self.day, Self.day + 3_600 * Self.second, 9 * Self.day])
    let pauses = pauses(times)
    #expect(pauses.pauses.count == 3)
    let folded = times.map { pauses.folded(Self.begin + $0) - Self.begin }
    for (index, time) in times.enumerated().dropFirst() {
      let distance = time - times[index - 1]
      let expected = distance > Self.second ? TimePauses.keptWidth : distance
      #expect(folded[index] - folded[index - 1] == expected)
    }
    #expect(folded.last == 80 * Self.second + 3 * TimePauses.keptWidth)
    // What nobody stated in them lies between the runs.
    for time in [20 * Self.second + 5, Self.day / 2] {
      let place = pauses.folded(Self.begin + time) - Self.begin
      #expect(place > folded[200] && place <= folded[201])
    }
  }

  @Test func `a run that is quiet, slow or short keeps its times`() {
    // An hour of quiet in a day, an event a minute, and three events months apart.
    let quiet = (0..<1_440).map { UInt64($0) * 60 * Self.second }.filter {
      !(600..<660).contains($0 / (60 * Self.second))
    }
    for times in [
      quiet, (0..<500).map { UInt64($0) * 60 * Self.second }, [0, 90 * Self.day, 100 * Self.day], [5], [],
    ] {
      let pauses = pauses(times)
      #expect(pauses.pauses.isEmpty)
      for time in times { #expect(pauses.folded(Self.begin + time) == Self.begin + time) }
    }
  }

  @Test func `what comes late is in no pause`() {
    let runs = runs(at: [0, Self.day])
    let late = Self.day / 2
    #expect(pauses(runs + [late]).pauses.count == 2)
    let few = pauses(runs + (0..<400).map { 30 * Self.second + $0 * 200 * Self.second })
    #expect(few.pauses.isEmpty)
  }

  @Test func `of very many pauses the longest are followed`() {
    let pauses = pauses(runs(at: (0..<100).map { UInt64($0) * Self.day * ($0 < 20 ? 1 : 2) }))
    #expect(pauses.pauses.count <= TimePauses.countMax)
  }
}
