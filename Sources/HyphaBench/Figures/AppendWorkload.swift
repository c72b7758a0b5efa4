/// Who appends what: a point of the bench of appends.
struct AppendWorkload: Hashable, Sendable {
  var payloadByteCount = 128
  var appenderCount = 64
  var streamCount = 1_000
  /// Events of one `submit`.
  var batchEventCount = 16
  /// Events that all appenders together run ahead of their acknowledgements: enough for one group to be synced, one to
  /// wait, and one to gather.
  var inFlightEventCount = 4_096
  /// The most events of one commit group; nil for what the log has by default.
  var groupEventCountMax: Int? = Self.groupSizeAimed

  /// Each appender waits for each of its events.
  static func alone(_ appenderCount: Int, payload: Int = 128) -> AppendWorkload {
    AppendWorkload(
      payloadByteCount: payload, appenderCount: appenderCount, batchEventCount: 1,
      inFlightEventCount: appenderCount, groupEventCountMax: nil)
  }

  /// Groups of 1,000 events, one after the other.
  static func grouped(_ appenderCount: Int, payload: Int = 128, streams: Int = 1_000) -> AppendWorkload {
    AppendWorkload(payloadByteCount: payload, appenderCount: appenderCount, streamCount: streams)
  }

  /// Whether the goals for concurrent appends of 128 B hold for it.
  var isConcurrentAndSmall: Bool { appenderCount > 1 && payloadByteCount == 128 }
  /// Whether its groups are those that the goal in events a second is set for.
  var isGrouped: Bool { batchEventCount > 1 }

  /// The size of the groups that a grouped workload is compared at.
  static let groupSizeAimed = 1_000

  /// Batches that each appender has on its way at once; together as many as ``inFlightEventCount`` allows, and one at
  /// least.
  var windowBatchCounts: [Int] {
    let (each, more) = (inFlightEventCount / batchEventCount).quotientAndRemainder(dividingBy: appenderCount)
    return (0..<appenderCount).map { max(1, each + ($0 < more ? 1 : 0)) }
  }

  /// The payload, the appenders and the streams in words; `groupSize` is what was achieved.
  func text(groupSize: Double) -> String {
    let payload = payloadByteCount < 1024 ? "\(payloadByteCount) B" : "\(payloadByteCount / 1024) KiB"
    let appenders = Self.text(appenderCount, "appender")
    let streams = Self.text(streamCount, "stream")
    return "\(payload), \(appenders), \(streams), groups of \(Int(groupSize.rounded()))"
  }

  private static func text(_ count: Int, _ noun: String) -> String {
    count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
  }

  /// What a run measures: each axis from a common point.
  static let all: [AppendWorkload] =
    [
      grouped(64), grouped(64, streams: 100), grouped(64, streams: 20_000), grouped(8), grouped(1),
      alone(64), alone(8), alone(1),
    ] + [grouped(64, payload: 1024), grouped(8, payload: 1024), grouped(1, payload: 1024)]
    + [alone(64, payload: 1024), alone(8, payload: 1024), alone(1, payload: 1024)]

  /// Enough to see each kind run.
  static let few = [grouped(8, streams: 100), alone(1, payload: 1024)]
}
