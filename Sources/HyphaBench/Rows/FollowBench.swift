import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization

extension LogBench {
  /// How long after its acknowledgement an event reaches a follower, in this process and in another.
  func followRows() async throws -> [BenchRow] {
    try await withDirectory("follow") { directory in
      let count = settings.isQuick ? 20 : max(100, Int(settings.duration / Self.followPace))
      var workload = AppendWorkload.alone(1)
      workload.streamCount = 1
      let ours = try OwnLog(directory, workload)
      let child = try settings.childCommand.map { try ChildProcess($0 + ["follow", directory, "\(count)"]) }
      // From here on the child follows.
      _ = child?.readLine()
      progress("follow: \(count) events")
      async let arrivals = Self.arrivals(of: count, in: ours.log)
      let acknowledgements = try await acknowledgements(of: count, in: ours.log)
      var rows = try Self.rows("the same process", acknowledgements, try await arrivals)
      if let child {
        rows += try Self.rows("another process", acknowledgements, child.finish().compactMap { UInt64($0) })
      }
      try ours.check()
      return rows
    }
  }

  /// The time from one event to the next: long enough that each is followed for itself.
  private static let followPace = Duration.milliseconds(2)

  /// When each of the next events came to a follower, in the log's order.
  static func arrivals(of count: Int, in log: any LogReader) async throws -> [UInt64] {
    var times: [UInt64] = []
    for try await _ in log.follow() {
      times.append(Monotonic.nanoseconds())
      if times.count == count { break }
    }
    return times
  }

  /// Appends one event after the other; when each was acknowledged.
  private func acknowledgements(of count: Int, in log: LMDBLog) async throws -> [UInt64] {
    var author = try Author(agents: 0...0, payloadByteCount: 128)
    var times: [UInt64] = []
    for _ in 0..<count {
      let batch = try author.next(1, now: Timestamp(microseconds: WallClock().microseconds()))
      times.append(
        try await withCheckedThrowingContinuation { continuation in
          log.submit(batch) { result in
            continuation.resume(with: result.map { _ in Monotonic.nanoseconds() })
          }
        })
      try await Task.sleep(for: Self.followPace, clock: .suspending)
    }
    return times
  }

  private static func rows(_ place: String, _ acknowledgements: [UInt64], _ arrivals: [UInt64]) throws
    -> [BenchRow]
  {
    guard arrivals.count == acknowledgements.count else {
      throw HyphaError(
        .failed, "a follower in \(place) got \(arrivals.count) of \(acknowledgements.count) events",
        remedy: "take none of these figures; run 'hypha log verify' on a log of this version")
    }
    // A follower may see an event before the appender is told of it.
    let lags = zip(acknowledgements, arrivals).map { Double($1 > $0 ? $1 - $0 : 0) / 1e9 }.sorted()
    guard let spread = Spread(lags), let last = lags.quantile(0.99) else { return [] }
    let text = "128 B, \(lags.count) events one by one, \(place)"
    return [
      BenchRow("follow-lag-p50", text, .seconds, ours: spread),
      BenchRow("follow-lag-p99", text, .seconds, ours: Spread(last)),
    ]
  }
}
