import CZlib
import Foundation
import HyphaCore

/// The bytes of a file, plain or gzip, in pieces of up to 64 KiB.
///
/// Whether a file is gzip is decided by its first two bytes (1f 8b, RFC 1952), never by its name. A gzip
/// file of several members reads as their concatenation; zero bytes after the last one are padding.
/// Memory stays at two buffers of 64 KiB whatever the file holds.
///
/// Not thread-safe: use a stream from one thread. It reads forward only, so a pipe, a FIFO or a terminal works too; opening one
/// never waits for its other end, reading does, and whoever reads may be asked meanwhile whether to go on.
public final class GzipInputStream {
  /// The path that was opened, as errors name it.
  public let path: String
  /// Whether the file is compressed.
  public let isGzip: Bool
  /// Whether the bytes are those of a regular file at ``path``, which another reader may open too.
  public let isRegularFile: Bool
  /// The bytes handed out so far, after decompression.
  public private(set) var byteCount = 0

  private let limits: InputLimits
  private let feed: ByteFeed
  /// What was read from the file and not yet consumed: `input[inputStart..<inputEnd]`.
  private let input: UnsafeMutablePointer<UInt8>
  private var inputStart = 0
  private var inputEnd = 0
  private var consumedByteCount = 0
  /// zlib remembers the address of its stream, so the stream lives in memory of its own.
  private let inflater: UnsafeMutablePointer<z_stream>
  private var stage = Stage.member
  /// Decompressed bytes that ``peek()`` has seen and ``read(into:)`` has yet to hand out.
  private var peeked: [UInt8] = []
  private var peekedStart = 0

  private enum Stage { case member, betweenMembers, finished }

  /// The size of each read and of each buffer.
  public static let chunkByteCount = 64 << 10

  /// Opens the file at `path` and looks at its first bytes.
  ///
  /// - Parameter checkpoint: called before each read of the file, and ten times a second while there is nothing to be read
  ///   yet; what it throws ends the read.
  /// - Throws: `fileUnavailable` when the file is missing or unreadable, with the system's reason.
  public convenience init(
    path: String, limits: InputLimits = InputLimits(), checkpoint: @escaping () throws -> Void = {}
  ) throws {
    try self.init(ByteFeed(opening: path, checkpoint), limits)
  }

  /// Reads the process's standard input, which errors call so.
  ///
  /// - Parameter checkpoint: as for a file.
  /// - Throws: `fileUnavailable` where there is none.
  public static func standardInput(
    limits: InputLimits = InputLimits(), checkpoint: @escaping () throws -> Void = {}
  ) throws -> GzipInputStream {
    try GzipInputStream(ByteFeed(duplicating: STDIN_FILENO, "standard input", checkpoint), limits)
  }

