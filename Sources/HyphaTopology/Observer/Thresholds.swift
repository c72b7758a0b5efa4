/// How much evidence a first link needs, learned for each group of possible links from what came after.
///
/// A level is a share of the charge. For each, the table counts the items whose total passed it, and the hops
/// that were saved, or would have been, after they had. A group keeps its default level until a higher one has
/// shown itself better by a margin; it never goes lower, because what little traffic tells about a possible
/// link is not worth a change.
struct Thresholds: Sendable, Codable {
  /// The levels in tenths of the charge.
  static let levels: [Int64] = [7, 10, 14, 20, 30]
  /// The groups: links of agents at distances 2, 4, and 6 or more, and the other kinds.
  static let groupCount = 6
  /// By how many charges a higher level has to be better.
  private static let marginInCharges: Int64 = 40

  private let charge: Int64
  /// Hops saved past a level, and items that passed it, at `group × levels + level`.
  private var savedAfter = [Int64](repeating: 0, count: groupCount * levels.count)
  private var passedCount = [Int64](repeating: 0, count: groupCount * levels.count)

  init(charge: Int64) { self.charge = charge }

  /// The group of links of `kind` over `distance` edges of the tree.
  static func group(_ kind: LinkKind, distance: Int) -> UInt8 {
    switch kind {
    case .agents: distance <= 2 ? 0 : distance <= 4 ? 1 : 2
    case .supervisors: 3
    case .agentAndSupervisor: 4
    case .agentAndRoot: 5
    }
  }

  private static func defaultLevel(_ group: UInt8) -> Int { group < 4 ? 0 : 2 }

  /// Takes a gain of `gain` hops by an item whose total was `before`.
  mutating func note(_ group: UInt8, gain: Int64, totalBefore before: Int64) {
    let base = Int(group) * Self.levels.count
    for (place, level) in Self.levels.enumerated() {
      if before * 10 >= level * charge {
        savedAfter[base + place] += gain
      } else if (before + gain) * 10 >= level * charge {
        passedCount[base + place] += 1
      }
    }
  }

  /// The least weight that a first link of `group` needs whatever was learned.
  func floor(_ group: UInt8) -> Int64 { weight(Self.defaultLevel(group)) }

  /// The weight that a first link of `group` needs.
  func threshold(_ group: UInt8) -> Int64 {
    let standard = Self.defaultLevel(group)
    var (best, bestWorth) = (standard, worth(group, standard) + 8 * Self.marginInCharges * charge)
    for level in Self.levels.indices where level > standard {
      let worth = worth(group, level)
      if worth > bestWorth { (best, bestWorth) = (level, worth) }
    }
    return weight(best)
  }

  /// Eight times what linking at `level` would have brought, at seven eighths of a charge an item.
  private func worth(_ group: UInt8, _ level: Int) -> Int64 {
    let place = Int(group) * Self.levels.count + level
    return 8 * savedAfter[place] - 7 * charge * passedCount[place]
  }

  private func weight(_ level: Int) -> Int64 { Self.levels[level] * charge * Decay.one / 10 }
}
