import HyphaCore
import Testing

/// Payloads of older versions are brought up to the type's own, one version at a time.
@Suite struct UpcastingTests {
  /// Version 1 had `total`; 2 renamed it to `amount`; 3 added the currency; 4 nested both.
  struct Paid: Event, Equatable {
    struct Money: Codable, Equatable, Sendable {
      var amount: Int
      var currency: String
    }
    var money: Money

    static let schemaVersion: UInt16 = 4
    static let upcasters = [
      Upcaster(from: 3) { payload in
        let money = payload
        payload = .object(["money": money])
      },
      Upcaster(from: 1) { payload in
        payload["amount"] = payload["total"]
        payload["total"] = nil
      },
      Upcaster(from: 2) { $0["currency"] = .string("EUR") },
    ]
  }

  struct Gap: Event {
    static let schemaVersion: UInt16 = 4
    static let upcasters = [Upcaster(from: 1) { _ in }, Upcaster(from: 3) { _ in }]
  }

  struct Failing: Event {
    struct Complaint: Error, CustomStringConvertible { let description = "no idea" }
    static let schemaVersion: UInt16 = 2
    static let upcasters = [Upcaster(from: 1) { _ in throw Complaint() }]
  }

  struct Raw: Event {
    static let schemaVersion: UInt16 = 2
    static let contentType = ContentType.bytes
    static let upcasters = [Upcaster(from: 1) { _ in }]
  }

  private static let id = "01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"

  private func stored<E: Event>(
    _ type: E.Type, version: UInt16, _ payload: String, contentType: ContentType = .json
  ) throws -> Record {
    var header = try smallRecord().header
    header.type = E.eventType
    header.schemaVersion = version
    header.contentType = contentType
    return try Record(header, payload: Array(payload.utf8))
  }

  @Test(
    arguments: [
      (1, #"{"total":7}"#), (2, #"{"amount":7}"#), (3, #"{"amount":7,"currency":"EUR"}"#),
      (4, #"{"money":{"amount":7,"currency":"EUR"}}"#),
    ] as [(UInt16, String)])
  func `every older version reads as the newest`(_ version: UInt16, _ payload: String) throws {
    let event = try Paid.decode(stored(Paid.self, version: version, payload))
    #expect(event == Paid(money: .init(amount: 7, currency: "EUR")))
  }

  @Test func `a newer version is refused with the order of upgrades`() throws {
    let record = try stored(Paid.self, version: 5, "{}")
    expectError(
      "schemaUnknown: event \(Self.id) is Paid version 5, this program knows 4; "
        + "upgrade this node before its publishers"
    ) { try Paid.decode(record) }
  }

  @Test func `a missing step is named`() throws {
    for version in [1, 2] as [UInt16] {
      let record = try stored(Gap.self, version: version, "{}")
      expectError(
        "schemaUnknown: Gap has no upcaster from version 2; add Upcaster(from: 2) to its upcasters"
      ) { try Gap.decode(record) }
    }
    #expect(throws: Never.self) { try Gap.decode(stored(Gap.self, version: 3, "{}")) }
  }

  @Test func `an older version that is not JSON is refused`() throws {
    let record = try stored(Paid.self, version: 1, "x", contentType: .bytes)
    expectError(
      "schemaUnknown: event \(Self.id) is Paid version 1 as application/octet-stream; "
        + "upcasters read JSON; decode older versions in the type's own decode(from:)"
    ) { try Paid.decode(record) }
    let json = try stored(Raw.self, version: 1, "{}")
    expectError(
      "schemaUnknown: event \(Self.id) is Raw version 1 as application/json; "
        + "upcasters read JSON; decode older versions in the type's own decode(from:)"
    ) { try Raw.decode(json) }
  }

  @Test func `a step that fails and a payload that is no JSON are the payload's fault`() throws {
    let failing = try stored(Failing.self, version: 1, "{}")
    expectError(
      "invalidPayload: event \(Self.id) of ana does not decode as Failing version 2; "
        + "compare the publisher's type with the handler's (no idea)"
    ) { try Failing.decode(failing) }
    let noJSON = try stored(Paid.self, version: 1, "{")
    #expect(errorCode { _ = try Paid.decode(noJSON) } == .invalidPayload)
  }
}
