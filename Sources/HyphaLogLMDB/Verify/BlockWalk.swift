import HyphaCore
import HyphaLog

/// A walk along the table of blocks that goes on behind what is broken. Not to outlive its view.
struct BlockWalk: ~Copyable {
  private let view: LogView
  private let tree: TreeRecord
  private let cursor: ReadCursor

  init(_ view: LogView) throws {
    self.view = view
    tree = view.transaction.tree(of: view.environment.blocks)
    cursor = try view.transaction.cursor(in: view.environment.blocks)
  }

  /// The first block that ends at `position` or behind it and can be reached, or nil; and what is broken before it.
  func first(at position: Position) throws -> (place: ReadCursor.Place?, broken: HyphaError?) {
    try look(at: position) { try BlockLayout.withKey(position) { try cursor.seek($0) } }
  }

  /// The same behind the block that was found last, which is before `position`.
  func next(at position: Position) throws -> (place: ReadCursor.Place?, broken: HyphaError?) {
    try look(at: position) { try cursor.next() }
  }

  private func look(
    at position: Position, _ step: () throws -> ReadCursor.Place?
  ) throws -> (place: ReadCursor.Place?, broken: HyphaError?) {
    do {
      guard let place = try step() else { return (nil, nil) }
      // LMDB's order on a damaged page is any.
      guard try BlockLayout.position(ofKey: place.key) >= position else {
        throw TableLayout.damaged("blocks", "is not in order behind position \(position.rawValue - 1)")
      }
      return (place, nil)
    } catch let error as HyphaError where error.code == .logInvalid {
      let place = BlockLayout.withKey(position) { view.transaction.pages.firstReadable(from: $0, in: tree) }
      // From there the cursor goes on, or the next step comes here again.
      if let place { _ = try? cursor.seek(place.key) }
      return (place, error)
    }
  }
}

extension PageMap {
  /// The first entry at `key` or behind it, with a position for a key, past what is broken; nil where none can be reached.
  ///
  /// - Complexity: one step for each page that is broken.
  func firstReadable(from key: UnsafeRawBufferPointer, in tree: TreeRecord) -> ReadCursor.Place? {
    guard !tree.isEmpty else { return nil }
    // A tree that leads in circles ends.
    var seen: Set<UInt64> = []
    return firstReadable(from: key, below: tree.root, depth: tree.depth, &seen)
  }

  private func firstReadable(
    from key: UnsafeRawBufferPointer, below number: UInt64, depth: Int, _ seen: inout Set<UInt64>
  ) -> ReadCursor.Place? {
    guard depth > 0, seen.insert(number).inserted, let page = try? page(number, isLeaf: depth == 1) else {
      return nil
    }
    // Where the order is damaged too, from the first on.
    let begin = page.isLeaf ? 0 : (try? page.childIndex(for: key)) ?? 0
    for index in begin..<page.count {
      guard let node = page.node(index) else { continue }
      if case .child(let child) = node.content {
        if let place = firstReadable(from: key, below: child, depth: depth - 1, &seen) { return place }
      } else if node.key.count == key.count, !Self.precedes(node.key, key),
        let value = try? value(of: node, on: page)
      {
        return ReadCursor.Place(key: node.key, value: value)
      }
    }
    return nil
  }
}
