import HyphaCore
import HyphaLog

/// Makes one run of up to 16 that follow each other.
///
/// The terms come out of a tournament of the sources: a tree of minima, four steps from leaf to root, each without a
/// branch. Lists are lengthened as bytes.
enum RunMerger {
  /// The most runs that are merged at once.
  static let sourceCountMax = 16
  private static let exhausted = UInt64.max

  /// Collects in `writer` what `sources` hold, which must follow each other.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when a source is damaged: all of it is checked.
  static func merge(_ sources: [RunView], into writer: RunWriter) throws {
    precondition((1...sourceCountMax).contains(sources.count), "1 to 16 runs are merged")
    var spanCount = 0
    var bases: [UInt32] = []
    var checked: [RunView] = []
    for source in sources {
      let isNext = checked.last.map { $0.last.next == source.first } ?? true
      guard isNext, spanCount + source.spanCount <= RunLayout.spanCountMax else {
        throw RunLayout.damaged(source.first, "does not follow the one before it")
      }
      checked.append(try source.checked())
      bases.append(UInt32(spanCount))
      spanCount += source.spanCount
    }
    writer.begin(first: sources[0].first, spanCount: spanCount)
    try withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * sourceCountMax) { tree in
      try withUnsafeTemporaryAllocation(of: Int.self, capacity: sourceCountMax) { rows in
        rows.initialize(repeating: 0)
        // Room that is not empty has an address.
        try run(checked, bases, tree.baseAddress!, rows.baseAddress!, writer)
      }
    }
  }

  /// Each leaf is the source's next term, times 16, plus its number.
  private static func run(
    _ sources: [RunView], _ bases: [UInt32], _ tree: UnsafeMutablePointer<UInt64>,
    _ rows: UnsafeMutablePointer<Int>, _ writer: RunWriter
  ) throws {
    tree[0] = exhausted
    for leaf in 0..<sourceCountMax {
      let hasRow = leaf < sources.count && sources[leaf].rowCount > 0
      tree[sourceCountMax + leaf] = hasRow ? sources[leaf].term(at: 0) << 4 | UInt64(leaf) : exhausted
    }
    for node in (1..<sourceCountMax).reversed() { tree[node] = min(tree[2 * node], tree[2 * node + 1]) }
    try sources.withUnsafeBufferPointer { sources in
      /// Takes the winner's row, and lets the source's next one into the tournament.
      func takeRow(_ winner: UInt64) throws -> (leaf: Int, row: Int) {
        let leaf = Int(truncatingIfNeeded: winner & 15)
        let row = rows[leaf]
        rows[leaf] = row + 1
        let isOver = row + 1 == sources[leaf].rowCount
        let replacement = isOver ? exhausted : sources[leaf].term(at: row + 1) << 4 | UInt64(leaf)
        guard replacement > winner else {
          throw RunLayout.damaged(sources[leaf].first, "has rows that do not ascend")
        }
        var node = sourceCountMax + leaf
        tree[node] = replacement
        while node > 1 {
          node /= 2
          tree[node] = min(tree[2 * node], tree[2 * node + 1])
        }
        return (leaf, row)
      }
      while tree[1] != exhausted {
        let term = tree[1] >> 4
        var (leaf, row) = try takeRow(tree[1])
        // Most terms are ids that one event has.
        let isAlone = tree[1] >> 4 != term
        if isAlone, let single = try sources[leaf].single(atRow: row) {
          writer.add(term, single: single + bases[leaf] << 2)
          continue
        }
        let list = try sources[leaf].list(atRow: row)
        if isAlone, try writer.add(term, copying: list, base: bases[leaf]) { continue }
        writer.beginTerm(term)
        try writer.add(list, base: bases[leaf])
        while tree[1] >> 4 == term {
          (leaf, row) = try takeRow(tree[1])
          try writer.add(sources[leaf].list(atRow: row), base: bases[leaf])
        }
        writer.endTerm()
      }
    }
  }
}
