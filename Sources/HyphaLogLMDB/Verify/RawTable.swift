import HyphaCore
import HyphaLog

/// What is left of one small table, as one commit left it, read page by page from a damaged file.
///
/// Each row is checked by its CRC. Rows come in the order of their keys, so a row that is lost lies between two that are
/// there: of any key it is known whether it was there, but for those.
struct RawTable {
  /// The rows that are whole, by their keys.
  private(set) var rows: [[UInt8]: [UInt8]] = [:]
  /// Between which keys rows may be lost; nil is before the first, or behind the last.
  private var losses: [(low: [UInt8]?, high: [UInt8]?)] = []

  /// Whether all of it is there.
  var isComplete: Bool { losses.isEmpty }

  /// Whether it is known that the table has this key, or that it has not.
  func knows(_ key: [UInt8]) -> Bool {
    if rows[key] != nil { return true }
    return !losses.contains { low, high in
      (low.map { TableLayout.precedes($0, key) } ?? true)
        && (high.map { TableLayout.precedes(key, $0) } ?? true)
    }
  }

  /// Reads the table `name` whose tree this is; nil where the tree itself is lost.
  init(_ tree: TreeRecord?, name: String, in file: RawFile) {
    var walk = Walk(file: file, name: name)
    guard let tree, tree.isEmpty || (1...TreeRecord.depthMax).contains(tree.depth) else {
      losses = [(nil, nil)]
      return
    }
    if !tree.isEmpty { walk.visit(tree.root, depth: tree.depth) }
    walk.end()
    (rows, losses) = (walk.rows, walk.losses)
    // A page that says of itself that it has less than it had is found by the count.
    if losses.isEmpty, tree.entryCount != UInt64(rows.count) { losses = [(nil, nil)] }
  }

  /// A walk along a tree in the order of its keys.
  private struct Walk {
    let file: RawFile
    let name: String
    var rows: [[UInt8]: [UInt8]] = [:]
    var losses: [(low: [UInt8]?, high: [UInt8]?)] = []
    private var last: [UInt8]?
    private var hasLost = false
    /// A damaged page may lead to any other; each is looked at once.
    private var seen: Set<UInt64> = []

    init(file: RawFile, name: String) {
      self.file = file
      self.name = name
    }

    mutating func visit(_ number: UInt64, depth: Int) {
      let size = BlockScan.pageByteCount
      guard number >= 2, number < UInt64(file.byteCount / size), seen.insert(number).inserted else {
        hasLost = true
        return
      }
      file.bytes(at: Int(number) * size, count: size).withUnsafeBytes { bytes in
        guard let page = TreePage(bytes, number: number, isLeaf: depth == 1) else {
          hasLost = true
          return
        }
        for index in 0..<page.count {
          switch page.node(index).map({ ($0.key, $0.content) }) {
          case (_, .child(let child))?: visit(child, depth: depth - 1)
          case (let key, .value(let value))?: take(Array(key), Array(value))
          case (let key, .apart(let first, let byteCount))?:
            take(Array(key), apart(first, byteCount: byteCount))
          case (_, .table)?, nil: hasLost = true
          }
        }
      }
    }

    mutating func end() {
      if hasLost { losses.append((last, nil)) }
    }

    private mutating func take(_ key: [UInt8], _ value: [UInt8]) {
      let isWhole = key.withUnsafeBytes { key in
        value.withUnsafeBytes { (try? TableLayout.unseal($0, key: key, table: name)) != nil }
      }
      guard isWhole, last.map({ TableLayout.precedes($0, key) }) ?? true else {
        hasLost = true
        return
      }
      if hasLost { losses.append((last, key)) }
      (hasLost, last) = (false, key)
      rows[key] = value
    }

    /// A value on pages of its own; nothing where there is none.
    private func apart(_ first: UInt64, byteCount: Int) -> [UInt8] {
      let begin = first.multipliedReportingOverflow(by: UInt64(BlockScan.pageByteCount))
      guard !begin.overflow, begin.partialValue < UInt64(file.byteCount) else { return [] }
      return file.bytes(at: Int(begin.partialValue) + TreePage.headerByteCount, count: byteCount)
    }
  }
}
