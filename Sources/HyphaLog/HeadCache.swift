import HyphaCore

/// Heads that were used lately, which of them have moved since they were written down, and what a group has
/// changed.
///
/// A head is addressed by its slot, so that a run of events of one lane costs one comparison each and no
/// lookup. With tens of thousands of lanes a lookup is mostly waiting for memory, so the slot behind the newest is
/// tried first: where many agents answer one event, or work in turn, they come again in the order in which they came
/// before.
struct HeadCache<Key: Hashable & Sendable, Head: Sendable>: Sendable {
  private static var countMax: Int { 65_536 }

  // One array each, so that looking at a head copies no key.
  private var keys: [Key] = []
  private var heads: [Head?] = []
  private var isMoved: [Bool] = []
  private var numbers = SlotTable()
  private var newest = 0
  /// The slots that have moved, in the order in which they did first.
  private var moved: [Int] = []
  /// What the group has changed; `isFirst` where that moved the slot.
  private var undo: [(slot: Int, head: Head?, isFirst: Bool)] = []

  init() {}

  /// How much the group has changed so far.
  var mark: Int { undo.count }
  var isCrowded: Bool { keys.count > Self.countMax }
  /// Whether nothing has moved since it was written down.
  var isWritten: Bool { moved.isEmpty }
  var movedCount: Int { moved.count }

  mutating func endGroup() { undo.removeAll(keepingCapacity: true) }

  mutating func forgetMoved() {
    for slot in moved { isMoved[slot] = false }
    moved.removeAll(keepingCapacity: true)
  }

  subscript(slot: Int) -> Head? { heads[slot] }

  /// The slot of a key. `hint` is the one that it probably has.
  mutating func slot(
    of key: Key, hint: Int? = nil, _ find: (Key) throws -> Head?
  ) rethrows -> Int {
    if let hint, keys[hint] == key { return hint }
    for likely in newest...newest + 1 where likely < keys.count && keys[likely] == key {
      newest = likely
      return likely
    }
    let hash = key.hashValue
    if let number = numbers.number(of: hash, where: { keys[$0] == key }) {
      newest = number
      return number
    }
    let head = try find(key)
    newest = keys.count
    keys.append(key)
    heads.append(head)
    isMoved.append(false)
    numbers.add(hash)
    return newest
  }

  mutating func adopt(_ key: Key, _ head: Head) {
    let slot = slot(of: key) { _ in nil }
    move(slot, to: head)
    endGroup()
  }

  mutating func move(_ slot: Int, to head: Head) {
    let isFirst = !isMoved[slot]
    undo.append((slot, heads[slot], isFirst))
    heads[slot] = head
    if isFirst {
      isMoved[slot] = true
      moved.append(slot)
    }
  }

  mutating func revert(to mark: Int) {
    while undo.count > mark {
      let (slot, head, isFirst) = undo.removeLast()
      heads[slot] = head
      if isFirst {
        isMoved[slot] = false
        moved.removeLast()
      }
    }
  }

  func forEachMoved(_ body: (Key, Head) throws -> Void) rethrows {
    for slot in moved {
      if let head = heads[slot] { try body(keys[slot], head) }
    }
  }
}
