import Foundation
import HyphaCore
import Testing

/// What an event type gets by default, and what it may replace.
@Suite struct EventTests {
  struct InvoiceSubmitted: Event, Equatable {
    var invoice: String
    var amount: Int
  }

  struct Box<Content: Codable & Sendable>: Event { var content: Content }

  struct Reading: Event {
    var sensor: String
    var celsius: Int16

    static let eventType: EventTypeName = "plant.Reading"
    static let schemaVersion: UInt16 = 3
    static let channel = Channel.realtime
    static let timeToLive = Duration.milliseconds(20)
    static let contentType = ContentType.bytes
    var subject: Subject { Subject(unchecked: "plant.\(sensor)") }

    func encode(into payload: inout [UInt8]) {
      payload += [UInt8(truncatingIfNeeded: celsius), UInt8(truncatingIfNeeded: celsius >> 8)]
      payload += sensor.utf8
    }

    static func decode(from payload: UnsafeRawBufferPointer) throws -> Reading {
      guard payload.count > 2 else { throw HyphaError(.invalidPayload, "a reading is cut short") }
      return Reading(
        sensor: String(decoding: payload[2...], as: UTF8.self),
        celsius: Int16(payload[0]) | Int16(payload[1]) << 8)
    }
  }

  struct Odd: Event { static let eventType: EventTypeName = "odd..Name." }

  @Test func `the smallest event is JSON on the persistent channel under its type's name`() throws {
    let event = InvoiceSubmitted(invoice: "R/7", amount: 12)
    #expect(InvoiceSubmitted.eventType == "InvoiceSubmitted")
    #expect(InvoiceSubmitted.schemaVersion == 1)
    #expect(InvoiceSubmitted.channel == .persistent)
    #expect(InvoiceSubmitted.timeToLive == .seconds(1))
    #expect(InvoiceSubmitted.contentType == .json)
    #expect(InvoiceSubmitted.upcasters.isEmpty)
    #expect(event.subject == "InvoiceSubmitted")
    var payload: [UInt8] = [1]
    try event.encode(into: &payload)
    #expect(payload == [1] + Array(#"{"amount":12,"invoice":"R/7"}"#.utf8))
  }

  @Test func `a generic type's brackets become dashes`() {
    #expect(Box<Int>.eventType == "Box-Int-")
    #expect(throws: Never.self) { try EventTypeName(Box<[String: Int]>.eventType.text) }
  }

  @Test func `the default subject is valid whatever the type's name`() throws {
    #expect(Odd().subject == "odd.-.Name.-")
    let record = try record(of: Odd())
    #expect(try Record(decoding: record.bytes).header.subject == Odd().subject)
  }

  @Test func `an event in a record reads back`() throws {
    let event = InvoiceSubmitted(invoice: "ä", amount: -3)
    #expect(try InvoiceSubmitted.decode(try record(of: event)) == event)
  }

  @Test func `an event with its own encoding travels as bytes`() throws {
    let record = try record(of: Reading(sensor: "t1", celsius: 300))
    #expect(Array(record.payload) == [44, 1] + Array("t1".utf8))
    #expect(record.header.contentType == .bytes)
    #expect(record.header.subject == "plant.t1")
    let back = try Reading.decode(record)
    #expect(back.sensor == "t1" && back.celsius == 300)
  }

  @Test func `an error of the event's own decoding passes as it is`() throws {
    let cut = try Record(record(of: Reading(sensor: "t1", celsius: 300)).header, payload: [1])
    expectError("invalidPayload: a reading is cut short") { try Reading.decode(cut) }
  }

  @Test func `a payload that does not decode names the event, its agent and the type`() throws {
    let header = try record(of: InvoiceSubmitted(invoice: "R", amount: 1)).header
    let record = try Record(header, payload: Array(#"{"amount":"x"}"#.utf8))
    do {
      _ = try InvoiceSubmitted.decode(record)
      Issue.record("it decoded")
    } catch {
      #expect((error as? HyphaError)?.code == .invalidPayload)
      let expected =
        "invalidPayload: event \(header.id) of ana does not decode as InvoiceSubmitted version 1; "
        + "compare the publisher's type with the handler's ("
      #expect("\(error)".hasPrefix(expected), "\(error)")
    }
  }

  @Test func `content types give their media types, unknown ones a private one`() {
    #expect("\(ContentType.bytes)" == "application/octet-stream")
    #expect("\(ContentType.json)" == "application/json")
    #expect("\(ContentType(rawValue: 9))" == "application/x-hypha-9")
  }
}

/// A record with the event's own payload, type, version, subject and content type.
func record<E: Event>(of event: E) throws -> Record {
  var header = try smallRecord().header
  header.type = E.eventType
  header.schemaVersion = E.schemaVersion
  header.contentType = E.contentType
  header.channel = E.channel
  header.subject = event.subject
  var payload: [UInt8] = []
  try event.encode(into: &payload)
  return try Record(header, payload: payload)
}
