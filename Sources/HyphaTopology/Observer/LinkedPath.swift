/// One path of the tree and the links between its agents: what an event on it costs, and what each link saves.
///
/// An event goes forward along the path only, by tree edges and links; so it never comes to an agent twice, and
/// the cheapest way is found in one pass. Links from agents of the path to others are not for this event.
struct LinkedPath: Sendable {
  /// The most edges of a path that is looked at: between two leaves of a tree of nine levels.
  static let edgeCountMax = 16

  /// The agents from the first to the last; those past ``edgeCount`` are of earlier paths.
  private(set) var agents = [Int32](repeating: -1, count: edgeCountMax + 1)
  /// The number of tree edges.
  private(set) var edgeCount = 0
  /// For each place the later places to which a usable link leads, a bit each.
  private var links = [UInt32](repeating: 0, count: edgeCountMax + 1)
  /// For each place the edges from the first agent, and to the last.
  private var forward = [Int](repeating: 0, count: edgeCountMax + 1)
  private var backward = [Int](repeating: 0, count: edgeCountMax + 1)
  /// The places of agents that have to be passed, a bit each.
  private var barriers: UInt32 = 0

  /// Takes the path between two agents, without links; false where it is longer than ``edgeCountMax``.
  mutating func take(_ tree: AgentTree, from first: Int32, to last: Int32, passing: [Int32]) -> Bool {
    guard let count = tree.fill(&agents, from: first, to: last) else {
      // Nothing relays on a path that is not known.
      edgeCount = 0
      backward[0] = 0
      return false
    }
    edgeCount = count
    barriers = 0
    for place in 0...count { links[place] = 0 }
    if !tree.gates.isEmpty || !passing.isEmpty {
      for place in 0...count where tree.gates.contains(agents[place]) || passing.contains(agents[place]) {
        barriers |= 1 << UInt32(place)
      }
    }
    return true
  }

  /// Whether a link between two places leads around nobody who has to be passed.
  func isOpen(_ from: Int, _ to: Int) -> Bool {
    barriers == 0 || barriers & ((1 << UInt32(to)) - (2 << UInt32(from))) == 0
  }

  /// Whether a link between two places is used.
  func hasLink(_ from: Int, _ to: Int) -> Bool { links[from] & (1 << UInt32(to)) != 0 }

  /// Adds a link between two places.
  mutating func add(_ from: Int, _ to: Int) { links[from] |= 1 << UInt32(to) }

  /// Finds the cheapest way; ``cost`` and ``gain(of:_:)`` hold from then on.
  mutating func measure() {
    Self.measure(links, edgeCount, &forward)
    for place in stride(from: edgeCount, through: 0, by: -1) {
      var best = edgeCount - place
      if place < edgeCount { best = backward[place + 1] + 1 }
      var ahead = links[place]
      while ahead != 0 {
        best = min(best, backward[ahead.trailingZeroBitCount] + 1)
        ahead &= ahead - 1
      }
      backward[place] = best
    }
  }

  private static func measure(_ links: [UInt32], _ edgeCount: Int, _ forward: inout [Int]) {
    for place in 0...edgeCount { forward[place] = place }
    for place in 0..<edgeCount {
      let next = forward[place] + 1
      if next < forward[place + 1] { forward[place + 1] = next }
      var ahead = links[place]
      while ahead != 0 {
        let end = ahead.trailingZeroBitCount
        if next < forward[end] { forward[end] = next }
        ahead &= ahead - 1
      }
    }
  }

  /// The edges that an event crosses with today's links.
  var cost: Int { forward[edgeCount] }

  /// What a link between two places saves: one that is there, or one that could be. Zero or more edges.
  mutating func gain(of from: Int, _ to: Int) -> Int {
    let through = forward[from] + 1 + backward[to]
    guard hasLink(from, to) else { return max(0, cost - through) }
    guard through == cost else { return 0 }
    let cost = cost
    links[from] &= ~(1 << UInt32(to))
    var without = spare
    Self.measure(links, edgeCount, &without)
    links[from] |= 1 << UInt32(to)
    spare = without
    return spare[edgeCount] - cost
  }

  private var spare = [Int](repeating: 0, count: edgeCountMax + 1)

  /// Calls `body` with each agent that relays on the cheapest way.
  func forEachRelay(_ body: (Int32) -> Void) {
    var place = 0
    while backward[place] > 1 {
      // The first of equally cheap steps that leads furthest, so that the way is the same everywhere.
      var next = place + 1
      var ahead = links[place]
      while ahead != 0 {
        let end = ahead.trailingZeroBitCount
        if backward[end] + 1 == backward[place] { next = end }
        ahead &= ahead - 1
      }
      place = next
      body(agents[place])
    }
  }
}

extension LinkedPath {
  /// Adds each link between agents of the path that `isLinked` says is there and that leads around nobody who has
  /// to be passed.
  mutating func takeLinks(where isLinked: (AgentPair) -> Bool) {
    guard edgeCount >= 2 else { return }
    for from in 0..<edgeCount - 1 {
      for to in from + 2..<edgeCount + 1 where isOpen(from, to) {
        if isLinked(AgentPair(agents[from], agents[to])) { add(from, to) }
      }
    }
  }
}
