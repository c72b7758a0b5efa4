public import HyphaCore

/// What nodes say to each other beside the frames: greetings, how far lanes go, and catch-up reads.
///
/// Each message is a request and an answer between two nodes, over a connection of their own.
///
/// | bytes | what |
/// |---:|---|
/// | 4 | magic `HYC1` |
/// | 4 | CRC-32C of what follows |
/// | 1 | version, 1 |
/// | 1 | kind |
/// | | the kind's fields, in the order of the case below; texts have a length of one byte before them |
///
/// A lane is its agent, channel (1), target kind (1: 0 addressee, 1 type), target. A point is epoch (8) and
/// sequence (8). Integers are little-endian.
///
/// Kinds 1 to 3 have the same layout in every version of the protocol, so that nodes of any two versions can find out
/// what they share. The version of the others is the one that the answer to the greeting has chosen.
public enum ControlMessage: Sendable, Hashable {
  /// Kind 1, request: who asks, what it speaks, and which topology it follows.
  case hello(Greeting)
  /// Kind 2, answer: this is `node`, and it speaks protocol `version` with whoever has greeted.
  case welcome(node: NodeID, version: UInt8, program: String, topologyVersion: UInt32)
  /// Kind 3, answer: the request was refused, and why.
  case refused(RefusalKind, reason: String)
  /// Kind 4, request: which lanes to me have moved after position `since` of log `log`? Another log counts
  /// as one that was never asked.
  case sync(log: EventID, since: UInt64)
  /// Kind 5, answer: these lanes, up to position `through` of log `log`.
  case heads(log: EventID, through: UInt64, heads: [LaneEnd])
  /// Kind 6, request: what does `lane` have after `after`?
  case fetch(lane: Lane, after: LanePoint)
  /// Kind 7, answer: the events that follow `after`, the oldest first, perhaps not all of them.
  case records(lane: Lane, after: LanePoint, records: [Record])
  /// Kind 8, request: what do your lanes have in these runs?
  case vouch(runs: [LaneRun])
  /// Kind 9, answer: this, with a signature.
  case vouched(RunVoucher)
  /// Kind 10, without an answer: this node stops in order, and is not to be missed.
  case goodbye
  /// Kind 11, without an answer: the newest version of the routes for which this node's links are open, and the one that
  /// it sends by; 0 is the plain tree.
  case progress(ready: UInt32, sending: UInt32)
  /// Kind 12, request: which lanes of node `origin` to me, of which you have a copy, have moved after position `since` of
  /// your log `log`?
  case copies(of: NodeID, log: EventID, since: UInt64)
  /// Kind 13, answer: these lanes of node `origin`, up to position `through` of log `log`.
  case copied(of: NodeID, log: EventID, through: UInt64, heads: [LaneEnd])
  /// Kind 14, request: this node runs in this incarnation, or has heard of this one of the node that it asks. Answered, by the same,
  /// only by who knows of a newer one of the node.
  case incarnation(Incarnation)

  /// How far a lane goes at its origin.
  public struct LaneEnd: Sendable, Hashable {
    public var lane: Lane
    public var point: LanePoint

    /// A lane's end.
    public init(lane: Lane, point: LanePoint) {
      self.lane = lane
      self.point = point
    }
  }

  /// The most lane ends in one answer.
  public static let headCountMax = 4096
  /// The most runs in one question and in one answer.
  public static let runCountMax = 64
  private static let magic: UInt32 = 0x3143_5948
  private static let version: UInt8 = 1
}

