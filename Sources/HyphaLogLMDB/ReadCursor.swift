import CLMDB
import HyphaCore

/// A place in one table within a read transaction, which it must not outlive.
///
/// It walks LMDB's pages itself, and each is checked before it is followed (see ``PageMap``): a damaged page is an error.
/// The bytes that it shows lie in the map and are good until the transaction ends.
struct ReadCursor: ~Copyable {
  private let pages: PageMap
  private let tree: TreeRecord
  private let failure: LogFailure
  private let table: Environment.Table
  /// The pages from the root to the leaf, each with the node that leads on; ``TreeRecord/depth`` of them.
  private let levels: UnsafeMutablePointer<Level>
  private let isPlaced: UnsafeMutablePointer<Bool>

  private struct Level {
    var page: TreePage
    var index: Int
  }

  /// A cursor over the tree of `table`.
  init(_ tree: TreeRecord, of table: Environment.Table, in pages: PageMap, failure: LogFailure) {
    self.pages = pages
    self.tree = tree
    self.table = table
    self.failure = failure
    levels = .allocate(capacity: max(1, tree.depth))
    isPlaced = .allocate(capacity: 1)
    isPlaced.initialize(to: false)
  }

  deinit {
    levels.deallocate()
    isPlaced.deallocate()
  }

  /// A key with its value.
  struct Place {
    let key: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer
  }

  /// The first place, or nil where the table is empty.
  func first() throws -> Place? {
    try checked { () throws(PageMap.Broken) in try descend { _ in 0 } ? try place() : nil }
  }

  /// The last place, or nil where the table is empty.
  func last() throws -> Place? {
    try checked { () throws(PageMap.Broken) in try descend { $0.count - 1 } ? try place() : nil }
  }

  /// The first place at `key` or behind it.
  func seek(_ key: UnsafeRawBufferPointer) throws -> Place? {
    try checked { () throws(PageMap.Broken) in
      let isThere = try descend { page throws(PageMap.Broken) in
        page.isLeaf ? try page.lowerBound(key) : try page.childIndex(for: key)
      }
      guard isThere else { return nil }
      let leaf = levels[tree.depth - 1]
      return leaf.index < leaf.page.count ? try place() : try step(by: 1, from: leaf.page.count - 1)
    }
  }

  /// The place after this one; the first, where nothing was looked for yet.
  func next() throws -> Place? { try move(by: 1) }

  /// The place before this one; the last, where nothing was looked for yet.
  func previous() throws -> Place? { try move(by: -1) }

  private func move(by step: Int) throws -> Place? {
    guard isPlaced.pointee else { return step > 0 ? try first() : try last() }
    return try checked { () throws(PageMap.Broken) in
      try self.step(by: step, from: levels[tree.depth - 1].index)
    }
  }
}

// MARK: The walk

extension ReadCursor {
  /// Goes from the root to a leaf, by the node that `choose` names on each page; false where the table is empty.
  private func descend(
    from level: Int = 0, _ choose: (TreePage) throws(PageMap.Broken) -> Int
  ) throws(PageMap.Broken) -> Bool {
    guard !tree.isEmpty else { return false }
    isPlaced.pointee = true
    for level in level..<tree.depth {
      let number = level == 0 ? tree.root : try levels[level - 1].page.child(levels[level - 1].index)
      let page = try pages.page(number, isLeaf: level == tree.depth - 1)
      levels[level] = Level(page: page, index: try choose(page))
    }
    return true
  }

  /// Goes to the place before or after node `index` of the leaf; nil at the table's end, where it stays.
  private func step(by step: Int, from index: Int) throws(PageMap.Broken) -> Place? {
    let leaf = tree.depth - 1
    levels[leaf].index = index
    let next = index + step
    if next >= 0, next < levels[leaf].page.count {
      levels[leaf].index = next
      return try place()
    }
    var level = leaf - 1
    while level >= 0 {
      let next = levels[level].index + step
      if next >= 0, next < levels[level].page.count {
        levels[level].index = next
        _ = try descend(from: level + 1) { step > 0 ? 0 : $0.count - 1 }
        return try place()
      }
      level -= 1
    }
    return nil
  }

  private func place() throws(PageMap.Broken) -> Place {
    let leaf = levels[tree.depth - 1]
    guard let node = leaf.page.node(leaf.index) else { throw PageMap.Broken(number: leaf.page.number) }
    return Place(key: node.key, value: try pages.value(of: node, on: leaf.page))
  }

  private func checked(_ walk: () throws(PageMap.Broken) -> Place?) throws -> Place? {
    do { return try walk() } catch { throw failure.error(error, in: table.name) }
  }
}

extension MDB_val {
  /// LMDB takes keys and values through a mutable pointer, but does not write to them.
  init(_ bytes: UnsafeRawBufferPointer) {
    self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
  }

  /// The bytes, in the map.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}
