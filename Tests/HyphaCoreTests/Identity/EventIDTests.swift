import Foundation
import HyphaCore
import Testing

/// Event ids: UUIDs of version 7 (RFC 9562, section 5.7).
@Suite struct EventIDTests {
  @Test func `version and variant stand where RFC 9562 puts them, whatever the time and the random bits`() {
    var random = seededRandom()
    for _ in 0..<5_000 {
      let time = Timestamp(rawValue: random.bits())
      let id = EventID(time: time, random: random.bits())
      #expect(id.high >> 12 & 0xF == 7)
      #expect(id.low >> 62 == 0b10)
      #expect(id.high >> 16 == time.microseconds / 1_000)
      let fraction = id.high & 0xFFF
      #expect(fraction == time.microseconds % 1_000 * 4_096 / 1_000)
    }
  }

  @Test func `the RFC's example moment gives the RFC's example bits`() {
    // RFC 9562, appendix A.6: 0x017F22E279B0 milliseconds.
    let id = EventID(time: Timestamp(microseconds: 0x017F_22E2_79B0 * 1_000), random: .max)
    #expect("\(id)" == "017f22e2-79b0-7000-bfff-ffffffffffff")
  }

  @Test func `ids of different microseconds order as the microseconds do`() {
    var random = seededRandom()
    for _ in 0..<5_000 {
      let microseconds = random.next() >> 14
      let earlier = EventID(
        time: Timestamp(microseconds: microseconds, counter: 4_095), random: random.next())
      let later = EventID(time: Timestamp(microseconds: microseconds + 1), random: random.next())
      #expect(earlier < later)
      #expect(earlier.description < later.description)
    }
  }

  @Test func `none orders before every id`() {
    #expect(EventID.none < EventID(time: .zero, random: 0))
    #expect("\(EventID.none)" == "00000000-0000-0000-0000-000000000000")
  }

  @Test func `an id reads back from its text, in either case, and as Foundation's UUID`() throws {
    var random = seededRandom()
    for _ in 0..<2_000 {
      let id = EventID(high: random.bits(), low: random.bits())
      let text = id.description
      #expect(text.utf8.count == 36)
      #expect(try EventID(text) == id)
      #expect(try EventID(text.uppercased()) == id)
      #expect(UUID(uuidString: text)?.uuidString.lowercased() == text)
    }
  }

  @Test(arguments: [
    "", "-", "01932f6e", "01932f6e8a3c7d219f445b0c6c1f2e3d", "01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3",
    "01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3dd", "01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d ",
    " 1932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d", "01932f6e-8a3c-7d21-9f445-b0c6c1f2e3d",
    "01932f6g-8a3c-7d21-9f44-5b0c6c1f2e3d", "{1932f6e-8a3c-7d21-9f44-5b0c6c1f2e3}",
    "01932f6e_8a3c-7d21-9f44-5b0c6c1f2e3d", "0\u{661}932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d",
    "--------------------------------", "01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d-",
  ])
  func `a text that is no UUID is refused`(_ text: String) {
    expectError(
      "invalidName: '\(text)' is not an event id; give a UUID such as 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"
    ) { try EventID(text) }
  }

  @Test func `a long bad text is quoted in part`() {
    let text = String(repeating: "f", count: 1_000)
    expectError(
      "invalidName: '\(text.prefix(80))' is not an event id; "
        + "give a UUID such as 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"
    ) { try EventID(text) }
  }

  @Test func `an id is its text in JSON`() throws {
    let id = EventID(high: 0x0193_2F6E_8A3C_7D21, low: 0x9F44_5B0C_6C1F_2E3D)
    #expect(try JSON.text([id]) == #"["01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"]"#)
    #expect(try JSON.decode([EventID].self, from: try JSON.encode([id])) == [id])
    #expect(errorCode { _ = try JSON.decode([EventID].self, from: #"["x"]"#.utf8) } == .invalidName)
  }
}
