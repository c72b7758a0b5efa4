/// Appends little-endian integers and length-prefixed texts.
public struct ByteWriter: Sendable {
  /// What was written so far.
  public private(set) var bytes: [UInt8]

  /// An empty writer with room for `capacity` bytes.
  public init(capacity: Int = 256) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// Appends an integer, least significant byte first.
  public mutating func write<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// Appends bytes as they are.
  public mutating func write(_ more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

  /// Appends a text's UTF-8 as it is, without a length.
  public mutating func write(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// Appends a length of one byte and the text; the text is at most 255 bytes.
  public mutating func writeShort(_ text: String) {
    precondition(text.utf8.count <= 255, "a short text has at most 255 bytes")
    write(UInt8(text.utf8.count))
    write(text)
  }

  /// Replaces four bytes at `offset`.
  public mutating func patch(_ value: UInt32, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) {
      bytes.replaceSubrange(offset..<offset + 4, with: $0)
    }
  }
}

/// Takes little-endian integers and texts off the front of bytes that nobody has checked yet.
public struct ByteReader {
  private let bytes: UnsafeRawBufferPointer
  private let code: HyphaError.Code
  private let noun: String
  /// How many bytes were taken so far.
  public private(set) var offset: Int

  /// A reader of `bytes`, which it must not outlive. `noun` names the object in errors.
  public init(_ bytes: UnsafeRawBufferPointer, code: HyphaError.Code = .invalidFrame, noun: String) {
    self.bytes = bytes
    self.code = code
    self.noun = noun
    offset = 0
  }

  /// How many bytes are left.
  public var remaining: Int { bytes.count - offset }

  /// The next integer.
  public mutating func read<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws -> Value {
    let size = MemoryLayout<Value>.size
    guard remaining >= size else { throw cutShort() }
    defer { offset += size }
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  /// The next `count` bytes.
  public mutating func read(count: Int) throws -> UnsafeRawBufferPointer {
    guard count >= 0, remaining >= count else { throw cutShort() }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  /// The next `count` bytes as a text that must be valid UTF-8.
  public mutating func readText(count: Int) throws -> String {
    let slice = try read(count: count)
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw HyphaError(code, "\(noun) has text that is not UTF-8 at byte \(offset - count)")
    }
    return text
  }

  /// A text after its length of one byte.
  public mutating func readShort() throws -> String { try readText(count: Int(read(UInt8.self))) }

  /// Fails when bytes are left over.
  public func finish() throws {
    guard remaining == 0 else { throw HyphaError(code, "\(noun) has \(remaining) bytes beyond its end") }
  }

  private func cutShort() -> HyphaError {
    HyphaError(code, "\(noun) is cut short: it ends at byte \(bytes.count)")
  }
}
