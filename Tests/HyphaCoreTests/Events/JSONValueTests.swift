import HyphaCore
import Testing

/// JSON as Hypha writes and reads it.
@Suite struct JSONValueTests {
  @Test(arguments: [
    ("null", JSONValue.null), ("true", .bool(true)), ("0", .integer(0)), ("-1", .integer(-1)),
    ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
    ("9223372036854775808", .unsigned(1 << 63)), ("18446744073709551615", .unsigned(.max)),
    ("1.5", .number(1.5)), ("1e300", .number(1e300)), (#""a/b""#, .string("a/b")), ("[]", .array([])),
    ("{}", .object([:])),
    (
      #"{"a":[1,"x",null],"b":{"c":false}}"#,
      .object([
        "a": .array([.integer(1), .string("x"), .null]), "b": .object(["c": .bool(false)]),
      ])
    ),
  ])
  func `a text reads as its value`(_ text: String, _ value: JSONValue) throws {
    #expect(try JSON.decode(JSONValue.self, from: text.utf8) == value)
    #expect(try JSON.decode(JSONValue.self, from: try JSON.encode(value)) == value)
  }

  @Test func `random values read back as they were, and equal values give equal bytes`() throws {
    var random = seededRandom()
    for _ in 0..<1_000 {
      let value = random.value(depth: 4)
      let bytes = try JSON.encode(value)
      #expect(!bytes.contains(UInt8(ascii: "\n")))
      let back = try JSON.decode(JSONValue.self, from: bytes)
      #expect(back == value)
      #expect(try JSON.encode(back) == bytes)
    }
  }

  @Test func `keys are sorted and slashes stay as they are`() throws {
    let value = JSONValue.object(["b": .integer(1), "a": .string("x/y"), "aa": .null])
    #expect(try JSON.text(value) == #"{"a":"x/y","aa":null,"b":1}"#)
  }

  @Test func `a whole number of 64 bits keeps all of its digits, with a sign or without`() throws {
    for text in ["[18446744073709551615]", "[9223372036854775809]", "[-9223372036854775807]"] {
      #expect(try JSON.text(JSON.decode(JSONValue.self, from: text.utf8)) == text)
    }
  }

  @Test func `a whole number reads as an integer, and one beyond 64 bits as the nearest double`() throws {
    #expect(try JSON.decode(JSONValue.self, from: try JSON.encode(JSONValue.number(2))) == .integer(2))
    #expect(
      try JSON.decode(JSONValue.self, from: "18446744073709551616".utf8) == .number(18446744073709551616))
  }

  @Test(arguments: ["", "{", "[1", "nul", "'a'", "1 2", "{\"a\":}", "\u{0}", "[\u{1}]"])
  func `a text that is no JSON is refused`(_ text: String) {
    #expect(throws: (any Error).self) { try JSON.decode(JSONValue.self, from: text.utf8) }
  }

  @Test func `a bomb of brackets is refused`() {
    let bomb = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    #expect(throws: (any Error).self) { try JSON.decode(JSONValue.self, from: bomb.utf8) }
    #expect(throws: (any Error).self) { try JSON.encode(JSONValue.number(.nan)) }
  }

  @Test func `members are read and set by their name`() {
    var value = JSONValue.object(["a": .integer(1)])
    value["b"] = .string("x")
    value["a"] = nil
    #expect(value == .object(["b": .string("x")]))
    #expect(value["b"]?.text == "x")
    #expect(value["none"] == nil)
    var other = JSONValue.integer(3)
    other["a"] = .null
    #expect(other == .integer(3))
    #expect(other["a"] == nil)
    #expect(other.text == nil)
  }
}

extension SeededGenerator {
  fileprivate mutating func value(depth: Int) -> JSONValue {
    switch int(0...(depth > 0 ? 6 : 4)) {
    case 0: return .null
    case 1: return .bool(chance(0.5))
    case 2: return .integer(Int64(bitPattern: bits()))
    case 3:
      // Whole numbers would read back as integers.
      return .number(Double(int(-1_000_000...1_000_000)) + 0.25)
    case 4: return .string(String(decoding: bytes(int(0...12)), as: UTF8.self))
    case 5: return .array((0..<int(0...4)).map { _ in value(depth: depth - 1) })
    default:
      let keys = (0..<int(0...4)).map { _ in name(8) }
      return .object(Dictionary(keys.map { ($0, value(depth: depth - 1)) }) { first, _ in first })
    }
  }
}