extension ControlMessage {
  /// The message's bytes.
  ///
  /// Heads are at most ``headCountMax``, and records at most 65,535 of the lane: more is a programming error.
  public func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Self.magic)
    writer.write(UInt32(0))
    writer.write(Self.version)
    writer.write(kind)
    switch self {
    case .goodbye: break
    case .hello(let greeting):
      writer.writeShort(greeting.node.text)
      writer.write(greeting.versions.lowerBound)
      writer.write(greeting.versions.upperBound)
      writer.writeShort(greeting.program)
      writer.write(greeting.topologyVersion)
      writer.write(greeting.topologyHash)
    case .welcome(let node, let version, let program, let topologyVersion):
      writer.writeShort(node.text)
      writer.write(version)
      writer.writeShort(program.prefix(bytes: Greeting.programByteCountMax))
      writer.write(topologyVersion)
    case .refused(let kind, let reason):
      writer.write(kind.rawValue)
      writer.writeShort(reason.prefix(bytes: 255))
    case .sync(let log, let since):
      writer.write(log)
      writer.write(since)
    case .heads(let log, let through, let heads):
      writer.write(log)
      writer.write(through)
      writer.write(heads)
    case .fetch(let lane, let after):
      writer.write(lane)
      writer.write(after)
    case .records(let lane, let after, let records):
      writer.write(lane)
      writer.write(after)
      writer.write(UInt16(records.count))
      for record in records {
        writer.write(UInt32(record.byteCount))
        record.withBytes { writer.write($0) }
      }
    case .vouch(let runs):
      precondition(runs.count <= Self.runCountMax, "a control message has at most 64 runs")
      writer.write(UInt8(runs.count))
      for run in runs { writer.write(run) }
    case .vouched(let voucher):
      writer.write(unsigned: voucher)
      writer.write(voucher.signature)
    case .progress(let ready, let sending):
      writer.write(ready)
      writer.write(sending)
    case .copies(let origin, let log, let since):
      writer.writeShort(origin.text)
      writer.write(log)
      writer.write(since)
    case .copied(let origin, let log, let through, let heads):
      writer.writeShort(origin.text)
      writer.write(log)
      writer.write(through)
      writer.write(heads)
    case .incarnation(let incarnation):
      writer.write(unsigned: incarnation)
      writer.write(incarnation.signature)
    }
    writer.patch(writer.bytes.withUnsafeBytes { checksumCRC32C(.init(rebasing: $0[8...])) }, at: 4)
    return writer.bytes
  }

  /// Decodes and verifies a message.
  ///
  /// - Throws: ``HyphaError/Code/invalidFrame``, ``HyphaError/Code/invalidRecord`` or
  ///   ``HyphaError/Code/tooLarge``.
  public init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws {
    guard bytes.count <= limits.frameByteCountMax else {
      throw HyphaError(.tooLarge, "a control message has \(bytes.count) bytes", remedy: "raise limits.frame")
    }
    do {
      self = try bytes.withUnsafeBytes { try Self.decode($0, limits: limits) }
    } catch let error as HyphaError where error.code == .invalidName {
      throw HyphaError(.invalidFrame, "a control message has a bad name", cause: error.description)
    }
  }

  private var kind: UInt8 {
    switch self {
    case .hello: 1
    case .welcome: 2
    case .refused: 3
    case .sync: 4
    case .heads: 5
    case .fetch: 6
    case .records: 7
    case .vouch: 8
    case .vouched: 9
    case .goodbye: 10
    case .progress: 11
    case .copies: 12
    case .copied: 13
    case .incarnation: 14
    }
  }

  private static func decode(_ bytes: UnsafeRawBufferPointer, limits: WireLimits) throws -> Self {
    var reader = ByteReader(bytes, noun: "a control message")
    guard try reader.read(UInt32.self) == magic else {
      throw HyphaError(.invalidFrame, "a control message does not begin with HYC1")
    }
    let stated: UInt32 = try reader.read()
    guard stated == checksumCRC32C(UnsafeRawBufferPointer(rebasing: bytes[8...])) else {
      throw HyphaError(.invalidFrame, "a control message's checksum does not match")
    }
    let version: UInt8 = try reader.read()
    guard version == Self.version else {
      throw HyphaError(
        .invalidFrame, "a control message has version \(version), this program knows \(Self.version)",
        remedy: "upgrade this node")
    }
    let message = try decodeFields(kind: try reader.read(), &reader, limits: limits)
    try reader.finish()
    return message
  }

  private static func decodeFields(kind: UInt8, _ reader: inout ByteReader, limits: WireLimits) throws -> Self
  {
    switch kind {
    case 1:
      return .hello(try reader.readGreeting())
    case 2:
      return .welcome(
        node: try NodeID(reader.readShort()), version: try reader.readVersion(),
        program: try reader.readProgram(),
        topologyVersion: try reader.read())
    case 3:
      return .refused(RefusalKind(rawValue: try reader.read()), reason: try reader.readShort())
    case 4:
      return .sync(log: try reader.readEventID(), since: try reader.read())
    case 5:
      return .heads(
        log: try reader.readEventID(), through: try reader.read(), heads: try reader.readLaneEnds())
    case 6:
      return .fetch(lane: try reader.readLane(), after: try reader.readLanePoint())
    case 7:
      let (lane, after) = (try reader.readLane(), try reader.readLanePoint())
      let count = Int(try reader.read(UInt16.self))
      // Before room is made for them.
      guard count <= reader.remaining / WireFormat.recordHeaderByteCount else {
        throw HyphaError(.invalidFrame, "a control message claims \(count) records")
      }
      let records = try (0..<count).map { _ in
        let byteCount = Int(try reader.read(UInt32.self))
        return try Record(decoding: try reader.read(count: byteCount), limits: limits)
      }
      guard records.allSatisfy({ $0.lane == lane }) else {
        throw HyphaError(.invalidFrame, "a control message has records of another lane than it names")
      }
      return .records(lane: lane, after: after, records: records)
    case 8:
      return .vouch(runs: try (0..<reader.readRunCount()).map { _ in try reader.readRun() })
    case 9:
      return .vouched(try reader.readVoucher())
    case 10:
      return .goodbye
    case 11:
      return .progress(ready: try reader.read(), sending: try reader.read())
    case 12:
      return .copies(
        of: try NodeID(reader.readShort()), log: try reader.readEventID(), since: try reader.read())
    case 13:
      return .copied(
        of: try NodeID(reader.readShort()), log: try reader.readEventID(), through: try reader.read(),
        heads: try reader.readLaneEnds())
    case 14:
      return .incarnation(try reader.readIncarnation())
    default:
      throw HyphaError(
        .invalidFrame, "a control message has the unknown kind \(kind)", remedy: "upgrade this node")
    }
  }
}

