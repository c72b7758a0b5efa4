import HyphaCore
import HyphaFormats

/// Bytes of text that grow at their end. What a log's entry has is written without a `String` for each part.
struct TextBuffer {
  private(set) var bytes: [UInt8] = []
  /// The second that was written last, as text: events come in bursts, and most of their times' digits are the same.
  private var second: (value: UInt64, text: [UInt8]) = (.max, [])

  init(capacity: Int = 128 << 10) { bytes.reserveCapacity(capacity) }

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }
  mutating func truncate(to count: Int) { bytes.removeLast(bytes.count - count) }
  mutating func append(_ byte: UInt8) { bytes.append(byte) }
  mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

  mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { bytes.append(contentsOf: $0) }
  }

  mutating func append(text: some StringProtocol) { bytes.append(contentsOf: text.utf8) }

  mutating func append(number: some UnsignedInteger) {
    var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
    withUnsafeMutableBytes(of: &digits) { digits in
      var start = digits.count
      var rest = UInt64(number)
      repeat {
        start -= 1
        digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      bytes.append(contentsOf: digits[start...])
    }
  }

  mutating func append(number: Int64) {
    if number < 0 { bytes.append(UInt8(ascii: "-")) }
    append(number: number.magnitude)
  }

  /// A UUID in lower case.
  mutating func append(_ id: EventID) {
    withUnsafeTemporaryAllocation(byteCount: 36, alignment: 1) { text in
      var end = 0
      func write(_ value: UInt64, from: Int, through: Int) {
        var shift = from
        while shift >= through {
          let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift) & 15)
          text[end] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
          end += 1
          shift -= 4
        }
      }
      func dash() {
        text[end] = UInt8(ascii: "-")
        end += 1
      }
      write(id.high, from: 60, through: 32)
      dash()
      write(id.high, from: 28, through: 16)
      dash()
      write(id.high, from: 12, through: 0)
      dash()
      write(id.low, from: 60, through: 48)
      dash()
      write(id.low, from: 44, through: 0)
      bytes.append(contentsOf: text)
    }
  }

  /// A time as RFC 3339 writes it, in UTC with microseconds.
  mutating func append(_ time: Timestamp) {
    let (value, fraction) = time.microseconds.quotientAndRemainder(dividingBy: 1_000_000)
    if value != second.value {
      // Microseconds have 52 bits, so the year is below 2113.
      let text = RecordedTime.text(Int64(value) * 1_000_000) ?? "1970-01-01T00:00:00.000000Z"
      second = (value, Array(text.utf8.prefix(20)))
    }
    bytes.append(contentsOf: second.text)
    var divisor: UInt64 = 100_000
    while divisor > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: fraction / divisor % 10))
      divisor /= 10
    }
    bytes.append(UInt8(ascii: "Z"))
  }

  /// Bytes as base64 (RFC 4648, section 4).
  mutating func appendBase64(_ payload: UnsafeRawBufferPointer) {
    var rest = payload[...]
    while !rest.isEmpty {
      let three = rest.prefix(3)
      var word: UInt32 = 0
      for index in 0..<3 {
        word = word << 8 | (index < three.count ? UInt32(three[three.startIndex + index]) : 0)
      }
      for index in 0..<4 {
        let isPadding = index > three.count
        bytes.append(isPadding ? UInt8(ascii: "=") : Self.base64[Int(word >> UInt32(18 - 6 * index) & 63)])
      }
      rest = rest.dropFirst(3)
    }
  }

  private static let base64 = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
}

// MARK: Texts of formats

extension TextBuffer {
  /// Text as a JSON string (RFC 8259, section 7), from bytes that should be UTF-8; what is not becomes U+FFFD.
  mutating func appendJSON(_ text: UnsafeRawBufferPointer) {
    bytes.append(UInt8(ascii: "\""))
    if text.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
      append(text)
    } else {
      for byte in String(decoding: text, as: UTF8.self).utf8 { appendJSONEscaped(byte) }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// Text as a JSON string.
  mutating func appendJSON(_ text: some StringProtocol) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 { appendJSONEscaped(byte) }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func appendJSONEscaped(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): append("\\\"")
    case UInt8(ascii: "\\"): append("\\\\")
    case 0x0A: append("\\n")
    case 0x0D: append("\\r")
    case 0x09: append("\\t")
    case ..<0x20, 0x7F:
      append("\\u00")
      for digit in [byte >> 4, byte & 15] {
        bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
      }
    default: bytes.append(byte)
    }
  }

  /// JSON of any origin on one line, or nothing and false where it is none.
  mutating func appendCompacted(_ json: UnsafeRawBufferPointer) -> Bool {
    let count = bytes.count
    var scanner = JSONScanner(json)
    if scanner.scan(into: &bytes) { return true }
    bytes.removeLast(bytes.count - count)
    return false
  }
}
