import Foundation
import HyphaCore
import Testing

/// The page for those who write clients says what the code does. Its control messages are compared in
/// HyphaTransportTests.
@Suite struct WireFormatPageTests {
  /// The event that the page describes.
  private func record() throws -> Record {
    let time = Timestamp(microseconds: 1_731_667_593_788_820, counter: 2)
    let header = RecordHeader(
      id: EventID(time: time, random: 0x1F44_5B0C_6C1F_2E3D << 2), time: time, channel: .persistent,
      agent: "ana", epoch: 2, sequence: 7, previous: LanePoint(epoch: 2, sequence: 5), addressee: nil,
      type: "invoice.Approved", subject: "invoice.R-17",
      causation: try EventID("01932f6e-8a3b-7c00-8111-222233334444"),
      correlation: try EventID("01932f6e-8a00-7a00-8aaa-bbbbccccdddd"),
      authority: Authority(principal: "ana", grant: "topology", policyVersion: 3))
    return try Record(header, payload: Array(#"{"amount":12}"#.utf8))
  }

  @Test func `the page's record is what the code encodes`() throws {
    let example = try #require(try WireFormatPage.examples()["record"])
    #expect(example.hex == (try record()).bytes.hex)
    #expect(try Record(decoding: example) == record())
  }

  @Test func `the page's frame is what the code encodes`() throws {
    let example = try #require(try WireFormatPage.examples()["frame"])
    let frame = Frame(via: "hub", topologyVersion: 3, hops: 2, records: [try record()])
    #expect(example.hex == frame.encoded().hex)
    #expect(try Frame(decoding: example) == frame)
  }

  @Test func `the page's packed frame is what the code encodes`() throws {
    let example = try #require(try WireFormatPage.examples()["frame-packed"])
    let time = Timestamp(microseconds: 1_731_667_593_788_820)
    let id = try EventID("01932f6e-8a3c-7d1e-9f44-5b0c6c1f2e3d")
    var header = RecordHeader(
      id: id, time: time, channel: .realtime, agent: "ana", epoch: 2, sequence: 7,
      previous: LanePoint(epoch: 2, sequence: 5), addressee: nil, type: "sensor.Read", subject: "sensor.3",
      contentType: .bytes, causation: .none, correlation: id,
      authority: Authority(principal: "ana", grant: "topology", policyVersion: 3))
    let first = try Record(header, payload: [0x2A, 0])
    header.previous = header.point
    (header.sequence, header.time) = (8, Timestamp(rawValue: time.rawValue + 1))
    header.id = try EventID("01932f6e-8a3c-7d1e-a151-6c2b7d3e4f50")
    header.correlation = header.id
    let records = [first, try Record(header, payload: [0x2B, 0])]
    let frame = Frame(
      via: "hub", topologyVersion: 3, hops: 1, remaining: .milliseconds(250), records: records)
    #expect(example.hex == frame.encoded(isPacked: true).hex)
    #expect(try Frame(decoding: example).records == records)
  }

  @Test func `the page's limits and sizes are the code's`() throws {
    let page = try String(
      contentsOf: WireFormatPage.root.appending(path: "docs/wire-format.md"), encoding: .utf8)
    let limits = WireLimits.standard
    #expect(page.contains("| payload | \(grouped(limits.payloadByteCountMax)) bytes |"))
    #expect(page.contains("| records in a frame | \(limits.frameRecordCountMax) |"))
    #expect(page.contains("| frame or control message | \(grouped(limits.frameByteCountMax)) bytes |"))
    #expect(page.contains("| \(WireFormat.recordHeaderByteCount) | | agent, addressee, type, subject"))
    #expect(page.contains("| subject | tokens") && page.contains("| 1–\(Subject.byteCountMax) |"))
    #expect(page.contains("| event type | the same | 1–\(EventTypeName.byteCountMax) |"))
    #expect(page.contains("| grant | any text | 0–\(Authority.grantByteCountMax) |"))
  }

  private func grouped(_ number: Int) -> String {
    number < 1_000
      ? "\(number)" : "\(grouped(number / 1_000)),\(String(1_000 + number % 1_000).dropFirst())"
  }
}
