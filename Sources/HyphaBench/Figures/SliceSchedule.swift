/// Says which of the parts that are compared works next.
///
/// The machine's own speed drifts by factors, so the parts take turns in slices of at most 100 ms, and each slice
/// is compared with its neighbours. Every other round goes backwards (ours, bare, bare, ours), so that a steady
/// drift weighs on both alike. The first round warms up and does not count.
struct SliceSchedule {
  /// The most that a part works before it is another's turn.
  static let sliceMax = Duration.milliseconds(100)

  /// A part's turn.
  struct Turn: Hashable {
    let part: Int
    let round: Int
    /// Whether what it gives is to be forgotten.
    var isWarmUp: Bool { round == 0 }
  }

  private let partCount: Int
  private let budget: Duration
  private let roundCountMin: Int
  private var turnCount = 0

  /// A schedule that ends with the first whole round after `budget`, but not before `roundCountMin` rounds count.
  init(partCount: Int, budget: Duration, roundCountMin: Int = 3) {
    self.partCount = partCount
    self.budget = budget
    self.roundCountMin = roundCountMin
  }

  /// The next turn when `elapsed` has passed since the first; nil at the end.
  mutating func next(elapsed: Duration) -> Turn? {
    let (round, step) = turnCount.quotientAndRemainder(dividingBy: partCount)
    if step == 0, round > roundCountMin, elapsed >= budget { return nil }
    turnCount += 1
    return Turn(part: round.isMultiple(of: 2) ? step : partCount - 1 - step, round: round)
  }
}

/// What a part did in one slice.
struct Slice: Hashable, Sendable {
  /// How many events it wrote or read.
  var eventCount: Int
  /// How long that took, with the wait for the last acknowledgement.
  var nanoseconds: UInt64
  /// What the index took longer than the last acknowledgement.
  var indexNanoseconds: UInt64 = 0
  /// How many syncs or commits it took; 0 where it only read.
  var groupCount = 0
  /// How long each acknowledgement or answer took, in nanoseconds, sorted.
  var latencies: [Double] = []
  /// The processor time of all processes that took part; 0 where it was not measured.
  var processorNanoseconds: UInt64 = 0

  /// Events a second.
  var rate: Double { Double(eventCount) * 1e9 / max(1, Double(nanoseconds)) }
  /// Events a second until they are acknowledged and indexed.
  var indexedRate: Double { Double(eventCount) * 1e9 / max(1, Double(nanoseconds + indexNanoseconds)) }
  /// Events in a group, on average.
  var groupSize: Double { Double(eventCount) / Double(max(1, groupCount)) }

  /// Seconds of processor time for a million events.
  var processorSecondsPerMillion: Double { Double(processorNanoseconds) / 1e3 / Double(max(1, eventCount)) }

  /// The seconds within which a `share` of the acknowledgements came.
  func latency(_ share: Double) -> Double { (latencies.quantile(share) ?? 0) / 1e9 }
}

/// The slices of all parts, round by round; part 0 is ours.
struct Comparison {
  let rounds: [[Slice]]

  /// A comparison of rounds that have a slice of each part, in the order of the parts.
  init(rounds: [[Slice]]) { self.rounds = rounds }

  /// All slices of a part.
  func slices(of part: Int) -> [Slice] { rounds.map { $0[part] } }

  /// A figure of one part's slices.
  func spread(of part: Int = 0, _ figure: (Slice) -> Double) -> Spread {
    Spread(slices(of: part).map(figure)) ?? Spread(0)
  }

  /// All acknowledgements and answers of one part together.
  func pooled(_ part: Int = 0) -> Slice {
    var pool = Slice(eventCount: 0, nanoseconds: 0)
    for slice in slices(of: part) { pool.latencies += slice.latencies }
    pool.latencies.sort()
    return pool
  }

  /// A row that holds a percentile of ours against that of the part `bare`, each over all slices: one slice has too
  /// few events for those far out. The spread is that of the slices' ratios.
  func latencyRow(
    _ name: String, _ workload: String, _ share: Double, against bare: Int, goal: BenchGoal? = nil
  ) -> BenchRow {
    let (ours, other) = (pooled().latency(share), pooled(bare).latency(share))
    let ratios = rounds.map { $0[0].latency(share) / $0[bare].latency(share) }.filter(\.isFinite)
    let spread = Spread(ratios) ?? Spread(.nan)
    return BenchRow(
      name, workload, .seconds, ours: Spread(ours), bare: other, ratio: ours / other, spread: spread,
      goal: goal)
  }

  /// A row that holds a figure of ours against that of the part `bare`, slice by slice.
  func row(
    _ name: String, _ workload: String, _ unit: BenchUnit, against bare: Int, goal: BenchGoal? = nil,
    _ figure: (Slice) -> Double
  ) -> BenchRow {
    let ratios = rounds.map { figure($0[0]) / figure($0[bare]) }.filter(\.isFinite)
    return BenchRow(
      name, workload, unit, ours: spread(figure), bare: spread(of: bare, figure).median,
      ratios: Spread(ratios) ?? Spread(.nan), goal: goal)
  }
}
