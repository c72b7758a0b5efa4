import HyphaCore

/// Something that is to be done at a time.
protocol DueItem: Sendable, Equatable {
  var id: EventID { get }
  var dueAt: Timestamp { get }
}

/// What is to be done later, the soonest first; what is due at the same time in the order of ids. Pure.
///
/// - Complexity: an insertion is linear in the number of items, which its owner bounds.
struct DueTable<Item: DueItem>: Sendable, Equatable {
  private(set) var items: [Item] = []

  var count: Int { items.count }
  var isEmpty: Bool { items.isEmpty }
  /// When the next item is due.
  var next: Timestamp? { items.first?.dueAt }

  /// Whether an item is there.
  func contains(_ id: EventID) -> Bool { items.contains { $0.id == id } }

  mutating func insert(_ item: Item) {
    // What comes last is due last, mostly.
    var place = items.endIndex
    while place > 0, Self.isBefore(item, items[place - 1]) { place -= 1 }
    items.insert(item, at: place)
  }

  /// Takes out the next item, if its time has come.
  mutating func takeDue(now: Timestamp) -> Item? {
    guard let first = items.first, first.dueAt <= now else { return nil }
    return items.removeFirst()
  }

  /// Takes out an item before its time; nil where it is not there.
  @discardableResult
  mutating func remove(_ id: EventID) -> Item? {
    items.firstIndex { $0.id == id }.map { items.remove(at: $0) }
  }

  private static func isBefore(_ left: Item, _ right: Item) -> Bool {
    (left.dueAt, left.id) < (right.dueAt, right.id)
  }
}
