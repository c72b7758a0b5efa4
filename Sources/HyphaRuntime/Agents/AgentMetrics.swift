import HyphaCore

/// What one agent has done since its node started.
struct AgentMetrics: Sendable {
  var latency: [Channel: Histogram] = [:]
  var hops: [Channel: Histogram] = [:]
  var failureCount: UInt64 = 0
  var unhandledCount: UInt64 = 0
  var expiredCount: UInt64 = 0
  var gauges: [String: Int64] = [:]
  /// Whether the agent has something to finish.
  let isWorker: Bool
  var isFinished = false
  /// Whether it has given up until its node starts again.
  var isBroken = false

  init(isWorker: Bool) { self.isWorker = isWorker }

  mutating func delivered(_ header: RecordHeader, hops: UInt8?, at now: Timestamp) {
    latency[header.channel, default: Histogram()].add(now.since(header.time).wholeMicroseconds)
    if let hops { self.hops[header.channel, default: Histogram()].add(UInt64(hops)) }
  }
}
