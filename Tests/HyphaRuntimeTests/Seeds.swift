import Foundation

/// The seeds of a randomised test: `1...count`, as many as `HYPHA_SEEDS` says, or the one in `HYPHA_SEED`.
/// A failed expectation prints its seed.
func seeds(_ count: UInt64) -> [UInt64] {
  let environment = ProcessInfo.processInfo.environment
  if let seed = environment["HYPHA_SEED"].flatMap(UInt64.init) { return [seed] }
  let count = environment["HYPHA_SEEDS"].flatMap(UInt64.init) ?? count
  let first = environment["HYPHA_FIRST_SEED"].flatMap(UInt64.init) ?? 1
  return (first..<first + count).map { $0 }
}

/// Every `of`th of these seeds from `part` on: so that parts of a test can run at the same time.
func seeds(_ count: UInt64, part: Int, of parts: Int) -> [UInt64] {
  seeds(count).enumerated().filter { $0.offset % parts == part }.map(\.element)
}
