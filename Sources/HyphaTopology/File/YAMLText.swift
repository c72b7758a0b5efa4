import HyphaCore

/// Values as YAML on one line: plain where nothing can be misread, otherwise in double quotes.
enum YAMLText {
  /// The longest key that goes before its colon without `? `. The limit of YAML is 1,024 characters of
  /// the quoted form, and an escape takes up to 10 for a byte.
  static let keyByteCountMax = 100

  /// A text that reads back as the same text, whatever it has.
  static func scalar(_ text: String) -> String { isPlain(text) ? text : quoted(text) }

  /// A value of settings in flow style, members sorted by name.
  static func flow(_ value: JSONValue, of owner: String, depth: Int = 0) throws -> String {
    guard depth <= TopologyWriter.settingsDepthMax else {
      throw HyphaError(
        .invalidTopology,
        "the settings of \(owner) are nested deeper than \(TopologyWriter.settingsDepthMax)",
        remedy: "flatten them, or put them in a file of their own")
    }
    switch value {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .integer(let value): return "\(value)"
    case .unsigned(let value): return "\(value)"
    case .number(let value):
      guard value.isFinite else {
        throw HyphaError(
          .invalidTopology, "the settings of \(owner) have the number \(value)", remedy: "use a finite number"
        )
      }
      return "\(value)"
    case .string(let text): return scalar(text)
    case .array(let elements):
      return "[\(try elements.map { try flow($0, of: owner, depth: depth + 1) }.joined(separator: ", "))]"
    case .object(let members):
      let parts = try members.sorted { $0.key < $1.key }.map { name, value in
        let isLong = name.utf8.count > keyByteCountMax
        return "\(isLong ? "? " : "")\(scalar(name)): \(try flow(value, of: owner, depth: depth + 1))"
      }
      return "{\(parts.joined(separator: ", "))}"
    }
  }

  /// `text` with what YAML does not allow to stand raw, not even in a comment, replaced.
  static func withoutControls(_ text: Substring) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      result.unicodeScalars.append(mustBeEscaped(scalar) ? "\u{FFFD}" : scalar)
    }
    return result
  }

  /// Letters, digits, `_`, `-`, `.` and `/`, from a letter on, and no word that means something else.
  /// Narrower than what YAML allows, so that no rule of any version of it is missed.
  private static func isPlain(_ text: String) -> Bool {
    guard let first = text.utf8.first, isLetter(first), text.utf8.count <= 127 else { return false }
    let marks = "_-./".utf8
    guard text.utf8.allSatisfy({ isLetter($0) || (0x30...0x39).contains($0) || marks.contains($0) }) else {
      return false
    }
    return !["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(text.lowercased())
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
      || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      case _ where mustBeEscaped(scalar):
        let digits = String(scalar.value, radix: 16, uppercase: true)
        let (letter, width) = scalar.value <= 0xFF ? ("x", 2) : scalar.value <= 0xFFFF ? ("u", 4) : ("U", 8)
        result += "\\\(letter)\(String(repeating: "0", count: width - digits.count))\(digits)"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// What is not printable in YAML 1.2.2, section 5.1, or is a line break or a byte order mark.
  private static func mustBeEscaped(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF: true
    default: false
    }
  }
}
