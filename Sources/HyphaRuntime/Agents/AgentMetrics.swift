import HyphaCore

/// What one agent has done since its node started.
struct AgentMetrics: Sendable {
  var latency: [Channel: Histogram] = [:]
  var hops: [Channel: Histogram] = [:]
  var failureCount: UInt64 = 0
  /// Realtime events for the agent that were taken from its mailbox, and those of them that no handler was called with.
  var takenRealtimeCount = 0
  var unhandledRealtimeCount = 0
  var gauges: [String: Int64] = [:]
  /// Whether the agent has something to finish.
  let isWorker: Bool
  var isFinished = false
  /// Why it has given up until its node starts again.
  var brokenBecause: String?
  var isBroken: Bool { brokenBecause != nil }
  /// What the agent has before it.
  var timerCount = 0
  var retryCount = 0

  /// Realtime events that the agent has in hand.
  var inHandCount: Int {
    max(0, takenRealtimeCount - unhandledRealtimeCount - Int(clamping: latency[.realtime]?.count ?? 0))
  }

  /// How long events have been on their way and waited for the agent on average, in microseconds; 0 where there were none.
  var usualWaitMicroseconds: UInt64 {
    let (count, sum) = latency.values.reduce((UInt64(0), UInt64(0))) { ($0.0 + $1.count, $0.1 &+ $1.sum) }
    return count == 0 ? 0 : sum / count
  }

  init(isWorker: Bool) { self.isWorker = isWorker }

  /// Events of one channel that were on their way for so many microseconds each.
  mutating func delivered(_ arrivals: [UInt64], on channel: Channel, hops: UInt8?) {
    func add(to histogram: inout Histogram) { for microseconds in arrivals { histogram.add(microseconds) } }
    add(to: &latency[channel, default: Histogram()])
    if let hops { self.hops[channel, default: Histogram()].add(UInt64(hops), times: arrivals.count) }
  }

  mutating func delivered(_ delivery: Delivery, at now: Timestamp) {
    let channel = delivery.channel
    latency[channel, default: Histogram()].add(now.since(delivery.time).wholeMicroseconds)
    if let hops = delivery.hops { self.hops[channel, default: Histogram()].add(UInt64(hops)) }
  }
}
