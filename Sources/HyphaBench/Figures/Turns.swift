/// Lets the parts of a comparison take turns.
struct Turns {
  /// How long the comparison lasts.
  let duration: Duration
  /// Told what is measured now.
  let progress: @Sendable (String) -> Void

  /// Lets the parts take turns; each is given the end of its slice, on the machine's monotonic clock.
  ///
  /// - Throws: what a part throws; `CancellationError` between two slices when the task is cancelled.
  func compare(_ text: String, _ parts: [(UInt64) async throws -> Slice]) async throws -> Comparison {
    progress(text)
    var schedule = SliceSchedule(partCount: parts.count, budget: duration)
    let begin = Monotonic.nanoseconds()
    var rounds: [[Slice]] = []
    var elapsed = Duration.zero
    while let turn = schedule.next(elapsed: elapsed) {
      try Task.checkCancellation()
      let deadline = Monotonic.nanoseconds() + Self.sliceNanoseconds
      let slice = try await parts[turn.part](deadline)
      if !turn.isWarmUp {
        if rounds.count < turn.round {
          rounds.append([Slice](repeating: Slice(eventCount: 0, nanoseconds: 0), count: parts.count))
        }
        rounds[turn.round - 1][turn.part] = slice
      }
      elapsed = .nanoseconds(Int64(Monotonic.nanoseconds() - begin))
    }
    return Comparison(rounds: rounds)
  }

  /// When a slice begins its last group, so that with it and its acknowledgements it stays below the most that a
  /// slice may last.
  private static var sliceNanoseconds: UInt64 { 80_000_000 }
}
