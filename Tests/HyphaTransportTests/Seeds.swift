import Foundation

/// The seeds that a randomised test runs: `HYPHA_SEED` names the one to run again, `HYPHA_SEEDS` how many.
enum Seeds {
  static func all(defaultCount: Int) -> [UInt64] {
    let environment = ProcessInfo.processInfo.environment
    if let seed = environment["HYPHA_SEED"].flatMap(UInt64.init) { return [seed] }
    let count = environment["HYPHA_SEEDS"].flatMap(Int.init) ?? defaultCount
    return (0..<count).map { UInt64($0) + 1 }
  }
}
