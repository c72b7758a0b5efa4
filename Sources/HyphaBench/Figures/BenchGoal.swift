/// What a figure is to reach, and where that was said.
public struct BenchGoal: Hashable, Sendable {
  /// What a figure is held against.
  enum Bound: Hashable, Sendable {
    case ratioAtLeast(Double)
    case ratioAtMost(Double)
    case oursAtMost(Double)
    case oursBelow(Double)
    /// On a machine whose bare part gives at least `bare`; another one proves nothing.
    case oursAtLeast(Double, whereBareIsAtLeast: Double = 0)
  }

  let bound: Bound
  /// The goal as the bench prints it: `ratio ≥ 0.4`.
  public let text: String
  /// The words that set it.
  public let source: String
  /// What keeps figures below it, where they are: found by measuring, on a machine with two cores. Nil where nothing is known
  /// to.
  public let limit: String?

  init(bound: Bound, text: String, source: String, limit: String? = nil) {
    (self.bound, self.text, self.source, self.limit) = (bound, text, source, limit)
  }

  /// Whether figures reach the goal; nil where they cannot say.
  func isMet(ours: Double, bare: Double?, ratio: Double?) -> Bool? {
    switch bound {
    case .ratioAtLeast(let least): ratio.map { $0 >= least }
    case .ratioAtMost(let most): ratio.map { $0 <= most }
    case .oursAtMost(let most): ours <= most
    case .oursBelow(let limit): ours < limit
    case .oursAtLeast(let least, let bareLeast):
      ours >= least ? true : (bare ?? 0) >= bareLeast ? false : nil
    }
  }
}

/// Every goal of the log's speed, in one place.
extension BenchGoal {
  /// Concurrent synced appends against bare LMDB at the same group size.
  static let concurrentAppendRatio = BenchGoal(
    bound: .ratioAtLeast(0.4), text: "ratio ≥ 0.4",
    source: """
      concurrent synced appends of 128 B, the index following: at least 0.4 of bare LMDB (one table, no index) at \
      the same group size
      """,
    limit: appendLimit)

  /// Where the time of an append goes.
  private static let appendLimit = """
    an event takes 2.5 to 2.8 times the bytes that the bare table syncs, is hashed with SHA-256, checksummed twice, \
    linked with its stream and lane, and indexed, on the two cores that bare LMDB has for itself
    """

  /// The same at groups of about 1,000, in events a second.
  static let concurrentAppendRate = BenchGoal(
    bound: .oursAtLeast(600_000, whereBareIsAtLeast: 1_400_000), text: "≥ 600 k/s where bare ≥ 1.4 M/s",
    source: """
      at least 600,000 events per second on a two-core machine whose bare LMDB gives 1.4 to 2 million at groups of \
      1,000
      """,
    limit: appendLimit)

  /// One appender that waits for each of its events.
  static let loneLatency = BenchGoal(
    bound: .ratioAtMost(1.3), text: "ratio ≤ 1.3",
    source: "a lone appender's synced latency: at most 1.3 of the bare LMDB commit")

  /// A sequential scan with decoded headers.
  static let scanRate = BenchGoal(
    bound: .oursAtLeast(5_000_000), text: "≥ 5 M/s",
    source: "scan with decoded headers: at least 5 million events per second")

  /// What that scan allocates. A chunk of the scan may allocate, an event may not.
  static let scanAllocations = BenchGoal(
    bound: .oursBelow(0.01), text: "0 per event", source: "scan with decoded headers: no allocation per event"
  )

  /// Opening a log of 10 million events.
  static let openTime = BenchGoal(
    bound: .oursBelow(0.05), text: "< 50 ms", source: "open with 10 million events: under 50 ms")

  /// What an open log takes, beside one a thousandth as long: a few MiB, of which the pages of libraries that happen to
  /// be touched are a part.
  static let openMemory = BenchGoal(
    bound: .ratioAtMost(1.5), text: "ratio ≤ 1.5", source: "memory independent of the log's size")

  /// A verification beside reading the same bytes.
  static let verifyRate = BenchGoal(
    bound: .ratioAtLeast(0.9), text: "ratio ≥ 0.9", source: "hypha log verify at disk speed",
    limit: """
      each record is hashed with SHA-256, which is half of the work, and held against its checksums and the entries \
      before it: about 0.4 µs an event of the processors' time, so a disk that is faster than that on all cores waits
      """)

  /// Looking at what a replay shows, without printing.
  static let replayLook = BenchGoal(
    bound: .oursAtLeast(3_000_000), text: "≥ 3 M/s",
    source: "look without printing: at 3 million events per second or more")

  /// The same as lines of JSON.
  static let replayJSON = BenchGoal(
    bound: .oursAtLeast(500_000), text: "≥ 500 k/s", source: "JSON lines at 500,000 or more")

  /// The trace of any event.
  static let traceTime = BenchGoal(
    bound: .oursBelow(0.05), text: "< 50 ms",
    source: "trace of any event in a log of 10 million events in under 50 ms")

  /// What an export takes, beside that of a log a tenth as long: what is put together at the end is sorted in parts of at most
  /// 4 MiB, which may be smaller where the log is.
  static let exportMemory = BenchGoal(
    bound: .ratioAtMost(1.5), text: "ratio ≤ 1.5",
    source: "export streams: constant memory on 10 million events")

  /// Agents that run again on what was recorded.
  static let rerunTime = BenchGoal(
    bound: .ratioAtMost(0.1), text: "ratio ≤ 0.1",
    source: "re-run at no less than 10 times real time of the recorded run or the agents' own limit")

