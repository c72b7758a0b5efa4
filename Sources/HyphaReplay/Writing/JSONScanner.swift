/// Checks that bytes are one JSON value (RFC 8259), and copies them without the white space between tokens: about a
/// nanosecond a byte, where making a value of them and writing that takes a hundred.
struct JSONScanner {
  private let bytes: UnsafeRawBufferPointer
  private var place = 0

  /// Deeper than this is refused: a payload that nests so far is no data.
  static let depthMax = 512

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Whether the bytes are one value; then `output` has it. Else `output` has a part of it.
  mutating func scan(into output: inout [UInt8]) -> Bool {
    // A bit for each open bracket: whether it is an object's.
    var isObject: [Bool] = []
    var wantsValue = true
    while true {
      skipSpace()
      if wantsValue {
        guard place < bytes.count else { return false }
        switch bytes[place] {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          let opensObject = bytes[place] == UInt8(ascii: "{")
          guard isObject.count < Self.depthMax else { return false }
          take(into: &output)
          skipSpace()
          if place < bytes.count, bytes[place] == UInt8(ascii: opensObject ? "}" : "]") {
            take(into: &output)
            wantsValue = false
          } else {
            isObject.append(opensObject)
            if opensObject, !scanName(into: &output) { return false }
          }
        case UInt8(ascii: "\""):
          guard scanString(into: &output) else { return false }
          wantsValue = false
        default:
          guard scanWord(into: &output) else { return false }
          wantsValue = false
        }
      } else if let opensObject = isObject.last {
        guard place < bytes.count else { return false }
        switch bytes[place] {
        case UInt8(ascii: ","):
          take(into: &output)
          if opensObject, !scanName(into: &output) { return false }
          wantsValue = true
        case UInt8(ascii: opensObject ? "}" : "]"):
          take(into: &output)
          isObject.removeLast()
        default: return false
        }
      } else {
        return place == bytes.count
      }
    }
  }

  private mutating func take(into output: inout [UInt8]) {
    output.append(bytes[place])
    place += 1
  }

  private mutating func skipSpace() {
    while place < bytes.count, bytes[place] <= 0x20 {
      switch bytes[place] {
      case 0x20, 0x0A, 0x0D, 0x09: place += 1
      default: return
      }
    }
  }

  private mutating func scanName(into output: inout [UInt8]) -> Bool {
    skipSpace()
    guard place < bytes.count, bytes[place] == UInt8(ascii: "\""), scanString(into: &output) else {
      return false
    }
    skipSpace()
    guard place < bytes.count, bytes[place] == UInt8(ascii: ":") else { return false }
    take(into: &output)
    return true
  }

  private mutating func scanString(into output: inout [UInt8]) -> Bool {
    let start = place
    var isASCII = true
    place += 1
    while place < bytes.count {
      let byte = bytes[place]
      if byte == UInt8(ascii: "\"") {
        place += 1
        let text = UnsafeRawBufferPointer(rebasing: bytes[start..<place])
        if !isASCII, String(validating: text, as: UTF8.self) == nil { return false }
        output.append(contentsOf: text)
        return true
      }
      if byte < 0x20 { return false }
      if byte >= 0x80 { isASCII = false }
      if byte == UInt8(ascii: "\\") {
        place += 1
        guard place < bytes.count, skipEscape() else { return false }
      }
      place += 1
    }
    return false
  }

  /// Stands at the letter behind the backslash; leaves at the last byte of the escape.
  private mutating func skipEscape() -> Bool {
    switch bytes[place] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return true
    case UInt8(ascii: "u"):
      guard place + 4 < bytes.count else { return false }
      for offset in 1...4 where !Self.isHexDigit(bytes[place + offset]) { return false }
      place += 4
      return true
    default: return false
    }
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "A")...UInt8(ascii: "F"):
      true
    default: false
    }
  }

  /// A number, `true`, `false` or `null`.
  private mutating func scanWord(into output: inout [UInt8]) -> Bool {
    let start = place
    switch bytes[place] {
    case UInt8(ascii: "t"): guard take("true") else { return false }
    case UInt8(ascii: "f"): guard take("false") else { return false }
    case UInt8(ascii: "n"): guard take("null") else { return false }
    default: guard skipNumber() else { return false }
    }
    output.append(contentsOf: bytes[start..<place])
    return true
  }

  private mutating func take(_ word: StaticString) -> Bool {
    word.withUTF8Buffer { word in
      guard place + word.count <= bytes.count else { return false }
      for index in 0..<word.count where bytes[place + index] != word[index] { return false }
      place += word.count
      return true
    }
  }

  private mutating func skipNumber() -> Bool {
    if place < bytes.count, bytes[place] == UInt8(ascii: "-") { place += 1 }
    let start = place
    guard skipDigits() else { return false }
    // No number but 0 begins with a 0.
    if bytes[start] == UInt8(ascii: "0"), place - start > 1 { return false }
    if place < bytes.count, bytes[place] == UInt8(ascii: ".") {
      place += 1
      guard skipDigits() else { return false }
    }
    if place < bytes.count, bytes[place] | 0x20 == UInt8(ascii: "e") {
      place += 1
      if place < bytes.count, bytes[place] == UInt8(ascii: "+") || bytes[place] == UInt8(ascii: "-") {
        place += 1
      }
      guard skipDigits() else { return false }
    }
    return true
  }

  private mutating func skipDigits() -> Bool {
    let start = place
    while place < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place]) { place += 1 }
    return place > start
  }
}
