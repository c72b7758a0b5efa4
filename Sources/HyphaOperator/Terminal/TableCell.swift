extension Table {
  /// A value of a row, with how to show it.
  public enum Cell: Sendable {
    /// Text; `null` has no meaning of its own in it.
    case string(String, Style.Paint = .plain)
    /// A whole number: `51,712`.
    case integer(Int)
    /// A whole number that stands out.
    case count(Int, Style.Paint)
    /// A number with `digits` decimal places, and a unit for people only: `12.5 %`.
    case double(Double, digits: Int = 1, unit: String = "")
    /// A duration: `1.2 ms`; in JSON in seconds.
    case duration(Duration)
    /// A size: `3.4 MiB`; in JSON in bytes.
    case bytes(Int)
    /// A number each second: `12.3 k/s`.
    case rate(Double)
    /// `yes` or `no`; a JSON boolean.
    case bool(Bool)
    /// No value: `–`; in JSON null.
    case none

    /// Text, or ``none`` for nil.
    public static func optional(_ text: String?) -> Cell { text.map { .string($0) } ?? .none }

    var text: String {
      switch self {
      case .string(let text, _): text
      case .integer(let value), .count(let value, _): Human.count(value)
      case .double(let value, let digits, let unit):
        Human.decimal(value, digits: digits) + (unit.isEmpty ? "" : " \(unit)")
      case .duration(let value): Human.duration(value)
      case .bytes(let count): Human.bytes(count)
      case .rate(let value): Human.rate(value)
      case .bool(let value): value ? "yes" : "no"
      case .none: "–"
      }
    }

    var json: String {
      switch self {
      case .string(let text, _): jsonString(text)
      case .integer(let value), .count(let value, _), .bytes(let value): "\(value)"
      case .double(let value, let digits, _):
        value.isFinite ? Human.decimal(value, digits: digits, separated: false) : "null"
      case .rate(let value): value.isFinite ? "\(value)" : "null"
      case .duration(let value): "\(value / .seconds(1))"
      case .bool(let value): "\(value)"
      case .none: "null"
      }
    }

    var paint: Style.Paint {
      switch self {
      case .string(_, let paint), .count(_, let paint): paint
      case .none: .dim
      default: .plain
      }
    }

    var isNumeric: Bool {
      switch self {
      case .integer, .count, .double, .duration, .bytes, .rate: true
      case .string, .bool, .none: false
      }
    }

    var isNone: Bool { if case .none = self { true } else { false } }
  }
}

/// `text` as a JSON string (RFC 8259, section 7).
func jsonString(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\r": result += "\\r"
    case "\t": result += "\\t"
    case "\u{0}"..<" ", "\u{7F}"..<"\u{A0}":
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
