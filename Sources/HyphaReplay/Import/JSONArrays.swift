import HyphaCore
import HyphaFormats

/// The elements of the arrays that are members of one JSON object: `{"events": […], "objects": […]}`. The file is never loaded
/// whole; an element is.
struct JSONArrays {
  private let source: GzipInputStream
  private let byteCountMax: Int
  private var chunk = [UInt8](repeating: 0, count: GzipInputStream.chunkByteCount)
  private var (start, end) = (0, 0)
  private var readCount = 0

  init(_ source: GzipInputStream, limits: InputLimits) {
    self.source = source
    byteCountMax = limits.maximumLineByteCount
  }

  /// Calls `body` with each element and the name of its array, in the order of the file. Members that are no arrays are passed
  /// over.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` for what is no such file, or ends too early; ``HyphaError/Code/tooLarge`` for
  ///   an element that is; what reading the file and `body` throw.
  mutating func forEach(_ body: (_ array: String, _ element: [UInt8]) throws -> Void) throws {
    // A byte order mark.
    while let byte = try peek(), [0xEF, 0xBB, 0xBF].contains(byte) { start += 1 }
    try expect(UInt8(ascii: "{"))
    guard try next() != UInt8(ascii: "}") else { return try finish() }
    while true {
      let bytes = try value()
      guard let name = try? JSON.decode(String.self, from: bytes) else {
        throw unexpected("name of a member")
      }
      try expect(UInt8(ascii: ":"))
      if try next() == UInt8(ascii: "[") {
        try expect(UInt8(ascii: "["))
        try elements { try body(name, $0) }
      } else {
        _ = try value()
      }
      guard try next() == UInt8(ascii: ",") else { break }
      try expect(UInt8(ascii: ","))
    }
    try finish()
  }

  private mutating func elements(_ body: ([UInt8]) throws -> Void) throws {
    if try next() == UInt8(ascii: "]") { return start += 1 }
    while true {
      try body(value())
      if try next() == UInt8(ascii: "]") { return start += 1 }
      try expect(UInt8(ascii: ","))
    }
  }

  private mutating func finish() throws {
    try expect(UInt8(ascii: "}"))
    while let byte = try peek() {
      guard [0x20, 0x09, 0x0A, 0x0D].contains(byte) else { throw unexpected("end") }
      start += 1
    }
  }

  /// The bytes of the value that comes next. That they are JSON is for their reader to say.
  private mutating func value() throws -> [UInt8] {
    var bytes: [UInt8] = []
    var depth = 0
    var (isInString, isEscaped) = (false, false)
    _ = try next()
    while let byte = try peek() {
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
          if depth == 0 { return bytes }
          depth -= 1
        case UInt8(ascii: ","), UInt8(ascii: ":"), 0x20, 0x09, 0x0A, 0x0D: if depth == 0 { return bytes }
        default: break
        }
      }
      bytes.append(byte)
      start += 1
      if depth == 0, !isInString,
        byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") || byte == UInt8(ascii: "\"")
      {
        return bytes
      }
      guard bytes.count <= byteCountMax else {
        throw HyphaError(
          .tooLarge,
          "\(source.path) has an element of more than \(byteCountMax) bytes, before byte \(readCount)",
          remedy: "give a file of events, each of which is shorter")
      }
    }
    throw cutShort()
  }

  /// The byte behind white space, which stays to be read.
  private mutating func next() throws -> UInt8 {
    while let byte = try peek() {
      guard [0x20, 0x09, 0x0A, 0x0D].contains(byte) else { return byte }
      start += 1
    }
    throw cutShort()
  }

  private mutating func expect(_ wanted: UInt8) throws {
    guard try next() == wanted else { throw unexpected("'\(Character(Unicode.Scalar(wanted)))'") }
    start += 1
  }

  private mutating func peek() throws -> UInt8? {
    if start == end {
      start = 0
      end = try chunk.withUnsafeMutableBufferPointer { try source.read(into: $0) }
      readCount += end
      if end == 0 { return nil }
    }
    return chunk[start]
  }

  private func unexpected(_ wanted: String) -> HyphaError {
    HyphaError(
      .invalidInput, "\(source.path) has no \(wanted) at byte \(readCount - (end - start))",
      remedy: "give an object-centric event log (OCEL 2.0) in JSON")
  }

  private func cutShort() -> HyphaError {
    HyphaError(
      .invalidInput, "\(source.path) ends within its data, behind byte \(readCount)",
      remedy: "fetch the file again; it was cut short")
  }
}
