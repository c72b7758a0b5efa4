import Foundation
import HyphaCore
import Testing

/// A generator for a randomised test. Its seed is `HYPHA_SEED` where that is set, else a new one, and is
/// printed, so that a failure can be repeated.
func seededRandom(_ test: String = #function) -> SeededGenerator {
  let seed =
    ProcessInfo.processInfo.environment["HYPHA_SEED"].flatMap { UInt64($0) } ?? .random(in: 1...999_999)
  print("HYPHA_SEED=\(seed) repeats '\(test)'")
  return SeededGenerator(seed: seed)
}

/// Expects `body` to throw an error of this exact text, code included.
func expectError(
  _ text: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Any
) {
  do {
    let result = try body()
    Issue.record("no error, but \(result)", sourceLocation: sourceLocation)
  } catch {
    #expect("\(error)" == text, sourceLocation: sourceLocation)
  }
}

/// The code of the error that `body` throws, nil where it throws none.
func errorCode(_ body: () throws -> Void) -> HyphaError.Code? {
  do {
    try body()
    return nil
  } catch {
    return (error as? HyphaError)?.code
  }
}

// MARK: Random values

extension SeededGenerator {
  /// A number within `range`.
  mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

  /// 64 bits of all magnitudes, the extremes among them.
  mutating func bits() -> UInt64 {
    switch int(0...5) {
    case 0: [0, 1, .max, .max - 1, 1 << 63, 1 << 52][int(0...5)]
    default: next() >> UInt64(int(0...63))
    }
  }

  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

  /// A name with between 1 and `countMax` bytes, often of the extreme lengths.
  mutating func name(_ countMax: Int) -> String {
    let alphabet = Array("abcXYZ019._-")
    let count = chance(0.2) ? countMax : int(1...min(countMax, 12))
    let name = String((0..<count).map { _ in alphabet[int(0...alphabet.count - 1)] })
    // These are no names: they stand for directories.
    return name == "." || name == ".." ? "dot" : name
  }

  mutating func agent() -> AgentID { AgentID(unchecked: name(63)) }

  /// A subject of ASCII and other tokens.
  mutating func subject() -> Subject {
    let tokens = [
      "a", "b", "ä", "e\u{301}", "\u{E9}", "\u{1F344}", "42", "-", "#", "x*y".replacing("*", with: "_"),
    ]
    let text = (0..<int(1...6)).map { _ in tokens[int(0...tokens.count - 1)] }.joined(separator: ".")
    return Subject(unchecked: chance(0.1) ? String(repeating: "s", count: 255) : text)
  }

  mutating func id() -> EventID { EventID(high: bits(), low: bits()) }

  /// A header of any valid values; `lane` fixes its agent, channel and target.
  mutating func header(lane: Lane? = nil) -> RecordHeader {
    let lane = lane ?? self.lane()
    let point = LanePoint(epoch: max(1, bits()), sequence: max(1, bits()))
    let earlier = LanePoint(epoch: max(1, bits()), sequence: max(1, bits()))
    var type = EventTypeName(unchecked: name(127))
    var addressee: AgentID?
    switch lane.target {
    case .addressee(let agent): addressee = agent
    case .type(let name): type = name
    }
    return RecordHeader(
      id: id(), time: Timestamp(rawValue: bits()), channel: lane.channel, agent: lane.agent,
      epoch: point.epoch, sequence: point.sequence, previous: earlier < point ? earlier : .start,
      addressee: addressee, type: type, schemaVersion: UInt16(int(1...65_535)), subject: subject(),
      contentType: ContentType(rawValue: UInt8(int(0...255))), causation: id(), correlation: id(),
      authority: Authority(
        principal: agent(), grant: chance(0.5) ? "" : name(127), policyVersion: UInt32(int(0...0xFFFF_FFFF))))
  }

  mutating func lane() -> Lane {
    let target = chance(0.5) ? LaneTarget.addressee(agent()) : .type(EventTypeName(unchecked: name(127)))
    return Lane(agent: agent(), channel: Channel.allCases[int(0...2)], target: target)
  }

  mutating func record(lane: Lane? = nil, payloadMax: Int = 200) throws -> Record {
    try Record(header(lane: lane), payload: bytes(int(0...payloadMax)))
  }

  mutating func frame(recordCount: Int? = nil) throws -> Frame {
    let lane = self.lane()
    let count = recordCount ?? int(1...6)
    return Frame(
      via: agent(), topologyVersion: UInt32(int(0...0xFFFF_FFFF)), hops: UInt8(int(0...255)),
      remaining: chance(0.3) ? nil : .microseconds(int(0...0xFFFF_FFFE)),
      records: try (0..<count).map { _ in try record(lane: lane, payloadMax: 40) })
  }
}

// MARK: A small record

/// A record of few bytes, for tests that alter them.
func smallRecord(
  agent: AgentID = "ana", addressee: AgentID? = nil, type: EventTypeName = "T", payload: [UInt8] = [1, 2, 3]
) throws -> Record {
  let id = EventID(high: 0x0193_2F6E_8A3C_7D21, low: 0x9F44_5B0C_6C1F_2E3D)
  return try Record(
    RecordHeader(
      id: id, time: Timestamp(microseconds: 5), channel: .persistent, agent: agent, epoch: 2, sequence: 7,
      previous: LanePoint(epoch: 1, sequence: 9), addressee: addressee, type: type, subject: "s",
      correlation: id, authority: Authority(principal: "ana", grant: "g", policyVersion: 3)),
    payload: payload)
}

/// `bytes` with the checksum of a record put right, to reach what is checked behind it.
func resealed(_ bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  let checksum = bytes[12...].withUnsafeBytes { checksumCRC32C($0) }
  withUnsafeBytes(of: checksum.littleEndian) { bytes.replaceSubrange(8..<12, with: $0) }
  return bytes
}

extension [UInt8] {
  /// These bytes with a little-endian integer put in at `offset`.
  func with(_ value: some FixedWidthInteger, at offset: Int) -> [UInt8] {
    var bytes = self
    Swift.withUnsafeBytes(of: value.littleEndian) {
      bytes.replaceSubrange(offset..<offset + $0.count, with: $0)
    }
    return bytes
  }
}
