public import HyphaCore

/// A run of a lane's events: those after one point, up to and with another.
public struct LaneRun: Sendable, Hashable {
  /// The lane.
  public var lane: Lane
  /// The event before the first; ``LanePoint/start`` where the run begins the lane.
  public var after: LanePoint
  /// The last event.
  public var through: LanePoint

  /// A run by its parts.
  public init(lane: Lane, after: LanePoint, through: LanePoint) {
    self.lane = lane
    self.after = after
    self.through = through
  }
}

/// The bytes whose SHA-256 stands for a run: its lane, where it begins, and all of its records in their order.
///
/// | bytes | what |
/// |---:|---|
/// | 16 | `hypha.lane.run\0\0` |
/// | | lane, point after which it begins, both as in control messages |
/// | 4 + n, each | length of a record, and the record |
///
/// Both sides end a run in the same way, so that each reads no more than the bounds: with the event that is asked for, or
/// the one that fills it.
public struct RunContent: Sendable {
  /// The most events of a run.
  public static let countMax = 1024
  /// A run that has as many bytes of records takes no further one.
  public static let byteCountMax = 256 << 10

  /// What was added so far.
  public private(set) var bytes: [UInt8]
  /// How many events were added.
  public private(set) var count = 0
  /// How many bytes their records have.
  private var recordByteCount = 0

  /// A run without events.
  public init(of lane: Lane, after: LanePoint) {
    var writer = ByteWriter()
    writer.write("hypha.lane.run\0\0")
    writer.write(lane)
    writer.write(after)
    bytes = writer.bytes
  }

  /// Whether it takes no further event.
  public var isFull: Bool { count >= Self.countMax || recordByteCount >= Self.byteCountMax }

  /// Adds the next event.
  public mutating func add(_ record: Record) {
    withUnsafeBytes(of: UInt32(record.bytes.count).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: record.bytes)
    recordByteCount += record.bytes.count
    count += 1
  }
}

/// What an origin says of runs of its lanes, and its signature. A digest is true for ever, so it may be kept and passed on.
public struct RunVoucher: Sendable, Hashable {
  /// What is said of a run.
  public enum Verdict: Sendable, Hashable {
    /// The origin has no such run: not the event at one of its ends; or none for the node that has asked, or none that it can
    /// read. It may have it later.
    case unknown
    /// The origin has removed some of it from its log, and cannot say any more.
    case gone
    /// The SHA-256 of the run's ``RunContent`` at its origin, 32 bytes.
    case digest([UInt8])
  }

  /// One run, and what is said of it.
  public struct Entry: Sendable, Hashable {
    public var run: LaneRun
    public var verdict: Verdict

    /// An entry by its parts.
    public init(run: LaneRun, verdict: Verdict) {
      self.run = run
      self.verdict = verdict
    }
  }

  static let digestByteCount = 32
  static let signatureByteCount = 64

  /// Who says it.
  public var origin: NodeID
  /// At most ``ControlMessage/runCountMax``.
  public var entries: [Entry]
  /// The Ed25519 signature of ``statement``, 64 bytes.
  public var signature: [UInt8]

  /// A voucher that `sign` signs.
  public init(origin: NodeID, entries: [Entry], sign: ([UInt8]) -> [UInt8]) {
    self.origin = origin
    self.entries = entries
    signature = []
    signature = sign(statement)
  }

  /// What is signed: `hypha.vouches\0\0\0`, then the voucher as in its control message, up to the signature.
  public var statement: [UInt8] {
    var writer = ByteWriter()
    writer.write("hypha.vouches\0\0\0")
    writer.write(unsigned: self)
    return writer.bytes
  }
}

// MARK: Bytes

extension ByteWriter {
  mutating func write(_ run: LaneRun) {
    write(run.lane)
    write(run.after)
    write(run.through)
  }

  /// A voucher without its signature.
  mutating func write(unsigned voucher: RunVoucher) {
    writeShort(voucher.origin.text)
    precondition(voucher.entries.count <= ControlMessage.runCountMax, "a voucher has at most 64 runs")
    write(UInt8(voucher.entries.count))
    for entry in voucher.entries {
      write(entry.run)
      switch entry.verdict {
      case .unknown: write(UInt8(0))
      case .gone: write(UInt8(1))
      case .digest(let digest):
        precondition(digest.count == RunVoucher.digestByteCount, "a digest has 32 bytes")
        write(UInt8(2))
        write(digest)
      }
    }
  }
}

extension ByteReader {
  mutating func readRun() throws -> LaneRun {
    let run = LaneRun(lane: try readLane(), after: try readLanePoint(), through: try readLanePoint())
    guard run.after < run.through else {
      throw HyphaError(.invalidFrame, "a control message has a run of \(run.lane) that ends before it begins")
    }
    return run
  }

  /// How many runs follow.
  mutating func readRunCount() throws -> Int {
    let count = Int(try read(UInt8.self))
    guard count <= ControlMessage.runCountMax else {
      throw HyphaError(.tooLarge, "a control message claims \(count) runs")
    }
    return count
  }

  mutating func readVoucher() throws -> RunVoucher {
    let origin = try NodeID(readShort())
    let entries = try (0..<readRunCount()).map { _ in
      let run = try readRun()
      switch try read(UInt8.self) {
      case 0: return RunVoucher.Entry(run: run, verdict: .unknown)
      case 1: return RunVoucher.Entry(run: run, verdict: .gone)
      case 2:
        return RunVoucher.Entry(
          run: run, verdict: .digest(Array(try read(count: RunVoucher.digestByteCount))))
      case let kind:
        throw HyphaError(.invalidFrame, "a control message has the unknown verdict \(kind)")
      }
    }
    let signature = Array(try read(count: RunVoucher.signatureByteCount))
    return RunVoucher(origin: origin, entries: entries) { _ in signature }
  }
}
