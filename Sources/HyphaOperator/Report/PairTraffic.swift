/// How many events went between which two, step by step, in memory that does not grow with their number: at most ``capacity``
/// pairs. Where there would be more, the half with the fewest events is folded into one sum, and counted anew where it
/// comes again. Pure.
struct PairTraffic {
  /// A sender, and an addressee or a type, by their numbers.
  struct Pair: Hashable {
    var from: Int32
    var to: Int32
    /// Whether `to` is a type, which stands for all that subscribe to it.
    var isType = false
  }

  /// A pair's events.
  struct Flow {
    let pair: Pair
    var eventCount: UInt64 = 0
    /// By step.
    var counts = [UInt32](repeating: 0, count: TimeSteps.countMax)
  }

  /// The most pairs that are followed.
  let capacity: Int
  private(set) var flows: [Flow] = []
  /// Events of pairs that were folded.
  private(set) var foldedEventCount: UInt64 = 0
  private var places: [Pair: Int] = [:]

  init(capacity: Int) { self.capacity = max(capacity, 2) }

  var isEmpty: Bool { flows.isEmpty && foldedEventCount == 0 }

  mutating func add(_ pair: Pair, at step: Int, count: UInt32 = 1) {
    if places[pair] == nil {
      if flows.count >= capacity { fold() }
      places[pair] = flows.count
      flows.append(Flow(pair: pair))
    }
    guard let place = places[pair] else { return }
    flows[place].eventCount += UInt64(count)
    flows[place].counts[step] &+= count
  }

  mutating func regroup(_ change: TimeSteps.Regrouping) {
    for place in flows.indices { flows[place].counts = change.regrouped(flows[place].counts) }
  }

  private mutating func fold() {
    flows.sort { $0.eventCount > $1.eventCount }
    let keptCount = capacity / 2
    foldedEventCount += flows[keptCount...].reduce(0) { $0 + $1.eventCount }
    flows.removeSubrange(keptCount...)
    places = Dictionary(uniqueKeysWithValues: flows.enumerated().map { ($1.pair, $0) })
  }
}
