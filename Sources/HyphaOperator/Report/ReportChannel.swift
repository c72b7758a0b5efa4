import HyphaCore
import HyphaReplay

/// What a report counts of one channel. Pure; about 200 KiB, however many events there are.
struct ReportChannel {
  /// How long things took: percentiles, and how many took how long at each step.
  struct Latency {
    private(set) var histogram = MicrosecondHistogram()
    /// By step, ``rowCount`` numbers each.
    private(set) var heat = [UInt32](repeating: 0, count: TimeSteps.countMax * Self.rowCount)

    /// The rows of the heat map: two for each doubling, up to some days.
    static let rowCount = 80

    /// The longest duration of each row, in microseconds.
    static let rowBounds = (0..<rowCount).map { row -> UInt64 in
      let power = UInt64(1) << UInt64(row / 2)
      return row.isMultiple(of: 2) ? power + power / 2 - (power > 1 ? 1 : 0) : 2 * power - 1
    }

    mutating func add(_ microseconds: UInt64, at step: Int) {
      histogram.add(microseconds)
      heat[step * Self.rowCount + Self.row(of: microseconds)] &+= 1
    }

    mutating func regroup(_ change: TimeSteps.Regrouping) {
      heat = change.regrouped(heat, stride: Self.rowCount)
    }

    private static func row(of microseconds: UInt64) -> Int {
      guard microseconds > 1 else { return 0 }
      let power = 63 - microseconds.leadingZeroBitCount
      return min(2 * power + Int(microseconds >> UInt64(power - 1) & 1), rowCount - 1)
    }
  }

  /// Events, each once; and their copies in other nodes' logs.
  var eventCount: UInt64 = 0
  var copyCount: UInt64 = 0
  /// The bytes of the events' records.
  var byteCount: UInt64 = 0
  /// Events by step.
  private(set) var counts = [UInt32](repeating: 0, count: TimeSteps.countMax)
  /// Until the log of the event's own node had it.
  var commit = Latency()
  /// Until another node's log had it.
  var travel = Latency()
  /// Until an addressee had answered it.
  var answer = MicrosecondHistogram()

  mutating func addEvent(at step: Int, byteCount: Int) {
    eventCount += 1
    self.byteCount += UInt64(byteCount)
    counts[step] &+= 1
  }

  mutating func regroup(_ change: TimeSteps.Regrouping) {
    counts = change.regrouped(counts)
    commit.regroup(change)
    travel.regroup(change)
  }
}
