import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaReplay

/// Lines that any JSON reader reads, whatever an event holds.
@Suite struct EntryWriterTests {
  private func line(_ payload: [UInt8], _ contentType: ContentType = .json, format: EntryWriter.Format = .own)
    throws
    -> JSONValue
  {
    let id = EventID(high: 0x0193_2F6E_8A3C_7D21, low: 0x9F44_5B0C_6C1F_2E3D)
    let record = try Record(
      RecordHeader(
        id: id, time: Timestamp(microseconds: 1_700_000_000_000_042), channel: .alert, agent: "ana", epoch: 2,
        sequence: .max >> 1, previous: LanePoint(epoch: 1, sequence: 9), addressee: "bo", type: "T",
        subject: "fälle.1",
        contentType: contentType, causation: id, correlation: id,
        authority: Authority(principal: "op", grant: "say \"yes\"\n", policyVersion: 7)), payload: payload)
    let entry = LogEntry(
      position: Position(rawValue: 12), appendedAt: Timestamp(microseconds: 1_700_000_000_999_999),
      source: .received(hops: 3), previousInStream: .start, previousInLane: .start, record: record)
    var writer = EntryWriter(format)
    try entry.withView { writer.append($0, of: "hq") }
    #expect(writer.bytes.last == 0x0A && writer.bytes.count { $0 == 0x0A } == 1)
    return try JSON.decode(JSONValue.self, from: writer.bytes)
  }

  @Test func `a line has everything that the log has`() throws {
    let line = try line(Array(#"{ "b" : [1, 2.50, -3e2, null, true, "x\n\u00e9ä"] , "a" : {} }"#.utf8))
    #expect(
      line
        == .object([
          "addressee": .string("bo"), "agent": .string("ana"),
          "appendedAt": .string("2023-11-14T22:13:20.999999Z"),
          "causation": .string("01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"), "channel": .string("alert"),
          "contentType": .string("application/json"),
          "correlation": .string("01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"), "epoch": .integer(2),
          "grant": .string("say \"yes\"\n"), "hops": .integer(3),
          "id": .string("01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"), "node": .string("hq"),
          "payload": .object([
            "b": .array([.integer(1), .number(2.5), .integer(-300), .null, .bool(true), .string("x\néä")]),
            "a": .object([:]),
          ]), "policyVersion": .integer(7), "position": .integer(12), "previous": .string("1:9"),
          "principal": .string("op"), "schemaVersion": .integer(1),
          "sequence": .integer(Int64(UInt64.max >> 1)),
          "source": .string("received"), "subject": .string("fälle.1"),
          "time": .string("2023-11-14T22:13:20.000042Z"), "type": .string("T"),
        ]))
  }

  @Test(arguments: [
    "", "{", "{\"a\":1,}", "[1 2]", "01", "1.", "\"\\x\"", "\"\u{01}\"", "nul", "{} {}", "{\"a\" 1}", "[,]",
    "-",
    "\"abc", "\"\\u12g4\"", "]", "{1:2}", "1e", "tru", "[1,]",
  ])
  func `a payload that claims to be JSON and is not comes as its bytes`(text: String) throws {
    let bytes = Array(text.utf8)
    #expect(try line(bytes)["payload"] == .string(Data(bytes).base64EncodedString()))
    let event = try line(bytes, format: .cloudEvents)
    #expect(event["data"] == nil && event["data_base64"] == .string(Data(bytes).base64EncodedString()))
  }

  @Test func `bytes of every length come as base64`() throws {
    for count in 0..<9 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 200) }
      #expect(try line(bytes, .bytes)["payload"] == .string(Data(bytes).base64EncodedString()))
    }
  }

  @Test func `JSON is told from what is none as Foundation tells it, but for a comma at an end`() throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    var random = SeededGenerator(seed: seed)
    let whole = Array(#"{"a":[1,-2.5e3,{"b":null}],"c":"x\u00e9\"","d":[true,false,[]],"e":{}}"#.utf8)
    for _ in 0..<3_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes.remove(at: place)
        case 1: bytes.insert(bytes.randomElement(using: &random)!, at: place)
        default: bytes[place] = UInt8.random(in: 0x20..<0x7F, using: &random)
        }
      }
      var output: [UInt8] = []
      bytes.withUnsafeBytes { bytes in
        var scanner = JSONScanner(bytes)
        let isJSON = scanner.scan(into: &output)
        let object = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        // Foundation takes less than the grammar: it refuses a lone surrogate, and a number that no Double holds. And it
        // takes more: a comma after the last element.
        let text = String(decoding: bytes, as: UTF8.self)
        if object != nil, !isJSON, !text.contains("\\u"), !text.contains(/,\s*[\]}]/) {
          Issue.record("\(text) is JSON, seed \(seed)")
        }
        if isJSON, let object {
          let copy = try? JSONSerialization.jsonObject(with: Data(output), options: .fragmentsAllowed)
          #expect((copy as? NSObject) == (object as? NSObject), "seed \(seed)")
        }
      }
    }
  }

  @Test func `a payload nested without end is refused, not followed`() throws {
    let deep = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
    #expect(try line(deep)["payload"] == .string(Data(deep).base64EncodedString()))
  }
}
