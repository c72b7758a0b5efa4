import HyphaCore

/// A change that an online rule makes.
enum MatchingChange {
  case add(AgentPair)
  case remove(AgentPair)
}

/// An online choice of links between agents, each agent having at most as many as the policy allows.
protocol OnlineMatching {
  /// Whether a pair is linked now.
  func contains(_ pair: AgentPair) -> Bool
  /// Takes a request for a pair whose link saves `saving` hops, linked or not.
  mutating func take(_ pair: AgentPair, saving: Int) -> [MatchingChange]
}

/// The links of each agent, in the order in which they were made or last moved to the end.
struct MatchedPairs {
  private(set) var linked: Set<AgentPair> = []
  private var atAgent: [Int32: [AgentPair]] = [:]

  func at(_ agent: Int32) -> [AgentPair] { atAgent[agent] ?? [] }

  mutating func add(_ pair: AgentPair) {
    linked.insert(pair)
    for agent in [pair.low, pair.high] { atAgent[agent, default: []].append(pair) }
  }

  mutating func remove(_ pair: AgentPair) {
    linked.remove(pair)
    for agent in [pair.low, pair.high] { atAgent[agent]?.removeAll { $0 == pair } }
  }

  mutating func moveToEnd(_ pair: AgentPair) {
    remove(pair)
    add(pair)
  }
}

/// BMA: a pair is linked once its requests would have saved a charge. It then counts as saturated at both ends;
/// an end with more saturated pairs than links begins a new phase, in which all its pairs count from zero. What goes
/// to make room is the oldest link that is not saturated.
struct CountedMatching: OnlineMatching {
  private let bound: Int
  private let charge: Int
  private var pairs = MatchedPairs()
  private var counters: [AgentPair: Int] = [:]
  private var counted: [Int32: Set<AgentPair>] = [:]

  init(_ tree: AgentTree, _ policy: ObserverPolicy) {
    bound = policy.agentLinks
    charge = policy.charge
  }

  func contains(_ pair: AgentPair) -> Bool { pairs.linked.contains(pair) }

  private func isSaturated(_ pair: AgentPair) -> Bool { counters[pair, default: 0] >= charge }

  mutating func take(_ pair: AgentPair, saving: Int) -> [MatchingChange] {
    guard bound > 0, !contains(pair) else { return [] }
    counters[pair, default: 0] += saving
    for agent in [pair.low, pair.high] { counted[agent, default: []].insert(pair) }
    guard isSaturated(pair) else { return [] }
    var changes: [MatchingChange] = []
    for agent in [pair.low, pair.high] {
      if (counted[agent] ?? []).count(where: isSaturated) > bound {
        for other in counted[agent] ?? [] where other != pair { counters[other] = nil }
        counted[agent] = [pair]
      }
      let links = pairs.at(agent)
      if links.count >= bound, let oldest = links.first(where: { !isSaturated($0) }) {
        pairs.remove(oldest)
        changes.append(.remove(oldest))
      }
    }
    // A phase that began at one end leaves the other with room at least.
    pairs.add(pair)
    return changes + [.add(pair)]
  }
}

/// R-BMA: a request is passed to its ends with a probability of its saving by the charge; each end keeps a cache
/// by the randomised marking rule, and a pair is linked where both ends hold it.
struct MarkedMatching: OnlineMatching {
  private let bound: Int
  private let charge: Int
  private var pairs = MatchedPairs()
  private var caches: [Int32: [(pair: AgentPair, isMarked: Bool)]] = [:]
  private var generator = SeededGenerator(seed: 0x72_626D61)

  init(_ tree: AgentTree, _ policy: ObserverPolicy) {
    bound = policy.agentLinks
    charge = policy.charge
  }

  func contains(_ pair: AgentPair) -> Bool { pairs.linked.contains(pair) }

  mutating func take(_ pair: AgentPair, saving: Int) -> [MatchingChange] {
    guard bound > 0, generator.next() % UInt64(charge) < UInt64(saving) else { return [] }
    var changes: [MatchingChange] = []
    for agent in [pair.low, pair.high] {
      guard let dropped = page(pair, at: agent), contains(dropped) else { continue }
      pairs.remove(dropped)
      changes.append(.remove(dropped))
    }
    if !contains(pair) {
      pairs.add(pair)
      changes.append(.add(pair))
    }
    return changes
  }

  /// Brings `pair` into an agent's cache and returns what had to leave.
  private mutating func page(_ pair: AgentPair, at agent: Int32) -> AgentPair? {
    var cache = caches[agent] ?? []
    defer { caches[agent] = cache }
    if let place = cache.firstIndex(where: { $0.pair == pair }) {
      cache[place].isMarked = true
      return nil
    }
    var dropped: AgentPair?
    if cache.count >= bound {
      if cache.allSatisfy(\.isMarked) { for place in cache.indices { cache[place].isMarked = false } }
      let free = cache.indices.filter { !cache[$0].isMarked }
      dropped = cache.remove(at: free[Int(generator.next() % UInt64(free.count))]).pair
    }
    cache.append((pair, true))
    return dropped
  }
}

/// LRU: each request's pair is linked at once.
struct RecentMatching: OnlineMatching {
  private let bound: Int
  private var pairs = MatchedPairs()

  init(_ tree: AgentTree, _ policy: ObserverPolicy) { bound = policy.agentLinks }

  func contains(_ pair: AgentPair) -> Bool { pairs.linked.contains(pair) }

  mutating func take(_ pair: AgentPair, saving: Int) -> [MatchingChange] {
    guard bound > 0 else { return [] }
    if contains(pair) {
      pairs.moveToEnd(pair)
      return []
    }
    var changes: [MatchingChange] = []
    for agent in [pair.low, pair.high] where pairs.at(agent).count >= bound {
      let oldest = pairs.at(agent)[0]
      pairs.remove(oldest)
      changes.append(.remove(oldest))
    }
    pairs.add(pair)
    return changes + [.add(pair)]
  }
}
