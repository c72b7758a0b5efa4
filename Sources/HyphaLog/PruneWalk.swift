/// Which blocks one step of a prune takes, of those that it is shown, oldest first. Pure.
///
/// A step ends in front of a block that stays, since its blocks become one gap. The next one begins behind what this one
/// has looked at, so all steps together look at each block about once, however many stay.
package struct PruneWalk: Sendable {
  /// The last positions of the blocks that go.
  package private(set) var blocks: [Position] = []
  /// What they take on the disk.
  package private(set) var byteCount: UInt64 = 0
  /// The chain's link at the end of the last of them.
  package private(set) var anchor: Digest?
  /// Where the gap begins that they leave: behind the last block that stays.
  package private(set) var begin: Position
  /// How many blocks were looked at.
  package private(set) var lookCount = 0
  /// Whether there may be more to remove, in this walk or in one that begins where this one ends.
  package private(set) var goesOn = true

  private let last: Position
  private let spared: SparedPositions
  private let blockCountMax: Int

  /// More than this would keep the writer from its groups too long.
  package static let blockCountMax = 64
  package static let lookCountMax = 1_024
  private static let byteCountMax: UInt64 = 4 << 20

  /// - Parameters:
  ///   - begin: where the walk before this one ended: ``begin``; the first position for the first one.
  ///   - last: nothing behind goes.
  package init(
    from begin: Position, through last: Position, sparing spared: SparedPositions,
    blockCountMax: Int = PruneWalk.blockCountMax
  ) {
    self.begin = begin
    self.last = last
    self.spared = spared
    self.blockCountMax = blockCountMax
  }

  /// Takes the next block that is there, or passes over it; returns whether to show the next.
  package mutating func look(at range: ClosedRange<Position>, byteCount size: UInt64, link: Digest) -> Bool {
    guard range.upperBound <= last else {
      goesOn = false
      return false
    }
    guard lookCount < Self.lookCountMax else { return false }
    lookCount += 1
    if spared.hasAny(in: range) {
      guard blocks.isEmpty else { return false }
      begin = range.upperBound.next
      return true
    }
    guard blocks.count < blockCountMax, blocks.isEmpty || byteCount + size <= Self.byteCountMax else {
      return false
    }
    blocks.append(range.upperBound)
    byteCount += size
    anchor = link
    return true
  }
}

/// Positions whose blocks a prune leaves where they are. Asked in logarithmic time.
package struct SparedPositions: Hashable, Sendable {
  private let sorted: [Position]

  /// These.
  package init(_ positions: some Sequence<Position>) { sorted = positions.sorted() }

  /// Whether any of them lies in a range.
  package func hasAny(in range: ClosedRange<Position>) -> Bool {
    var (low, high) = (0, sorted.count)
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] < range.lowerBound { low = middle + 1 } else { high = middle }
    }
    return low < sorted.count && sorted[low] <= range.upperBound
  }
}
