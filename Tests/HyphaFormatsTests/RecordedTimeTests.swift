import Foundation
import HyphaFormats
import Testing

struct RecordedTimeTests {
  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0),
    ("1970-01-01T00:00:00", 0),
    ("2011-10-01T00:38:44.546+02:00", 1_317_422_324_546_000),
    ("2011-09-30T22:38:44.546Z", 1_317_422_324_546_000),
    ("2011-09-30T18:08:44.546000999-0430", 1_317_422_324_546_000),
    ("1969-12-31T23:59:59.999999Z", -1),
    ("2000-02-29T12:00:00.5Z", 951_825_600_500_000),
    ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
    ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
  ])
  func `a time is read to the microsecond`(_ text: String, _ microseconds: Int64) {
    #expect(RecordedTime.microseconds(text) == microseconds)
  }

  @Test(arguments: [
    "", "2011", "2011-10-01", "2011-10-01 00:38:44", "2011-10-01T00:38", "2011-10-01T00:38:44.",
    "2011-10-01T00:38:44.5461234567891Z", "2011-10-01T24:00:00Z", "2011-10-01T23:60:00Z",
    "2011-10-01T23:59:60Z", "2011-13-01T00:00:00Z", "2011-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
    "2011-04-31T00:00:00Z", "0000-01-01T00:00:00Z", "-001-01-01T00:00:00Z", "2011-10-01T00:38:44+2",
    "2011-10-01T00:38:44+02:00 ", "2011-10-01T00:38:44z", "2011-10-01t00:38:44Z", "2011-1-01T00:38:44Z",
    "٢٠١١-10-01T00:38:44Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "1317422324",
  ])
  func `what is not a time of the form is refused`(_ text: String) {
    #expect(RecordedTime.microseconds(text) == nil)
  }

  @Test func `each form takes what it says`() {
    #expect(RecordedTime.microseconds("2011-10-01t00:38:44.5z", form: .rfc3339) == 1_317_429_524_500_000)
    #expect(RecordedTime.microseconds("2011-10-01T00:38:44", form: .rfc3339) == nil)
    #expect(RecordedTime.microseconds("2011-10-01T00:38:44+0200", form: .rfc3339) == nil)
    #expect(RecordedTime.microseconds("2011-10-01 00:38:44.5", form: .table) == 1_317_429_524_500_000)
    #expect(RecordedTime.microseconds("1317429524", form: .table) == 1_317_429_524_000_000)
    #expect(RecordedTime.microseconds("1317429524500", form: .table) == 1_317_429_524_500_000)
    #expect(RecordedTime.microseconds("-1", form: .table) == -1_000_000)
    #expect(RecordedTime.microseconds("99999999999", form: .table) == 99_999_999_999_000_000)
    #expect(RecordedTime.microseconds("100000000000", form: .table) == 100_000_000_000_000)
    #expect(RecordedTime.microseconds("253402300799999", form: .table) == 253_402_300_799_999_000)
    for refused in ["253402300800000", "9223372036854775807", "-", "1.5", " 1", ""] {
      #expect(RecordedTime.microseconds(refused, form: .table) == nil)
    }
  }

  @Test func `text and microseconds round-trip and agree with Foundation`() throws {
    let seed = UInt64.random(in: 1...UInt64.max)
    var state = seed
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    for _ in 0..<2_000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let time = Int64(state >> 11) % 250_000_000_000_000_000
      let text = try #require(RecordedTime.text(time))
      #expect(RecordedTime.microseconds(text) == time, "seed \(seed)")
      let date = try style.parse(text)
      #expect(abs(date.timeIntervalSince1970 - Double(time) / 1e6) < 0.002, "seed \(seed): \(text)")
    }
    for time in [RecordedTime.range.lowerBound, -1, 0, RecordedTime.range.upperBound] {
      let text = try #require(RecordedTime.text(time))
      #expect(RecordedTime.microseconds(text) == time)
    }
    #expect(RecordedTime.text(-1) == "1969-12-31T23:59:59.999999Z")
    #expect(RecordedTime.text(.min) == nil && RecordedTime.text(.max) == nil)
  }
}
