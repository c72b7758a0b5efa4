import HyphaCore
import Testing

/// Runs of records on a link: what goes in comes out.
@Suite struct FrameTests {
  @Test func `random frames read back as they were`() throws {
    var random = seededRandom()
    for _ in 0..<500 {
      let frame = try random.frame()
      let bytes = frame.encoded()
      #expect(try Frame(decoding: bytes) == frame)
      #expect(try Frame(decoding: bytes).encoded() == bytes)
    }
  }

  @Test(arguments: [1, 2, 255, 256])
  func `a frame carries 1 to 256 records`(_ count: Int) throws {
    var random = seededRandom()
    let frame = try random.frame(recordCount: count)
    let back = try Frame(decoding: frame.encoded())
    #expect(back.records.count == count)
    #expect(back == frame)
  }

  @Test func `a frame of no records or of too many is a programming error`() async {
    await #expect(processExitsWith: .failure) {
      _ = Frame(via: "ana", topologyVersion: 1, hops: 1, records: []).encoded()
    }
    await #expect(processExitsWith: .failure) {
      let records = [Record](repeating: try smallRecord(), count: 257)
      _ = Frame(via: "ana", topologyVersion: 1, hops: 1, records: records).encoded()
    }
  }

  @Test func `a frame begins with the topic that subscribers filter on`() throws {
    let published = Frame(
      via: "hub", topologyVersion: 1, hops: 1, records: [try smallRecord(type: "invoice.Approved")])
    #expect(published.encoded().starts(with: Array("hub/ana/#invoice.Approved\0".utf8)))
    let addressed = Frame(
      via: "hub", topologyVersion: 1, hops: 1, records: [try smallRecord(addressee: "bob")])
    #expect(addressed.encoded().starts(with: Array("hub/ana/@bob\0".utf8)))
    #expect(Frame.topicPrefix(via: "hub") == Array("hub/".utf8))
    #expect(published.encoded().starts(with: Frame.topicPrefix(via: "hub")))
  }

  /// What is left of the time to live, and what the other side reads.
  @Test(
    arguments: [
      (nil, nil), (.zero, .zero), (.microseconds(1), .microseconds(1)), (.seconds(-1), .zero),
      (.nanoseconds(-1), .zero), (.nanoseconds(1), .microseconds(1)), (.nanoseconds(1_001), .microseconds(2)),
      (.milliseconds(1_500), .microseconds(1_500_000)), (.seconds(4_201), .seconds(4_201)),
      (.microseconds(4_293_999_999), .microseconds(4_293_999_999)),
      (.seconds(4_294), .seconds(4_294)), (.seconds(100_000), .microseconds(0xFFFF_FFFE)),
      (.seconds(Int64.max), .microseconds(0xFFFF_FFFE)), (.seconds(Int64.min), .zero),
      (.nanoseconds(4_293_999_999_999), .microseconds(4_294_000_000)),
    ] as [(Duration?, Duration?)])
  func `the remaining time is rounded up to microseconds and bounded`(_ given: Duration?, _ read: Duration?)
    throws
  {
    let frame = Frame(
      via: "hub", topologyVersion: 1, hops: 1, remaining: given, records: [try smallRecord()])
    #expect(try Frame(decoding: frame.encoded()).remaining == read)
  }

  @Test func `more time left never reads as less`() throws {
    var random = seededRandom()
    let records = [try smallRecord()]
    let durations = (0..<2_000).map { _ in
      Duration(secondsComponent: Int64(random.int(-2...6_000)), attosecondsComponent: 0)
        + .nanoseconds(random.int(0...999_999_999))
    }
    let read = try durations.sorted().map {
      try Frame(
        decoding: Frame(via: "a", topologyVersion: 1, hops: 1, remaining: $0, records: records).encoded()
      ).remaining!
    }
    #expect(read == read.sorted())
  }

  @Test(arguments: [0, 1, 255] as [UInt8])
  func `hops and topology version are carried as they are`(_ hops: UInt8) throws {
    let frame = Frame(via: "hub", topologyVersion: .max, hops: hops, records: [try smallRecord()])
    let back = try Frame(decoding: frame.encoded())
    #expect(back.hops == hops)
    #expect(back.topologyVersion == .max)
    #expect(back.remaining == nil)
  }

  @Test func `limits of records and of bytes are kept`() throws {
    let records = [Record](repeating: try smallRecord(), count: 3)
    let bytes = Frame(via: "hub", topologyVersion: 1, hops: 1, records: records).encoded()
    var limits = WireLimits.standard
    limits.frameRecordCountMax = 3
    limits.frameByteCountMax = bytes.count
    #expect(throws: Never.self) { try Frame(decoding: bytes, limits: limits) }
    limits.frameRecordCountMax = 2
    expectError("tooLarge: a frame claims 3 records") { try Frame(decoding: bytes, limits: limits) }
    limits.frameByteCountMax = bytes.count - 1
    expectError("tooLarge: a frame has \(bytes.count) bytes; raise limits.frame") {
      try Frame(decoding: bytes, limits: limits)
    }
  }
}
