import Glibc

/// The pages of an environment as they lie in its map, within one transaction.
///
/// LMDB trusts what it finds on a page, and a number that leads beyond the file is a SIGSEGV or SIGBUS there. So reads
/// do not let LMDB walk its trees: they take from it the transaction, which keeps pages from being used again, and the
/// page that lists the tables; from there on every step is checked here. What cannot be seen to is that the disk gives the
/// pages of the file at all: where it fails to, the process ends by SIGBUS.
struct PageMap {
  /// Something that is no page of the tree that led to it.
  struct Broken: Error { let number: UInt64 }

  /// Where the map begins.
  let base: UnsafeRawPointer
  let pageByteCount: Int
  /// Pages from this one on are not in the file.
  let pageCount: UInt64

  /// - Parameters:
  ///   - base: where the map begins.
  ///   - pageCount: how many pages of it are in the file.
  init(base: UnsafeRawPointer, pageByteCount: Int, pageCount: UInt64) {
    self.base = base
    self.pageByteCount = pageByteCount
    self.pageCount = pageCount
  }

  /// The bytes of a page, whatever it holds.
  func bytes(_ number: UInt64) throws(Broken) -> UnsafeRawBufferPointer {
    guard number < pageCount else { throw Broken(number: number) }
    return UnsafeRawBufferPointer(start: base + Int(number) * pageByteCount, count: pageByteCount)
  }

  /// Takes the pages out of this process's memory, though not out of the system's: whoever reads one gets it again, in
  /// about a microsecond for 16 of them. What was read once counts as this process's memory for as long as it lives
  /// otherwise, and with each page that is read the system hands over those around it.
  func letGo() { letGo(UnsafeRawBufferPointer(start: base, count: Int(pageCount) * pageByteCount)) }

  /// The same with the pages of some bytes of the map.
  func letGo(_ bytes: UnsafeRawBufferPointer) {
    guard let address = bytes.baseAddress, !bytes.isEmpty else { return }
    let excess = (address - base) % Int(getpagesize())
    _ = madvise(UnsafeMutableRawPointer(mutating: address - excess), bytes.count + excess, MADV_DONTNEED)
  }

  /// Lets the system fetch so many bytes behind an address of the map from the disk, without waiting for them.
  func fetch(behind address: UnsafeRawPointer, byteCount: Int) {
    let excess = (address - base) % Int(getpagesize())
    let rest = Int(pageCount) * pageByteCount - (address - base)
    guard rest > 0 else { return }
    _ = madvise(
      UnsafeMutableRawPointer(mutating: address - excess), min(byteCount, rest) + excess, MADV_WILLNEED)
  }

  /// A page of a tree.
  func page(_ number: UInt64, isLeaf: Bool) throws(Broken) -> TreePage {
    // The first two are meta pages.
    guard number >= 2, let page = TreePage(try bytes(number), number: number, isLeaf: isLeaf) else {
      throw Broken(number: number)
    }
    return page
  }

  /// The value of a leaf's node, which may lie on pages of its own.
  func value(of node: TreePage.Node, on page: TreePage) throws(Broken) -> UnsafeRawBufferPointer {
    switch node.content {
    case .value(let value): return value
    case .apart(let first, let byteCount):
      _ = try apartPageCount(first, byteCount: byteCount)
      return UnsafeRawBufferPointer(
        start: base + Int(first) * pageByteCount + TreePage.headerByteCount, count: byteCount)
    case .child, .table: throw Broken(number: page.number)
    }
  }

  /// The value of a key in a tree, or nil where there is none.
  func value(of key: UnsafeRawBufferPointer, in tree: TreeRecord) throws(Broken) -> UnsafeRawBufferPointer? {
    guard let leaf = try leaf(of: key, in: tree) else { return nil }
    let index = try leaf.lowerBound(key)
    guard index < leaf.count else { return nil }
    guard let node = leaf.node(index) else { throw Broken(number: leaf.number) }
    // It is not below the key.
    return Self.precedes(key, node.key) ? nil : try value(of: node, on: leaf)
  }

  /// The leaf on which a key stands, if it is there; nil where the tree is empty.
  func leaf(of key: UnsafeRawBufferPointer, in tree: TreeRecord) throws(Broken) -> TreePage? {
    guard !tree.isEmpty else { return nil }
    var number = tree.root
    for _ in 1..<tree.depth {
      let page = try page(number, isLeaf: false)
      number = try page.child(page.childIndex(for: key))
    }
    return try page(number, isLeaf: true)
  }

  /// How many pages a value of so many bytes takes that begins on the page `first`, whose head says the same.
  func apartPageCount(_ first: UInt64, byteCount: Int) throws(Broken) -> UInt64 {
    let count = UInt64((TreePage.headerByteCount + byteCount + pageByteCount - 1) / pageByteCount)
    guard first >= 2, first < pageCount, count <= pageCount - first else { throw Broken(number: first) }
    let head = try bytes(first)
    let number = UInt64(littleEndian: head.loadUnaligned(as: UInt64.self))
    let flags = UInt16(littleEndian: head.loadUnaligned(fromByteOffset: 10, as: UInt16.self))
    let stated = UInt32(littleEndian: head.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    guard number == first, flags == 4, UInt64(stated) == count else { throw Broken(number: first) }
    return count
  }

  /// The order of LMDB's keys: by bytes, then by length.
  static func precedes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    let count = min(left.count, right.count)
    guard count > 0, let one = left.baseAddress, let other = right.baseAddress else {
      return left.count < right.count
    }
    let order = memcmp(one, other, count)
    return order == 0 ? left.count < right.count : order < 0
  }
}

extension TreePage {
  /// The first node whose key is not below `key`; ``count`` where there is none.
  ///
  /// - Parameter first: the number of the first node that has a key: a branch's first has none.
  func lowerBound(_ key: UnsafeRawBufferPointer, from first: Int = 0) throws(PageMap.Broken) -> Int {
    var (low, high) = (first, count)
    while low < high {
      let middle = (low + high) / 2
      guard let node = node(middle) else { throw PageMap.Broken(number: number) }
      if PageMap.precedes(node.key, key) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The node below which `key` lies, on a branch.
  func childIndex(for key: UnsafeRawBufferPointer) throws(PageMap.Broken) -> Int {
    let index = try lowerBound(key, from: 1)
    guard index < count else { return count - 1 }
    guard let node = node(index) else { throw PageMap.Broken(number: number) }
    // A separator is the first key that may lie behind it.
    return PageMap.precedes(key, node.key) ? index - 1 : index
  }

  /// The page below a node of a branch.
  func child(_ index: Int) throws(PageMap.Broken) -> UInt64 {
    guard let node = node(index), case .child(let number) = node.content else {
      throw PageMap.Broken(number: number)
    }
    return number
  }
}
