import HyphaCore

/// The links that there are and those that there could be, in bounded memory.
///
/// An item is found by its ends in constant time. A table that is full gives a newcomer the place of the weakest
/// of eight items that are no links, drawn by a generator with a fixed seed; where all eight are links the
/// newcomer is ignored. The links at an agent are a chain, as long as its bound allows.
struct LinkTable: Sendable {
  /// One possible link.
  struct Item: Sendable, Codable {
    var pair: AgentPair
    var kind: LinkKind
    /// Its group for thresholds (``Thresholds``).
    var group: UInt8
    var isLinked = false
    var isPinned = false
    /// The decay step of ``score`` and ``credit``.
    var step: Int32
    /// What it saved or would have saved, decayed, with ``Decay/one`` a hop.
    var score: Int64 = 0
    /// The same since it was last added, removed or refused; only while it is no link.
    var credit: Int64 = 0
    /// The same in hops, not decayed.
    var total: Int64 = 0
    /// The event that last made it a link.
    var linkedAt: Int64 = 0
    /// The next link at each end, −1 at the last.
    var nextAtLow: Int32 = -1
    var nextAtHigh: Int32 = -1
  }

  /// What stands for no item.
  static let none: Int32 = -1

  var items: [Item] = []
  /// The number of links.
  private(set) var linkCount = 0
  private let capacity: Int
  /// Places by hashed ends, at most half full; −1 where free.
  private var index: [Int32]
  private let shift: UInt64
  /// For each agent its first link, −1 without one, and the number of its links.
  private var firsts: [Int32]
  private var degrees: [UInt16]
  private var generator = SeededGenerator(seed: 0x6879_7068_61)

  init(capacity: Int, agentCount: Int) {
    self.capacity = capacity
    var bits: UInt64 = 4
    while 1 << bits < 2 * capacity { bits += 1 }
    index = [Int32](repeating: Self.none, count: 1 << Int(bits))
    shift = 64 - bits
    firsts = [Int32](repeating: Self.none, count: agentCount)
    degrees = [UInt16](repeating: 0, count: agentCount)
    items.reserveCapacity(capacity)
  }

  /// A table with the items of another one, which goes on as that one would.
  init(capacity: Int, agentCount: Int, items: [Item], generator: UInt64) {
    self.init(capacity: capacity, agentCount: agentCount)
    self.items = items
    self.generator = SeededGenerator(seed: generator)
    // The first link of a chain is the one that no other leads to.
    var followed: Set<UInt64> = []
    func place(_ slot: Int32, _ agent: Int32) -> UInt64 { UInt64(UInt32(slot)) << 32 | UInt64(UInt32(agent)) }
    for item in items where item.isLinked {
      if item.nextAtLow >= 0 { followed.insert(place(item.nextAtLow, item.pair.low)) }
      if item.nextAtHigh >= 0 { followed.insert(place(item.nextAtHigh, item.pair.high)) }
    }
    for (slot, item) in items.enumerated() {
      enter(item.pair, Int32(slot))
      guard item.isLinked else { continue }
      linkCount += 1
      for agent in [item.pair.low, item.pair.high] {
        degrees[Int(agent)] += 1
        if !followed.contains(place(Int32(slot), agent)) { firsts[Int(agent)] = Int32(slot) }
      }
    }
  }

  /// The seed with which the draws go on.
  var continuation: UInt64 { generator.continuation }

  private func home(_ pair: AgentPair) -> Int { Int((pair.key &* 0x9E37_79B9_7F4A_7C15) >> shift) }

  /// The item of `pair`, or ``none``.
  func find(_ pair: AgentPair) -> Int32 {
    var place = home(pair)
    while true {
      let slot = index[place]
      if slot < 0 || items[Int(slot)].pair == pair { return slot }
      place = (place + 1) & (index.count - 1)
    }
  }

  /// The item of `pair`, a new one if need be; ``none`` where there is no room.
  mutating func admit(_ pair: AgentPair, _ kind: LinkKind, group: UInt8, step: Int32, _ decay: Decay) -> Int32
  {
    let item = Item(pair: pair, kind: kind, group: group, step: step)
    if items.count < capacity {
      items.append(item)
      enter(pair, Int32(items.count - 1))
      return Int32(items.count - 1)
    }
    var weakest = Self.none
    var lowest = Int64.max
    for _ in 0..<8 {
      let slot = Int(((generator.next() >> 32) * UInt64(capacity)) >> 32)
      guard !items[slot].isLinked else { continue }
      let score = decay.decayed(items[slot].score, steps: step - items[slot].step)
      if score < lowest { (lowest, weakest) = (score, Int32(slot)) }
    }
    guard weakest >= 0 else { return weakest }
    leave(items[Int(weakest)].pair)
    items[Int(weakest)] = item
    enter(pair, weakest)
    return weakest
  }

  private mutating func enter(_ pair: AgentPair, _ slot: Int32) {
    var place = home(pair)
    while index[place] >= 0 { place = (place + 1) & (index.count - 1) }
    index[place] = slot
  }

  /// Frees the place of `pair`; later ones of the same run move up, so that each is still found.
  private mutating func leave(_ pair: AgentPair) {
    let mask = index.count - 1
    var gap = home(pair)
    while items[Int(index[gap])].pair != pair { gap = (gap + 1) & mask }
    index[gap] = Self.none
    var place = (gap + 1) & mask
    while index[place] >= 0 {
      let wanted = home(items[Int(index[place])].pair)
      if (place - wanted) & mask >= (place - gap) & mask {
        index[gap] = index[place]
        index[place] = Self.none
        gap = place
      }
      place = (place + 1) & mask
    }
  }

  /// The number of links at `agent`.
  func degree(_ agent: Int32) -> Int { Int(degrees[Int(agent)]) }

  /// Makes an item a link.
  mutating func link(_ slot: Int32, at event: Int64) {
    let pair = items[Int(slot)].pair
    items[Int(slot)].isLinked = true
    items[Int(slot)].linkedAt = event
    items[Int(slot)].credit = 0
    items[Int(slot)].nextAtLow = firsts[Int(pair.low)]
    items[Int(slot)].nextAtHigh = firsts[Int(pair.high)]
    for agent in [pair.low, pair.high] {
      firsts[Int(agent)] = slot
      degrees[Int(agent)] += 1
    }
    linkCount += 1
  }

  /// Makes a link a mere possibility again.
  mutating func unlink(_ slot: Int32) {
    let pair = items[Int(slot)].pair
    for agent in [pair.low, pair.high] {
      var current = firsts[Int(agent)]
      if current == slot {
        firsts[Int(agent)] = next(after: slot, at: agent)
      } else {
        while next(after: current, at: agent) != slot { current = next(after: current, at: agent) }
        setNext(next(after: slot, at: agent), after: current, at: agent)
      }
      degrees[Int(agent)] -= 1
    }
    items[Int(slot)].isLinked = false
    items[Int(slot)].isPinned = false
    items[Int(slot)].credit = 0
    linkCount -= 1
  }

  /// The first link at `agent`, or ``none``.
  func firstLink(at agent: Int32) -> Int32 { firsts[Int(agent)] }

  /// The link after `slot` at `agent`, or ``none``.
  func next(after slot: Int32, at agent: Int32) -> Int32 {
    let item = items[Int(slot)]
    return item.pair.low == agent ? item.nextAtLow : item.nextAtHigh
  }

  private mutating func setNext(_ next: Int32, after slot: Int32, at agent: Int32) {
    if items[Int(slot)].pair.low == agent {
      items[Int(slot)].nextAtLow = next
    } else {
      items[Int(slot)].nextAtHigh = next
    }
  }
}