extension ByteWriter {
  mutating func write(_ lane: Lane) {
    writeShort(lane.agent.text)
    write(lane.channel.rawValue)
    switch lane.target {
    case .addressee(let agent):
      write(UInt8(0))
      writeShort(agent.text)
    case .type(let type):
      write(UInt8(1))
      writeShort(type.text)
    }
  }

  mutating func write(_ point: LanePoint) {
    write(point.epoch)
    write(point.sequence)
  }
}

extension ByteWriter {
  fileprivate mutating func write(_ heads: [ControlMessage.LaneEnd]) {
    precondition(
      heads.count <= ControlMessage.headCountMax, "a control message has at most 4,096 heads")
    write(UInt16(heads.count))
    for head in heads {
      write(head.lane)
      write(head.point)
    }
  }
}

extension ByteReader {
  fileprivate mutating func readLaneEnds() throws -> [ControlMessage.LaneEnd] {
    let count = Int(try read(UInt16.self))
    guard count <= ControlMessage.headCountMax else {
      throw HyphaError(.tooLarge, "a control message claims \(count) lanes")
    }
    return try (0..<count).map { _ in .init(lane: try readLane(), point: try readLanePoint()) }
  }

  fileprivate mutating func readGreeting() throws -> Greeting {
    let node = try NodeID(readShort())
    let (lowest, highest) = (try readVersion(), try readVersion())
    guard lowest <= highest else {
      throw HyphaError(.invalidFrame, "a greeting has protocol versions from \(lowest) to \(highest)")
    }
    return Greeting(
      node: node, versions: lowest...highest, program: try readProgram(), topologyVersion: try read(),
      topologyHash: try read())
  }

  fileprivate mutating func readVersion() throws -> UInt8 {
    let version: UInt8 = try read()
    guard version > 0 else { throw HyphaError(.invalidFrame, "a greeting has protocol version 0") }
    return version
  }

  fileprivate mutating func readProgram() throws -> String {
    let program = try readShort()
    guard program.utf8.count <= Greeting.programByteCountMax else {
      throw HyphaError(.invalidFrame, "a greeting has a program version of \(program.utf8.count) bytes")
    }
    return program
  }

  mutating func readLane() throws -> Lane {
    let agent = try AgentID(readShort())
    guard let channel = Channel(rawValue: try read()) else {
      throw HyphaError(.invalidFrame, "a control message names no known channel")
    }
    let kind: UInt8 = try read()
    let target = try readShort()
    switch kind {
    case 0: return Lane(agent: agent, channel: channel, target: .addressee(try AgentID(target)))
    case 1: return Lane(agent: agent, channel: channel, target: .type(try EventTypeName(target)))
    default: throw HyphaError(.invalidFrame, "a control message names no known lane target")
    }
  }

  mutating func readLanePoint() throws -> LanePoint {
    LanePoint(epoch: try read(), sequence: try read())
  }
}

extension String {
  /// The longest prefix of whole characters within `count` bytes.
  func prefix(bytes count: Int) -> String {
    guard utf8.count > count else { return self }
    var end = startIndex
    while end < endIndex, case let next = index(after: end),
      utf8.distance(from: startIndex, to: next) <= count
    {
      end = next
    }
    return String(self[..<end])
  }
}