  /// The page of a million events, and its size.
  static let reportTime = BenchGoal(
    bound: .oursBelow(10), text: "< 10 s", source: "report of a million events in under 10 s")
  static let reportSize = BenchGoal(
    bound: .oursBelow(20_000_000), text: "< 20 MB",
    source: "report of a million events in under 10 s and under 20 MB")

  /// All of them.
  static let all = [
    replayLook, replayJSON, traceTime, exportMemory, rerunTime, reportTime, reportSize,
    concurrentAppendRatio, concurrentAppendRate, loneLatency, scanRate, scanAllocations, openTime, openMemory,
    verifyRate,
    realtimeRate, realtimeLatency, endToEndRate, endToEndLatency, isolation, observed, observedWork,
    laneMemory, localRate,
    stepRate,
    askLatency, idleStart, recoveryMemory, recoveryTogether, liveRelays, liveHops, liveLatency, liveFaults,
    liveSimulated,
  ]
}

/// Every goal of a live deployment that an observer watches.
extension BenchGoal {
  /// What supervisors relay, beside the same without an observer.
  static let liveRelays = BenchGoal(
    bound: .ratioAtMost(0.65), text: "ratio ≤ 0.65",
    source: "relay work on supervisors falls by at least 35%")

  /// The hops of promoted pairs.
  static let liveHops = BenchGoal(
    bound: .oursAtMost(2), text: "≤ 2",
    source: "median hops of persistent events from 4 to 2 or fewer for the promoted pairs")

  /// How long their events are on their way.
  static let liveLatency = BenchGoal(
    bound: .ratioAtMost(0.5), text: "ratio ≤ 0.5",
    source: "p50 latency between promoted pairs at most half of what it was",
    limit: """
      a persistent event waits for two synced commits, at its origin and at its receiver, whatever way it goes; a realtime \
      event waits for none, and no event is faster than the processors are free
      """)

  /// What goes wrong meanwhile.
  static let liveFaults = BenchGoal(
    bound: .oursAtMost(0), text: "0", source: "zero losses, duplicates or reorderings")

  /// What the simulation says of the same traffic.
  static let liveSimulated = BenchGoal(
    bound: .ratioAtMost(1.05), text: "ratio ≤ 1.05",
    source: "compared with the simulator on the same trace (a difference above 5% is explained)")
}

/// Every goal of the agents' speed.
extension BenchGoal {
  /// Typed values from one agent to another.
  static let localRate = BenchGoal(
    bound: .oursAtLeast(5_000_000), text: "≥ 5 M/s", source: "5 million local events per second on two cores")

  /// Durable steps over all agents.
  static let stepRate = BenchGoal(
    bound: .oursAtLeast(200_000), text: "≥ 200 k/s",
    source: "200,000 durable consume-process-produce steps per second over all agents")

  /// Round trips of questions.
  static let askLatency = BenchGoal(
    bound: .oursBelow(0.000005), text: "< 5 µs", source: "ask p50 below 5 µs within a node")

  /// Starting many agents.
  static let idleStart = BenchGoal(
    bound: .oursBelow(10), text: "< 10 s",
    source: "100,000 idle agents in one node must work, and start in seconds")

  /// What an agent takes whose state is made from the events of a long log, beside one a tenth as long.
  static let recoveryMemory = BenchGoal(
    bound: .ratioAtMost(1.5), text: "ratio ≤ 1.5",
    source: "streamed recovery (constant memory on a log of millions)")

  /// Many agents that begin so at once, beside one with as many events.
  static let recoveryTogether = BenchGoal(
    bound: .ratioAtMost(2), text: "ratio ≤ 2",
    source: "a node with many such agents does not read the log once for each")
}

/// Every goal of the channels' speed.
extension BenchGoal {
  /// Realtime events against bare libzmq, one event a message.
  static let realtimeRate = BenchGoal(
    bound: .ratioAtLeast(1), text: "ratio ≥ 1",
    source: "real-time: at least 1.0 of bare libzmq's throughput 1 → 1 with one event a frame")

  /// Their latency at a low rate.
  static let realtimeLatency = BenchGoal(
    bound: .ratioAtMost(1.3), text: "ratio ≤ 1.3",
    source: "real-time: at most 1.3 of bare libzmq's p50 latency at a low rate")

  /// Persistent events from publishing to the other side's handler, both logs synced.
  static let endToEndRate = BenchGoal(
    bound: .oursAtLeast(400_000), text: "≥ 400 k/s",
    source: """
      persistent end to end, both logs synced: at least 400,000 events per second of 128 B on two cores with the index \
      following
      """)

  /// Their latency at half load.
  static let endToEndLatency = BenchGoal(
    bound: .oursBelow(0.005), text: "< 5 ms", source: "persistent end to end: p99 under 5 ms at half load")

  /// What passes beside a saturated persistent channel.
  static let isolation = BenchGoal(
    bound: .ratioAtMost(3), text: "ratio ≤ 3",
    source: "isolation: p99 under a saturated persistent channel at most 3 times idle")

  /// The processor time of an event where an observer watches, to that where nobody does: what a machine that is busy has less of.
  static let observed = BenchGoal(
    bound: .ratioAtMost(1.03), text: "ratio ≤ 1.03",
    source: "flow observation on every node costs less than 3% of throughput")

  /// What observing takes of it, to all of it.
  static let observedWork = BenchGoal(
    bound: .ratioAtMost(0.03), text: "ratio ≤ 0.03",
    source: "the work of observing itself: less than 3% of that of an event on its way")

  /// What an idle lane takes at a receiver.
  static let laneMemory = BenchGoal(
    bound: .oursBelow(200), text: "< 200 B",
    source: "100,000 lanes at one receiver: memory under 200 B per idle lane")
}
