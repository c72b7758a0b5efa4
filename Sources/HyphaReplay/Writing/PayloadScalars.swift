import HyphaCore

/// The members of a JSON payload that are texts, numbers or truth values, in their order. What is nested, null or no object has
/// none. Numbers keep their digits.
enum PayloadScalars {
  case text(String)
  /// A whole number of 64 bits.
  case whole(String)
  /// Any other number.
  case real(String)
  case truth(Bool)

  /// Calls `body` with each; of members with one name, with the first.
  static func forEach(
    in payload: UnsafeRawBufferPointer, _ body: (_ name: String, _ scalar: PayloadScalars) -> Void
  ) {
    var compact: [UInt8] = []
    compact.reserveCapacity(payload.count)
    var scanner = JSONScanner(payload)
    guard scanner.scan(into: &compact), compact.first == UInt8(ascii: "{") else { return }
    var names: Set<String> = []
    var place = 1
    while place < compact.count - 1 {
      let nameEnd = JSONMembers.endOfValue(compact, from: place)
      let end = JSONMembers.endOfValue(compact, from: nameEnd + 1)
      if let scalar = Self(compact[(nameEnd + 1)..<end]), let name = text(compact[place..<nameEnd]),
        names.insert(name).inserted
      {
        body(name, scalar)
      }
      place = end + 1
    }
  }

  /// A value that was read; nil where it is no scalar.
  init?(_ value: JSONValue) {
    switch value {
    case .null, .array, .object: return nil
    case .bool(let value): self = .truth(value)
    case .integer(let value): self = .whole("\(value)")
    case .unsigned(let value): self = .real("\(value)")
    case .number(let value): self = .real("\(value)")
    case .string(let value): self = .text(value)
    }
  }

  private init?(_ value: ArraySlice<UInt8>) {
    guard let first = value.first else { return nil }
    switch first {
    case UInt8(ascii: "\""):
      guard let text = Self.text(value) else { return nil }
      self = .text(text)
    case UInt8(ascii: "t"): self = .truth(true)
    case UInt8(ascii: "f"): self = .truth(false)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      let digits = String(decoding: value, as: UTF8.self)
      self = Int64(digits) == nil ? .real(digits) : .whole(digits)
    default: return nil
    }
  }

  /// The text of a JSON string with its quotes.
  private static func text(_ quoted: ArraySlice<UInt8>) -> String? {
    guard quoted.contains(UInt8(ascii: "\\")) else {
      return String(decoding: quoted.dropFirst().dropLast(), as: UTF8.self)
    }
    return try? JSON.decode(String.self, from: quoted)
  }
}
