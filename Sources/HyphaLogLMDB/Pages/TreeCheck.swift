import HyphaCore

/// Looks at every page of trees: LMDB follows what it finds on a page when it writes, so what it may meet is checked
/// before.
///
/// Each page must be one, of its level, and be met once; its keys in their order and between those of the branch above;
/// the pages as many as the tree's record says. So a key that is there is found. Values are given to whoever asks.
struct TreeCheck {
  private let pages: PageMap
  /// The pages that were met, of all trees.
  private(set) var met: PageSet
  private var branchPageCount: UInt64 = 0
  private var leafPageCount: UInt64 = 0
  private var apartPageCount: UInt64 = 0
  private var entryCount: UInt64 = 0
  private var isFree = false
  private var readsLeaves = true
  /// After so many pages those that were looked at leave this process's memory.
  private static let letGoPageCount: UInt64 = 256

  /// Sees a leaf's entry.
  typealias Visit = (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void

  init(_ pages: PageMap) {
    self.pages = pages
    met = PageSet(pageCount: pages.pageCount)
  }

  /// Checks a tree from its root down.
  ///
  /// - Parameter readsLeaves: whether leaves are looked at too; else only that each is met once, as the branches lead to
  ///   them, which takes a small part of the time.
  /// - Complexity: one step for each entry, or for each leaf.
  mutating func check(
    _ tree: TreeRecord, readsLeaves: Bool = true, _ visit: Visit = { _, _ in }
  ) throws(PageMap.Broken) {
    (branchPageCount, leafPageCount, apartPageCount, entryCount) = (0, 0, 0, 0)
    isFree = tree.flags == TreeRecord.freeFlags
    self.readsLeaves = readsLeaves
    guard !tree.isEmpty else { return }
    defer { pages.letGo() }
    try check(tree.root, depth: tree.depth, in: tree, from: nil, before: nil, visit)
    guard branchPageCount == tree.branchPageCount, leafPageCount == tree.leafPageCount,
      !readsLeaves || (apartPageCount == tree.apartPageCount && entryCount == tree.entryCount)
    else { throw PageMap.Broken(number: tree.root) }
  }

  /// Takes a page for met; it must not have been before.
  mutating func meet(_ number: UInt64) throws(PageMap.Broken) {
    guard met.insert(number) else { throw PageMap.Broken(number: number) }
  }

  private mutating func check(
    _ number: UInt64, depth: Int, in tree: TreeRecord, from: UnsafeRawBufferPointer?,
    before: UnsafeRawBufferPointer?, _ visit: Visit
  ) throws(PageMap.Broken) {
    // A tree that leads in circles ends here.
    try meet(number)
    if (branchPageCount + leafPageCount) % Self.letGoPageCount == 0 { pages.letGo() }
    if depth == 1 { leafPageCount += 1 } else { branchPageCount += 1 }
    if depth == 1, !readsLeaves { return }
    let page = try pages.page(number, isLeaf: depth == 1)
    let broken = PageMap.Broken(number: number)
    var last = from
    for index in 0..<page.count {
      guard let node = page.node(index) else { throw broken }
      // A branch's first node has no key: it leads to all that is below the second.
      if page.isLeaf || index > 0 {
        if let last {
          let isInOrder =
            index == 0 || (!page.isLeaf && index == 1)
            ? !precedes(node.key, last) : precedes(last, node.key)
          guard isInOrder else { throw broken }
        }
        if let before, !precedes(node.key, before) { throw broken }
        last = node.key
      }
      switch node.content {
      case .child(let child):
        let end = index + 1 < page.count ? page.node(index + 1)?.key : before
        try check(
          child, depth: depth - 1, in: tree, from: index == 0 ? from : node.key, before: end, visit)
      case .value(let value):
        entryCount += 1
        visit(node.key, value)
      case .apart(let first, let byteCount):
        let count = try pages.apartPageCount(first, byteCount: byteCount)
        apartPageCount += count
        entryCount += 1
        for number in first..<first + count { try meet(number) }
        visit(node.key, try pages.value(of: node, on: page))
      case .table: throw broken
      }
    }
  }

  private func precedes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard isFree, left.count == 8, right.count == 8 else { return PageMap.precedes(left, right) }
    return UInt64(littleEndian: left.loadUnaligned(as: UInt64.self))
      < UInt64(littleEndian: right.loadUnaligned(as: UInt64.self))
  }
}

extension PageMap {
  /// Checks the pages from a tree's root to where `key` lies, and those beside them, with which LMDB may join them when
  /// something is removed. Values on pages of their own are not looked at: LMDB does so only with one that it removes.
  ///
  /// - Returns: the pages on the way.
  @discardableResult func checkPath(
    to key: UnsafeRawBufferPointer, in tree: TreeRecord
  ) throws(Broken) -> [UInt64] {
    guard !tree.isEmpty else { return [] }
    var path = [tree.root]
    for depth in stride(from: tree.depth, to: 1, by: -1) {
      let page = try page(path[path.count - 1], isLeaf: false)
      let index = try page.childIndex(for: key)
      for near in max(0, index - 1)...min(page.count - 1, index + 1) {
        try checkNodes(page.child(near), isLeaf: depth == 2)
      }
      path.append(try page.child(index))
    }
    try checkNodes(path[path.count - 1], isLeaf: true)
    return path
  }

  private func checkNodes(_ number: UInt64, isLeaf: Bool) throws(Broken) {
    let page = try page(number, isLeaf: isLeaf)
    for index in 0..<page.count {
      guard let node = page.node(index) else { throw Broken(number: number) }
      switch node.content {
      case .child(let child): _ = try bytes(child)
      case .apart(let first, _): _ = try bytes(first)
      case .value: break
      case .table: throw Broken(number: number)
      }
    }
  }
}

/// The lists of free pages, as LMDB keeps them: under each transaction's number a count and that many page numbers, in
/// descending order (midl.h).
struct FreeLists {
  /// All of them.
  private(set) var pages: PageSet
  /// Whether something is no list, or a page is free twice.
  private(set) var isBroken = false

  init(pageCount: UInt64) { pages = PageSet(pageCount: pageCount) }

  mutating func add(_ key: UnsafeRawBufferPointer, _ list: UnsafeRawBufferPointer) {
    func word(_ index: Int) -> UInt64 {
      UInt64(littleEndian: list.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
    }
    guard key.count == 8, list.count >= 8, list.count % 8 == 0, word(0) < UInt64(list.count / 8) else {
      return isBroken = true
    }
    var last = UInt64.max
    for index in 0..<Int(word(0)) {
      let number = word(index + 1)
      guard number < last, pages.insert(number) else { return isBroken = true }
      last = number
    }
  }
}
