import HyphaCore

extension LogBench {
  /// How far the index is behind while appends go on without a pause, and how long it takes to catch up.
  func indexRows() async throws -> [BenchRow] {
    var rows: [BenchRow] = []
    for streamCount in settings.isQuick ? [100] : [100, 1_000, 20_000] {
      rows += try await withDirectory("index") { directory in
        let workload = AppendWorkload.grouped(64, streams: streamCount)
        let ours = try OwnLog(directory, workload)
        progress("index: \(streamCount) streams")
        let duration = UInt64(settings.duration.wholeMicroseconds) * 1000
        let lags = Task { try await Self.lags(of: ours) }
        let slice = try await ours.append(until: Monotonic.nanoseconds() + duration)
        lags.cancel()
        let catchUp = try await ours.waitUntilIndexed()
        try ours.check()
        let text = workload.text(groupSize: slice.groupSize)
        let samples = try await lags.value
        guard let spread = Spread(samples), let most = samples.max() else { return [] }
        return [
          BenchRow("index-append-rate", text, .eventsPerSecond, ours: Spread(slice.rate)),
          BenchRow("index-lag", text, .events, ours: spread),
          BenchRow("index-lag-max", text, .events, ours: Spread(most)),
          BenchRow("index-catch-up", text, .seconds, ours: Spread(Double(catchUp) / 1e9)),
        ]
      }
    }
    return rows
  }

  /// What the index lags, looked at every 5 ms until the task is cancelled.
  private static func lags(of ours: OwnLog) async throws -> [Double] {
    var lags = [Double(try ours.indexLag())]
    while !Task.isCancelled {
      try? await Task.sleep(for: .milliseconds(5), clock: .suspending)
      lags.append(Double(try ours.indexLag()))
    }
    return lags
  }
}
