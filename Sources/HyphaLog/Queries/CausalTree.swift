public import HyphaCore

/// An event with all that followed from it.
public struct CausalTree: Hashable, Sendable {
  /// One event of the tree.
  public struct Node: Hashable, Sendable {
    /// The event as it stands in the log.
    public let entry: LogEntry
    /// How many steps it is from the root.
    public let depth: Int
    /// The place of its cause among the nodes; nil for the root.
    public let parent: Int?
  }

  /// The events, each behind its cause and before what its later siblings caused; siblings in the log's order. Empty
  /// where the log does not have the root.
  public let nodes: [Node]
  /// Whether nothing was left out because of the limit.
  public let isComplete: Bool
}

extension LogReader {
  /// The event `root` with all that followed from it, up to `limit` events, those of fewer steps first.
  ///
  /// With an index the cost is that of the events found; without one each step away from the root is a scan of the log.
  /// Memory is bounded by `limit`, and each page of the work by `limits`.
  ///
  /// - Throws: what ``page(of:after:limits:)`` throws.
  public func causalTree(
    of root: EventID, limit: Int = 10_000, limits: LogPageLimits = .standard
  ) throws -> CausalTree {
    guard limit > 0, let first = try entry(withID: root) else {
      return CausalTree(nodes: [], isComplete: limit > 0)
    }
    var growth = TreeGrowth(root: first, limit: limit)
    while let causes = growth.nextCauses() {
      let query = LogQuery.effects(of: causes)
      var cursor: LogCursor?
      repeat {
        let page = try page(of: query, after: cursor, limits: limits)
        for entry in page.entries { growth.add(entry) }
        cursor = page.next
      } while cursor != nil && !growth.isCut
    }
    return growth.tree
  }
}

/// Collects a tree step by step, then puts it in order. Pure.
private struct TreeGrowth {
  private var found: [(entry: LogEntry, depth: Int, parent: Int?)]
  /// Where each event stands in `found`; also what keeps a circle of false causes from going on for ever.
  private var places: [EventID: Int]
  private var effects: [[Int]] = [[]]
  private var askedCount = 0
  private let limit: Int
  private(set) var isCut = false

  init(root: LogEntry, limit: Int) {
    found = [(root, 0, nil)]
    places = [root.record.id: 0]
    self.limit = limit
  }

  /// The events whose effects were not asked for yet; nil when there are none.
  mutating func nextCauses() -> [EventID]? {
    guard !isCut, askedCount < found.count else { return nil }
    let asked = found[askedCount...].prefix(LogQuery.causeCountMax)
    askedCount += asked.count
    return asked.map(\.entry.record.id)
  }

  mutating func add(_ entry: LogEntry) {
    let header = entry.record.header
    guard let parent = places[header.causation], places[header.id] == nil else { return }
    guard found.count < limit else {
      isCut = true
      return
    }
    places[header.id] = found.count
    effects[parent].append(found.count)
    effects.append([])
    found.append((entry, found[parent].depth + 1, parent))
  }

  /// The nodes in depth-first order.
  var tree: CausalTree {
    var nodes: [CausalTree.Node] = []
    var placesInTree = [Int](repeating: 0, count: found.count)
    var waiting = [0]
    while let next = waiting.popLast() {
      let (entry, depth, parent) = found[next]
      placesInTree[next] = nodes.count
      nodes.append(.init(entry: entry, depth: depth, parent: parent.map { placesInTree[$0] }))
      let inOrder = effects[next].sorted { found[$0].entry.position < found[$1].entry.position }
      waiting += inOrder.reversed()
    }
    return CausalTree(nodes: nodes, isComplete: !isCut)
  }
}
