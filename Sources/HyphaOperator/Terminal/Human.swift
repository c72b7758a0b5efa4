/// Numbers as people read them.
public enum Human {
  /// So many of something that has a regular plural: `1 log`, `51,712 logs`.
  public static func count(_ value: some BinaryInteger, _ noun: String) -> String {
    "\(count(value)) \(noun)\(value == 1 ? "" : "s")"
  }

  /// An integer with thousands separators: `51,712`.
  public static func count(_ value: some BinaryInteger) -> String {
    let digits = String(value.magnitude)
    var result = ""
    for (offset, digit) in digits.enumerated() {
      if offset > 0, (digits.count - offset).isMultiple(of: 3) { result.append(",") }
      result.append(digit)
    }
    return value < 0 ? "-" + result : result
  }

  /// A decimal number with `digits` places, 0 to 9, and thousands separators: `1,204.50`.
  public static func decimal(_ value: Double, digits: Int) -> String {
    decimal(value, digits: digits, separated: true)
  }

  /// A duration with a unit that suits it: `850 ns`, `350 µs`, `1.2 ms`, `3.4 s`, `2 m 05 s`, `1 h 30 m`, `3 d 4 h`.
  public static func duration(_ value: Duration) -> String {
    if value < .zero { return "-" + duration(.zero - value) }
    let seconds = value / .seconds(1)
    if seconds < 59.95 {
      let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)]
      if seconds == 0 { return "0 s" }
      return scaled(seconds, units)
    }
    let whole = Int(seconds.rounded())
    if whole < 3600 { return "\(whole / 60) m \(twoDigits(whole % 60)) s" }
    if whole < 86_400 { return "\(whole / 3600) h \(twoDigits(whole % 3600 / 60)) m" }
    return "\(count(whole / 86_400)) d \(whole % 86_400 / 3600) h"
  }

  /// A size in binary units: `512 B`, `3.4 MiB`, `64 MiB`.
  public static func bytes(_ byteCount: some BinaryInteger) -> String {
    if byteCount < 0 { return "-" + bytes(byteCount.magnitude) }
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].enumerated().map { index, name in
      (name, Double(UInt64(1) << UInt64(10 * index)))
    }
    return scaled(Double(byteCount), units, limit: 1024)
  }

  /// Events, or anything else, a second, or what they are too few for: `840 /s`, `12.3 k/s`, `1.5 M/s`, `4.5 /h`, `1.7 /d`.
  public static func rate(_ perSecond: Double) -> String {
    guard perSecond.isFinite else { return "–" }
    if perSecond < 0 { return "-" + rate(-perSecond) }
    if perSecond > 0, perSecond < 0.05 {
      let isHourly = perSecond * 3600 >= 1
      return isHourly ? scaled(perSecond * 3600, [("/h", 1)]) : scaled(perSecond * 86_400, [("/d", 1)])
    }
    return scaled(perSecond, [("/s", 1), ("k/s", 1e3), ("M/s", 1e6), ("G/s", 1e9)])
  }

  /// `value` in the largest unit of which it holds one, with a decimal place below 100 unless it is whole.
  private static func scaled(_ value: Double, _ units: [(name: String, size: Double)], limit: Double = 1000)
    -> String
  {
    var index = units.lastIndex { value >= $0.size } ?? 0
    // 999.96 ms would round to 1000 ms: that is 1.0 s.
    if index + 1 < units.count, value / units[index].size >= limit - 0.5 { index += 1 }
    let number = value / units[index].size
    let digits = number == number.rounded() || number >= 99.95 ? 0 : 1
    return "\(decimal(number, digits: digits)) \(units[index].name)"
  }

  private static func twoDigits(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

  /// As ``decimal(_:digits:)``; JSON has no thousands separators.
  static func decimal(_ value: Double, digits: Int, separated: Bool) -> String {
    precondition((0...9).contains(digits), "digits is \(digits); give 0 to 9")
    let factor = (0..<digits).reduce(1.0) { factor, _ in factor * 10 }
    guard value.isFinite else { return value.isNaN ? "–" : value < 0 ? "-∞" : "∞" }
    guard abs(value) * factor < 9e15 else { return "\(value)" }
    let scaled = Int((abs(value) * factor).rounded())
    let (whole, fraction) = scaled.quotientAndRemainder(dividingBy: Int(factor))
    let places = String(fraction)
    let tail = digits == 0 ? "" : "." + String(repeating: "0", count: digits - places.count) + places
    let sign = value < 0 && scaled != 0 ? "-" : ""
    return sign + (separated ? count(whole) : "\(whole)") + tail
  }
}
