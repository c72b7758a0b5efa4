/// The links that suit known traffic: taken greedily by what each saves beside those taken before, as long as that is
/// more than a charge.
///
/// Greedy choice is within a factor of two of the best for links of one kind (a b-matching), and in practice within a
/// few per cent. The work grows with the number of pairs that talk, times the square of their paths' lengths.
struct StaticChoice {
  private let tree: AgentTree
  private let policy: ObserverPolicy
  private let forbids: Set<AgentPair>
  private var path = LinkedPath()

  init(_ tree: AgentTree, _ policy: ObserverPolicy, _ forbids: Set<AgentPair>) {
    self.tree = tree
    self.policy = policy
    self.forbids = forbids
  }

  private struct Flow {
    var pair: AgentPair
    var count: Int
  }

  private struct Candidate {
    var pair: AgentPair
    var flows: [Int32] = []
  }

  /// The links for `events`, in the order in which they were taken.
  mutating func links(for events: ArraySlice<Traffic.Event>) -> [AgentPair] {
    var counts: [AgentPair: Int] = [:]
    for event in events where event.from != event.to {
      counts[AgentPair(event.from, event.to), default: 0] += 1
    }
    let flows = counts.map { Flow(pair: $0.key, count: $0.value) }.sorted { $0.pair < $1.pair }
    let candidates = candidates(flows)
    var taken: Set<AgentPair> = []
    var degrees: [Int32: Int] = [:]
    var links: [AgentPair] = []
    // The saving of a candidate falls as others are taken, so one that is still the best after a new look is it.
    var queue = SavingQueue()
    for (place, candidate) in candidates.enumerated() {
      queue.insert(.init(saving: saving(candidate, flows, taken), place: place))
    }
    while let best = queue.popLargest(), best.saving > policy.charge {
      let candidate = candidates[best.place]
      let ends = [candidate.pair.low, candidate.pair.high]
      guard ends.allSatisfy({ degrees[$0, default: 0] < policy.linksMax(tree.role($0)) }) else { continue }
      let saving = saving(candidate, flows, taken)
      if let next = queue.largest, saving < next.saving {
        queue.insert(.init(saving: saving, place: best.place))
        continue
      }
      guard saving > policy.charge else { break }
      taken.insert(candidate.pair)
      links.append(candidate.pair)
      for end in ends { degrees[end, default: 0] += 1 }
    }
    return links
  }

  private mutating func candidates(_ flows: [Flow]) -> [Candidate] {
    var places: [AgentPair: Int] = [:]
    var candidates: [Candidate] = []
    for (number, flow) in flows.enumerated() {
      guard path.take(tree, from: flow.pair.low, to: flow.pair.high, passing: []), path.edgeCount >= 2 else {
        continue
      }
      for from in 0..<path.edgeCount - 1 {
        for to in from + 2..<path.edgeCount + 1 where path.isOpen(from, to) {
          let pair = AgentPair(path.agents[from], path.agents[to])
          let kind = LinkKind(tree.role(pair.low), tree.role(pair.high))
          guard policy.kinds.contains(kind), !forbids.contains(pair) else { continue }
          let place = places[pair] ?? candidates.count
          if place == candidates.count {
            places[pair] = place
            candidates.append(Candidate(pair: pair))
          }
          candidates[place].flows.append(Int32(number))
        }
      }
    }
    return candidates
  }

  /// What a candidate saves beside `taken`, in hops.
  private mutating func saving(_ candidate: Candidate, _ flows: [Flow], _ taken: Set<AgentPair>) -> Int {
    var saving = 0
    for number in candidate.flows {
      let flow = flows[Int(number)]
      guard path.take(tree, from: flow.pair.low, to: flow.pair.high, passing: []) else { continue }
      if !taken.isEmpty { path.takeLinks { taken.contains($0) } }
      path.measure()
      var ends: [Int] = []
      for place in 0...path.edgeCount
      where path.agents[place] == candidate.pair.low || path.agents[place] == candidate.pair.high {
        ends.append(place)
      }
      if ends.count == 2, !path.hasLink(ends[0], ends[1]) {
        saving += flow.count * path.gain(of: ends[0], ends[1])
      }
    }
    return saving
  }
}

/// A heap of savings, the largest first; of equal ones, that of the lower place.
private struct SavingQueue {
  struct Entry {
    var saving: Int
    var place: Int

    func precedes(_ other: Entry) -> Bool {
      saving != other.saving ? saving > other.saving : place < other.place
    }
  }

  private var entries: [Entry] = []

  var largest: Entry? { entries.first }

  mutating func insert(_ entry: Entry) {
    entries.append(entry)
    var place = entries.count - 1
    while place > 0, entries[place].precedes(entries[(place - 1) / 2]) {
      entries.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  mutating func popLargest() -> Entry? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    guard !entries.isEmpty else { return first }
    entries[0] = last
    var place = 0
    while true {
      var best = place
      for child in [2 * place + 1, 2 * place + 2]
      where child < entries.count && entries[child].precedes(entries[best]) { best = child }
      if best == place { return first }
      entries.swapAt(place, best)
      place = best
    }
  }
}
