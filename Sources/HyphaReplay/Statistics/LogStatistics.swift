public import HyphaCore
public import HyphaLog

/// What a log's entries add up to: one pass, in memory that does not grow with their number.
public struct LogStatistics: Sendable {
  /// What of one channel.
  public struct ChannelFigures: Sendable {
    /// Events that an agent of this node stated, and those that it took from others.
    public var statedCount: UInt64 = 0
    public var receivedCount: UInt64 = 0
    /// The bytes of all records.
    public var byteCount: UInt64 = 0
    /// From the statement until this log had it, in microseconds, of what was stated here.
    public var commit = MicrosecondHistogram()
    /// The same of what was received: the way through the network, by the nodes' clocks. What was imported has none, nor what a
    /// node took of the past because an agent was moved to it.
    public var travel = MicrosecondHistogram()
  }

  /// Who sends to whom.
  public struct Pair: Hashable, Sendable {
    /// The agent that states.
    public let agent: String
    /// The addressee, or `#` and the type where it is for all that subscribe.
    public let target: String
  }

  /// By channel, in the order of their numbers.
  public private(set) var channels = Array(repeating: ChannelFigures(), count: Channel.allCases.count)
  /// The events of each type.
  public private(set) var types = HeavyHitters<String>(capacity: LogStatistics.capacity)
  /// The events of each stream.
  public private(set) var streams = HeavyHitters<String>(capacity: LogStatistics.capacity)
  /// The events of each pair; of those that were stated to nobody there is none.
  public private(set) var pairs = HeavyHitters<Pair>(capacity: LogStatistics.capacity)
  /// When the first and the last entry were taken, of what was imported when it was stated; nil while there is none.
  public private(set) var times: ClosedRange<Timestamp>?
  /// Entries of imported logs that are no events: they count in the sizes alone.
  public private(set) var backgroundCount: UInt64 = 0
  /// The largest record.
  public private(set) var byteCountMax = 0

  /// How many different types, streams and pairs are followed; beyond that the rarest share counts.
  public static let capacity = 4_096

  private let isOfSeveralLogs: Bool
  private let history: HistoryWatch

  /// No entries.
  ///
  /// - Parameters:
  ///   - isOfSeveralLogs: whether they are going to be of several logs: then a pair's event counts in the log of its author's
  ///     node alone, and so once.
  ///   - history: what of these logs is of the past.
  public init(isOfSeveralLogs: Bool = false, history: HistoryWatch = HistoryWatch()) {
    (self.isOfSeveralLogs, self.history) = (isOfSeveralLogs, history)
  }

  /// How many entries there were that have an event.
  public var entryCount: UInt64 { channels.reduce(0) { $0 + $1.statedCount + $1.receivedCount } }
  /// The bytes of all records.
  public var byteCount: UInt64 { channels.reduce(0) { $0 + $1.byteCount } }

  /// Adds an entry of a node's log.
  public mutating func add(_ entry: EntryView, of node: NodeID) {
    let record = entry.record
    let isHistory = history.isHistory(entry, of: node)
    let channel = Int(record.channel.rawValue)
    channels[channel].byteCount += UInt64(record.bytes.count)
    byteCountMax = max(byteCountMax, record.bytes.count)
    guard !record.contentType.isBackground else {
      backgroundCount += 1
      return
    }
    let delay = entry.appendedAt.microseconds.subtractingReportingOverflow(record.time.microseconds)
    let microseconds = delay.overflow ? 0 : delay.partialValue
    if entry.source == .stated {
      channels[channel].statedCount += 1
      channels[channel].commit.add(microseconds)
    } else {
      channels[channel].receivedCount += 1
      if !entry.source.isImported, !isHistory { channels[channel].travel.add(microseconds) }
    }
    let type = String(decoding: record.type, as: UTF8.self)
    let agent = String(decoding: record.agent, as: UTF8.self)
    types.add(type)
    streams.add("\(agent)@\(record.epoch)/\(record.channel)")
    let isCopy = isOfSeveralLogs && entry.source != .stated && !entry.source.isImported
    if !record.isToNobody, !isCopy {
      pairs.add(
        Pair(
          agent: agent,
          target: record.addressee.isEmpty ? "#" + type : String(decoding: record.addressee, as: UTF8.self)))
    }
    note(entry.source.isImported ? record.time : entry.appendedAt)
  }

  private mutating func note(_ time: Timestamp) {
    // What was imported without a time is at none.
    guard time > .zero else { return }
    times = min(times?.lowerBound ?? time, time)...max(times?.upperBound ?? time, time)
  }
}

/// How often durations occurred, in microseconds, in 64 steps for each doubling's half: within 1.6 %, and 15 KiB however many.
public struct MicrosecondHistogram: Sendable {
  private var counts: [UInt64] = []
  /// How many durations.
  public private(set) var count: UInt64 = 0
  /// The longest.
  public private(set) var maximum: UInt64 = 0

  private static let (stepBitCount, stepCount) = (6, 64)

  /// None yet.
  public init() {}

  /// Adds one.
  public mutating func add(_ microseconds: UInt64) {
    let index = Self.index(of: microseconds)
    if index >= counts.count { counts += Array(repeating: 0, count: index + 1 - counts.count) }
    counts[index] += 1
    count += 1
    maximum = max(maximum, microseconds)
  }

  /// The duration that this share of all do not exceed, 0 to 1; nil where there are none.
  public func percentile(_ share: Double) -> UInt64? {
    guard count > 0 else { return nil }
    let rank = max(1, UInt64((share * Double(count)).rounded(.up)))
    var seen: UInt64 = 0
    for (index, count) in counts.enumerated() {
      seen += count
      if seen >= rank { return min(Self.upperBound(of: index), maximum) }
    }
    return maximum
  }

  private static func index(of value: UInt64) -> Int {
    guard value >= stepCount else { return Int(value) }
    let shift = 63 - value.leadingZeroBitCount - stepBitCount
    return (shift + 1) * stepCount + Int(value >> UInt64(shift)) - stepCount
  }

  private static func upperBound(of index: Int) -> UInt64 {
    guard index >= stepCount else { return UInt64(index) }
    let shift = UInt64(index / stepCount - 1)
    let step = UInt64(index % stepCount + stepCount)
    return (step + 1) << shift &- 1
  }
}
