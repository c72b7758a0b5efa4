/// Which pairs of agents have the most events lately, in bounded memory: the space-saving sketch of Metwally, Agrawal and
/// El Abbadi (2005), whose counts halve now and then.
///
/// A pair with more than one in ``capacity`` of all events is always among those that are counted, and ``certain(_:)`` is
/// never more than its events.
struct HotPairs: Sendable, Codable {
  private struct Counter: Sendable, Codable {
    var pair: AgentPair
    var events: Int64
    /// How many of them may have been those of pairs that were forgotten for this one.
    var excess: Int64
  }

  /// How many pairs are counted.
  static let capacity = 64

  private var counters: [Counter] = []
  /// All events that still count.
  private(set) var total: Int64 = 0
  private var sinceHalving: Int64 = 0
  /// After how many events counts halve.
  private let halfLife: Int64

  /// - Parameter halfLife: after how many events counts halve; 1 or more.
  init(halfLife: Int) { self.halfLife = Int64(halfLife) }

  /// Takes events of a pair. Costs a look at each counter, however many the events are.
  mutating func add(_ pair: AgentPair, _ events: Int) {
    let events = Int64(events)
    total += events
    sinceHalving += events
    if let place = counters.firstIndex(where: { $0.pair == pair }) {
      counters[place].events += events
    } else if counters.count < Self.capacity {
      counters.append(Counter(pair: pair, events: events, excess: 0))
    } else if let least = counters.indices.min(by: { counters[$0].events < counters[$1].events }) {
      let excess = counters[least].events
      counters[least] = Counter(pair: pair, events: excess + events, excess: excess)
    }
    if sinceHalving >= halfLife { halve() }
  }

  private mutating func halve() {
    sinceHalving = 0
    total /= 2
    for place in counters.indices {
      counters[place].events /= 2
      counters[place].excess = (counters[place].excess + 1) / 2
    }
    counters.removeAll { $0.events == 0 }
  }

  /// The pairs that are counted, in their order.
  var pairs: [AgentPair] { counters.map(\.pair).sorted() }

  /// How many events a pair has lately at least.
  func certain(_ pair: AgentPair) -> Int64 {
    counters.first { $0.pair == pair }.map { max(0, $0.events - $0.excess) } ?? 0
  }

  /// How many events a pair may have lately at the most.
  func possible(_ pair: AgentPair) -> Int64 {
    if let counter = counters.first(where: { $0.pair == pair }) { return counter.events }
    return counters.count < Self.capacity ? 0 : counters.map(\.events).min() ?? 0
  }
}