  /// Takes the feed over, also where it throws.
  private init(_ feed: ByteFeed, _ limits: InputLimits) throws {
    let input = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.chunkByteCount)
    let inflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    inflater.initialize(to: z_stream())
    do {
      // A pipe may give one byte at a time, and the decision needs two.
      while inputEnd < 2 {
        let count = try feed.read(input + inputEnd, Self.chunkByteCount - inputEnd)
        if count == 0 { break }
        inputEnd += count
      }
      isGzip = inputEnd >= 2 && input[0] == 0x1f && input[1] == 0x8b
      // 15 bits of window, and 16 to expect a gzip header and trailer (zlib.h, inflateInit2).
      if isGzip, hypha_inflate_init(inflater, 15 + 16) != Z_OK {
        throw HyphaError(.failed, "zlib cannot start for \(feed.name)", remedy: "free some memory")
      }
    } catch {
      feed.close()
      input.deallocate()
      inflater.deallocate()
      throw error
    }
    path = feed.name
    isRegularFile = feed.isRegularFile
    self.limits = limits
    self.feed = feed
    self.input = input
    self.inflater = inflater
  }

  deinit {
    if isGzip { inflateEnd(inflater) }
    inflater.deallocate()
    input.deallocate()
    feed.close()
  }

  /// Fills the front of `buffer` and returns how many bytes; 0 only at the end of the file.
  ///
  /// - Throws: `invalidInput` when the compressed data is damaged or ends early, `tooLarge` past a limit,
  ///   `fileUnavailable` when the file cannot be read on.
  public func read(into buffer: UnsafeMutableBufferPointer<UInt8>) throws -> Int {
    guard let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
    if peekedStart < peeked.count {
      let count = min(buffer.count, peeked.count - peekedStart)
      peeked.withUnsafeBufferPointer { seen in
        // An array that has elements has a base address.
        base.update(from: seen.baseAddress! + peekedStart, count: count)
      }
      peekedStart += count
      if peekedStart == peeked.count {
        peeked = []
        peekedStart = 0
      }
      return count
    }
    return try produce(base, min(buffer.count, Self.chunkByteCount))
  }

  /// The first bytes, up to 64 KiB of them, without taking them from the stream. Call it before reading.
  public func peek() throws -> [UInt8] {
    guard byteCount == 0 else { return Array(peeked[peekedStart...]) }
    peeked = try [UInt8](unsafeUninitializedCapacity: Self.chunkByteCount) { buffer, filled in
      while filled < Self.chunkByteCount, let base = buffer.baseAddress {
        let count = try produce(base + filled, Self.chunkByteCount - filled)
        if count == 0 { break }
        filled += count
      }
    }
    return peeked
  }

  /// Writes all that is left to a new file at `path`, for a reader that needs one.
  ///
  /// - Throws: `fileUnavailable` when it cannot be written, and what reading throws.
  public func copy(to path: String) throws {
    let target = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    defer { if target >= 0 { close(target) } }
    var chunk = [UInt8](repeating: 0, count: Self.chunkByteCount)
    var isWritten = target >= 0
    while isWritten {
      let count = try chunk.withUnsafeMutableBufferPointer { try read(into: $0) }
      if count == 0 { return }
      var start = 0
      while isWritten, start < count {
        let step = chunk[start..<count].withUnsafeBytes { write(target, $0.baseAddress, $0.count) }
        isWritten = step >= 0 || errno == EINTR
        start += max(step, 0)
      }
    }
    throw HyphaError(
      .fileUnavailable, "\(path) cannot be written", remedy: "make room, or name a place elsewhere",
      cause: String(cString: strerror(errno)))
  }

  private func produce(_ target: UnsafeMutablePointer<UInt8>, _ capacity: Int) throws -> Int {
    let count = isGzip ? try inflate(target, capacity) : try copy(target, capacity)
    byteCount += count
    guard byteCount <= limits.maximumByteCount else {
      throw HyphaError(
        .tooLarge, "\(path) holds more than \(limits.maximumByteCount) bytes\(isGzip ? " decompressed" : "")",
        remedy: "raise maximumByteCount if the file is to be trusted")
    }
    // Division, not multiplication: a hostile limit must not overflow.
    if isGzip, byteCount > InputLimits.ratioFloorByteCount,
      byteCount / max(consumedByteCount, 1) > limits.maximumRatio
    {
      throw HyphaError(
        .tooLarge,
        "\(path) decompresses to more than \(limits.maximumRatio) times its size, as a gzip bomb does",
        remedy: "raise maximumRatio if the file is to be trusted")
    }
    return count
  }

  private func copy(_ target: UnsafeMutablePointer<UInt8>, _ capacity: Int) throws -> Int {
    guard try refill() else { return 0 }
    let count = min(capacity, inputEnd - inputStart)
    target.update(from: input + inputStart, count: count)
    inputStart += count
    return count
  }

  private func inflate(_ target: UnsafeMutablePointer<UInt8>, _ capacity: Int) throws -> Int {
    while stage != .finished {
      guard try refill() else {
        if stage == .member { throw truncated() }
        stage = .finished
        break
      }
      if stage == .betweenMembers {
        try skipToNextMember()
        continue
      }
      inflater.pointee.next_in = input + inputStart
      inflater.pointee.avail_in = UInt32(inputEnd - inputStart)
      inflater.pointee.next_out = target
      inflater.pointee.avail_out = UInt32(capacity)
      let result = CZlib.inflate(inflater, Z_NO_FLUSH)
      let consumed = inputEnd - inputStart - Int(inflater.pointee.avail_in)
      inputStart += consumed
      consumedByteCount += consumed
      let produced = capacity - Int(inflater.pointee.avail_out)
      switch result {
      case Z_OK, Z_BUF_ERROR: break
      case Z_STREAM_END: stage = .betweenMembers
      default:
        let reason = inflater.pointee.msg.map { String(cString: $0) } ?? "zlib error \(result)"
        throw damaged(reason, produced)
      }
      if produced > 0 { return produced }
    }
    return 0
  }

  private func skipToNextMember() throws {
    while inputStart < inputEnd, input[inputStart] == 0 { inputStart += 1 }
    guard inputStart < inputEnd else { return }
    guard input[inputStart] == 0x1f else { throw damaged("bytes after the end are not a gzip member") }
    inflateReset(inflater)
    stage = .member
  }

  /// Makes sure that there is unconsumed input; false at the end of the file.
  private func refill() throws -> Bool {
    if inputStart < inputEnd { return true }
    inputStart = 0
    inputEnd = try feed.read(input, Self.chunkByteCount)
    return inputEnd > 0
  }

  private func truncated() -> HyphaError {
    HyphaError(
      .invalidInput, "\(path) is gzip and ends before its data does, after \(byteCount) bytes of content",
      remedy: "fetch the file again; it was cut short")
  }

  private func damaged(_ cause: String, _ produced: Int = 0) -> HyphaError {
    HyphaError(
      .invalidInput, "\(path) is damaged gzip after \(byteCount + produced) bytes of content",
      remedy: "fetch the file again; `gzip -t` tells when it is whole", cause: cause)
  }
}
