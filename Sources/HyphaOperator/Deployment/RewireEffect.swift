import HyphaCore
import HyphaRuntime

/// What a run cost before its network had links, and what towards its end, from what its nodes counted meanwhile. Pure.
struct RewireEffect {
  /// A stretch of a run, of all channels.
  struct Stretch: Encodable, Equatable {
    /// Events taken, once for each agent.
    let events: UInt64
    /// Events that supervisors have passed on for each of them, and the edges and links that each has crossed.
    let relayed, hops: Double
    let latencyP50Microseconds: UInt64
  }

  private struct Count {
    var relayed: UInt64
    var hops, latency: Histogram

    init(_ summary: DeploymentSummary) {
      relayed = summary.relayed.reduce(0) { $0 + $1.value }
      (hops, latency) = (Histogram(), Histogram())
      for channel in Channel.allCases {
        let counts = summary.channel(channel)
        hops.add(counts.hops)
        latency.add(counts.latency)
      }
    }

    /// What came since; nil for nothing.
    func stretch(since earlier: Count? = nil) -> Stretch? {
      var (hops, latency, relayed) = (hops, latency, relayed)
      if let earlier {
        hops.subtract(earlier.hops)
        latency.subtract(earlier.latency)
        relayed -= min(relayed, earlier.relayed)
      }
      guard latency.count > 0 else { return nil }
      return Stretch(
        events: latency.count, relayed: Double(relayed) / Double(latency.count), hops: hops.mean,
        latencyP50Microseconds: latency.percentile(0.5))
    }
  }

  /// The most counts that are kept; beyond that each second one goes.
  static let countMax = 64
  /// What is towards the end: the last events, one in so many.
  static let lastShare: UInt64 = 4

  private var before: Count?
  private var counts: [Count] = []
  private var hasLinks = false
  private var lookCount = 0
  private var stride = 1

  /// Takes note of how far the run is.
  mutating func look(_ summary: DeploymentSummary) {
    guard summary.all.contains(where: { $0.topologyVersion != nil }) else { return }
    let count = Count(summary)
    hasLinks = hasLinks || summary.all.contains { $0.linkCount > 0 }
    if !hasLinks { before = count }
    lookCount += 1
    guard lookCount.isMultiple(of: stride) else { return }
    counts.append(count)
    if counts.count > Self.countMax {
      counts = counts.enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element)
      stride *= 2
    }
  }

  /// What came before the first link, and the last quarter of all events; nil where there were no links, or no events before
  /// them.
  func stretches(at end: DeploymentSummary) -> (before: Stretch, last: Stretch)? {
    let all = Count(end)
    let start = all.latency.count - all.latency.count / Self.lastShare
    let earlier = counts.last { $0.latency.count <= start }
    guard hasLinks, let before = before?.stretch(), let last = all.stretch(since: earlier) else { return nil }
    return (before, last)
  }
}
