/// Values with a unit: durations as `250ms` and sizes as `64MiB`.

extension Duration: ExpressibleByArgument {
  private static let units: [(name: String, nanoseconds: Int64)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
    ("ms", 1_000_000), ("us", 1000), ("µs", 1000), ("ns", 1),
  ]

  /// A number with a unit, or several in a row: `250ms`, `1.5s`, `2m`, `1h30m`. Units are d, h, m, s, ms,
  /// us and ns; 0 needs none. Negative durations are refused.
  public init?(argument: String) {
    if argument == "0" {
      self = .zero
      return
    }
    var rest = Substring(argument)
    var total: Double = 0
    repeat {
      guard let (number, unit) = splitMeasure(&rest),
        let factor = Self.units.first(where: { $0.name == unit })?.nanoseconds
      else { return nil }
      total += number * Double(factor)
    } while !rest.isEmpty
    guard total < Double(Int64.max) else { return nil }
    self = .nanoseconds(Int64(total.rounded()))
  }

  /// What fits.
  public static var argumentDescription: String { "a duration such as 250ms, 3s, 2m, 1h or 30d" }

  /// The duration in the largest unit that divides it, `250ms`.
  public var argumentText: String {
    let (seconds, attoseconds) = components
    guard seconds < Int64.max / 1_000_000_000 else { return "\(seconds)s" }
    let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    guard nanoseconds != 0 else { return "0s" }
    let unit = Self.units.first { nanoseconds.isMultiple(of: $0.nanoseconds) }
    return "\(nanoseconds / (unit?.nanoseconds ?? 1))\(unit?.name ?? "ns")"
  }
}

/// How many of something a person wants: a whole number, `minimum` or more.
public struct AtLeast<let minimum: Int>: ExpressibleByArgument, ExpressibleByIntegerLiteral, Hashable,
  Sendable
{
  /// The number.
  public let value: Int

  /// The number `argument` spells, where that is as much as is needed; `_` may separate thousands.
  public init?(argument: String) {
    guard let value = Int(argument: argument), value >= minimum else { return nil }
    self.value = value
  }

  /// A number for a default; at least `minimum`.
  public init(integerLiteral value: Int) {
    precondition(value >= minimum, "\(value) is less than \(minimum)")
    self.value = value
  }

  /// What fits.
  public static var argumentDescription: String { "a whole number, \(minimum) or more" }

  /// The number.
  public var argumentText: String { "\(value)" }
}

/// A number of bytes that the command line spells as `64MiB`.
public struct ByteSize: ExpressibleByArgument, ExpressibleByIntegerLiteral, Hashable, Sendable {
  private static let units: [(name: String, byteCount: Int)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1),
  ]

  /// The number of bytes, 0 or more.
  public let byteCount: Int

  /// A size of `byteCount` bytes.
  public init(byteCount: Int) { self.byteCount = byteCount }

  /// A size in bytes.
  public init(integerLiteral value: Int) { self.init(byteCount: value) }

  /// A size of `count` × 2²⁰ bytes.
  public static func mebibytes(_ count: Int) -> ByteSize { ByteSize(byteCount: count << 20) }

  /// A size of `count` × 2³⁰ bytes.
  public static func gibibytes(_ count: Int) -> ByteSize { ByteSize(byteCount: count << 30) }

  /// A number with a unit, binary (KiB, MiB, GiB, TiB) or decimal (kB, MB, GB, TB); without one, bytes.
  public init?(argument: String) {
    var rest = Substring(argument)
    guard let (number, name) = splitMeasure(&rest), rest.isEmpty else { return nil }
    let unit = name.isEmpty ? 1 : Self.units.first { $0.name.lowercased() == name.lowercased() }?.byteCount
    guard let unit, case let total = number * Double(unit), total < Double(Int.max) else { return nil }
    byteCount = Int(total.rounded())
  }

  /// What fits.
  public static var argumentDescription: String { "a size such as 512KiB, 64MiB or 2GiB" }

  /// The size in the largest binary unit that divides it, `64MiB`.
  public var argumentText: String {
    let unit = Self.units.first {
      $0.byteCount & ($0.byteCount - 1) == 0 && byteCount.isMultiple(of: $0.byteCount)
    }
    guard byteCount != 0, let unit else { return "\(byteCount)B" }
    return "\(byteCount / unit.byteCount)\(unit.name)"
  }
}

/// Takes `12.5ms` off the front of `text`: the number and the letters after it.
private func splitMeasure(_ text: inout Substring) -> (number: Double, unit: Substring)? {
  let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." || $0 == "_" }
  guard let number = Double(digits.filter { $0 != "_" }) else { return nil }
  text = text.dropFirst(digits.count)
  let unit = text.prefix { $0.isLetter }
  text = text.dropFirst(unit.count)
  return (number, unit)
}
