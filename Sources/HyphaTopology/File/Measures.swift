import HyphaCore

/// Sizes in bytes as people write them: `64GiB`, `1.5 TB`, `4096`.
enum ByteCountText {
  /// What a log may be sized to: from 1 MiB to 64 TiB, half of what a process can address.
  static let mapRange: ClosedRange<UInt64> = (1 << 20)...(64 << 40)
  /// From which size on a payload may lie beside the log: below 1 KiB a file for each would cost more than it saves, and a
  /// commit group has 8 MiB.
  static let inlinePayloadRange: ClosedRange<UInt64> = (1 << 10)...(1 << 20)

  private static let units: [(name: String, byteCount: UInt64)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1), ("", 1),
  ]

  /// The size that `text` spells: a whole number, or one with up to three decimals, and a unit; nil for
  /// anything else, for a fraction of a byte, and beyond 64 bits.
  static func parse(_ text: String) -> UInt64? {
    let number = text.prefix { ("0"..."9").contains($0) || $0 == "." }
    let unit = text.dropFirst(number.count).drop { $0 == " " }
    guard
      let factor = units.first(where: { $0.name.lowercased() == unit.lowercased() })?.byteCount
    else { return nil }
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let whole = UInt64(parts[0]) else { return nil }
    let (bytes, overflow) = whole.multipliedReportingOverflow(by: factor)
    guard !overflow else { return nil }
    guard parts.count == 2 else { return bytes }
    guard (1...3).contains(parts[1].utf8.count), let fraction = UInt64(parts[1]) else { return nil }
    let denominator: UInt64 = [10, 100, 1000][parts[1].utf8.count - 1]
    // At most 999 × 2⁴⁰: no overflow.
    guard (fraction * factor).isMultiple(of: denominator) else { return nil }
    let (sum, tooMuch) = bytes.addingReportingOverflow(fraction * factor / denominator)
    return tooMuch ? nil : sum
  }

  /// The size in the largest binary unit that divides it.
  static func text(_ byteCount: UInt64) -> String {
    let unit = units.prefix(4).first { byteCount != 0 && byteCount.isMultiple(of: $0.byteCount) }
    return "\(byteCount / (unit?.byteCount ?? 1))\(unit?.name ?? "B")"
  }
}
