/// The pauses of a run that would take most of a time axis: nights between two runs on the same data. Times without them lie on an
/// axis that shows the runs. Pure.
///
/// Found in one pass over the times, in about their order, in memory for ``countMax`` of the longest. So many of them are cut out as
/// are each longer than twice all the time that is left; so a run that is merely quiet keeps its quiet times, however long.
struct TimePauses {
  /// A time in which nothing was stated, in microseconds since 1970.
  struct Pause: Hashable {
    let begin, end: UInt64

    /// What of it is cut out: it keeps enough to tell what was before it from what was after it.
    var cut: UInt64 { end - begin - TimePauses.keptWidth }
  }

  /// The most pauses that are cut out.
  static let countMax = 32
  /// The shortest pause that is cut out, in microseconds.
  static let widthMin: UInt64 = 10_000_000
  /// What is kept of a pause.
  static let keptWidth: UInt64 = 2_048
  /// A pause is between two runs of at least so many events, on average.
  static let eventCountMin = 20

  /// The longest so far, the longest first.
  private var longest: [Pause] = []
  private var times: ClosedRange<UInt64>?
  private var eventCount = 0
  /// The pauses that are cut out, the earliest first, once all times are known.
  private(set) var pauses: [Pause] = []

  /// Takes the next time.
  mutating func take(_ time: UInt64) {
    eventCount += 1
    guard let known = times else { return times = time...time }
    times = min(known.lowerBound, time)...max(known.upperBound, time)
    if time > known.upperBound {
      note(Pause(begin: known.upperBound, end: time))
    } else if let place = longest.firstIndex(where: { $0.begin < time && time < $0.end }) {
      // It has come late, and was stated in what looked like a pause.
      let pause = longest.remove(at: place)
      note(Pause(begin: pause.begin, end: time))
      note(Pause(begin: time, end: pause.end))
    }
  }

  private mutating func note(_ pause: Pause) {
    let width = pause.end - pause.begin
    guard width >= Self.widthMin else { return }
    let place = longest.firstIndex { $0.end - $0.begin < width } ?? longest.endIndex
    guard place < Self.countMax else { return }
    longest.insert(pause, at: place)
    if longest.count > Self.countMax { longest.removeLast() }
  }

  /// All times are known: decides which pauses are cut out.
  mutating func finish() {
    guard let times else { return }
    var left = times.upperBound - times.lowerBound
    var count = 0
    for (index, pause) in longest.enumerated() {
      left -= pause.end - pause.begin
      let isLongBesideTheRest = pause.end - pause.begin > 2 * left
      if isLongBesideTheRest, (index + 2) * Self.eventCountMin <= eventCount { count = index + 1 }
    }
    pauses = longest.prefix(count).sorted { $0.begin < $1.begin }
  }

  /// Where a time lies on an axis without the pauses; one in a pause lies at its end.
  func folded(_ time: UInt64) -> UInt64 {
    var cut: UInt64 = 0
    for pause in pauses {
      guard time > pause.begin else { break }
      if time < pause.end { return pause.begin - cut + min(time - pause.begin, Self.keptWidth) }
      cut += pause.cut
    }
    return time - cut
  }
}
