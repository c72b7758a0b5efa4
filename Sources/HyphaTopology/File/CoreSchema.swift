import HyphaCore

/// What a plain scalar means by the core schema of YAML 1.2.2, section 10.3: `null`, `true`, `12`, `0x1F`,
/// `1.5e3`, or else text. The words of YAML 1.1 (`yes`, `on`, `1_000`) are text.
enum CoreSchema {
  static let nulls: Set<String> = ["", "~", "null", "Null", "NULL"]

  /// The value of a plain scalar, or nil for a number without a JSON form: an integer beyond 64 bits, an
  /// infinity, or not a number.
  static func value(ofPlain text: String) -> JSONValue? {
    guard text.utf8.count <= 5 || mayBeNumber(text) else { return .string(text) }
    switch text {
    case _ where nulls.contains(text): return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    case ".nan", ".NaN", ".NAN": return nil
    default: break
    }
    let digits = withoutSign(text)
    if [".inf", ".Inf", ".INF"].contains(String(digits)) { return nil }
    if let integer = integer(text, digits) { return integer }
    guard isFloat(digits) else { return .string(text) }
    guard let number = Double(text), number.isFinite else { return nil }
    return .number(number)
  }

  /// The integer that `text` spells, `.some(nil)` where it does not fit, nil where it is no integer.
  private static func integer(_ text: String, _ digits: Substring) -> JSONValue?? {
    func parse(_ digits: some StringProtocol, radix: Int) -> JSONValue? {
      Int64(digits, radix: radix).map { .integer($0) } ?? UInt64(digits, radix: radix).map { .unsigned($0) }
    }
    if text.hasPrefix("0x"), !text.dropFirst(2).isEmpty, text.dropFirst(2).utf8.allSatisfy(isHexDigit) {
      return .some(parse(text.dropFirst(2), radix: 16))
    }
    if text.hasPrefix("0o"), !text.dropFirst(2).isEmpty,
      text.dropFirst(2).utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) })
    {
      return .some(parse(text.dropFirst(2), radix: 8))
    }
    guard !digits.isEmpty, digits.utf8.allSatisfy(isDigit) else { return nil }
    return .some(parse(text, radix: 10))
  }

  /// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
  private static func isFloat(_ text: Substring) -> Bool {
    var rest = text.utf8[...]
    func takeDigits() -> Int {
      let end = rest.firstIndex { !isDigit($0) } ?? rest.endIndex
      defer { rest = rest[end...] }
      return rest.distance(from: rest.startIndex, to: end)
    }
    let whole = takeDigits()
    var fraction = 0
    if rest.first == UInt8(ascii: ".") {
      rest.removeFirst()
      fraction = takeDigits()
    }
    guard whole > 0 || fraction > 0 else { return false }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest.removeFirst()
      if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest.removeFirst() }
      guard takeDigits() > 0 else { return false }
    }
    return rest.isEmpty
  }

  private static func withoutSign(_ text: String) -> Substring {
    text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
  }

  private static func mayBeNumber(_ text: String) -> Bool {
    text.utf8.first.map {
      isDigit($0) || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "+")].contains($0)
    }
      ?? false
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
      || (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte)
  }
}
