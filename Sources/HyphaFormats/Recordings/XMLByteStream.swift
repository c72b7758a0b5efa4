import Foundation
import HyphaCore

/// Feeds an XML parser from a file, and lets only bytes through that it is safe to parse.
///
/// - No document type, see ``XMLPrologGuard``.
/// - Only UTF-8, and of it only whole characters a read. Foundation's parser on Linux traps when libxml2
///   reports a name that is not UTF-8 (seen in fuzzing with Swift 6.3.1: `<log` with one byte altered).
/// - No tag or text of absurd length: libxml2 takes quadratic time for the attributes of one tag (a tag of
///   2 MB with 200,000 of them took 7 s).
///
/// A stream cannot throw, so it ends at the first failure and keeps it.
final class XMLByteStream: InputStream {
  private(set) var failure: (any Error)?
  /// Whether the parser's delegate has given up, so that no more bytes are needed.
  var hasStopped: () -> Bool = { false }

  private let source: GzipInputStream
  private var prologGuard = XMLPrologGuard()
  /// The start of a character whose rest comes with the next read; at most 3 bytes.
  private var held: [UInt8] = []
  /// The line feeds that were let through.
  private var lineFeedCount = 0
  /// The bytes since the last `<`, which cannot stand within a tag.
  private var unbrokenByteCount = 0
  /// The most bytes between two `<`; no attribute of an event needs as much.
  private static let maximumUnbrokenByteCount = 1 << 20

  init(_ source: GzipInputStream) {
    self.source = source
    super.init(data: Data())
  }

  override func open() {}
  override func close() {}
  override var hasBytesAvailable: Bool { failure == nil }

  override func read(_ buffer: UnsafeMutablePointer<UInt8>, maxLength: Int) -> Int {
    if failure != nil || hasStopped() { return 0 }
    do {
      return try fill(UnsafeMutableBufferPointer(start: buffer, count: maxLength))
    } catch {
      failure = error
      return 0
    }
  }

  private func fill(_ buffer: UnsafeMutableBufferPointer<UInt8>) throws -> Int {
    // The parser asks for 128 KiB; with less than one character's room a read could not make progress.
    guard buffer.count > 4 else { return 0 }
    let heldCount = held.count
    for (index, byte) in held.enumerated() { buffer[index] = byte }
    held = []
    let added = try source.read(into: UnsafeMutableBufferPointer(rebasing: buffer[heldCount...]))
    let bytes = UnsafeBufferPointer(rebasing: buffer[..<(heldCount + added)])
    try checkProlog(UnsafeBufferPointer(rebasing: bytes[heldCount...]))
    // At the end of the file nothing is held back: a character cut short is then an error.
    let tailCount = added == 0 ? 0 : Self.countOfCutCharacter(bytes)
    let whole = UnsafeBufferPointer(rebasing: bytes[..<(bytes.count - tailCount)])
    try checkEncoding(whole)
    try checkTags(whole)
    held = Array(bytes[whole.count...])
    if whole.isEmpty, added > 0 { return try fill(buffer) }
    return whole.count
  }

  private func checkProlog(_ bytes: UnsafeBufferPointer<UInt8>) throws {
    switch prologGuard.inspect(bytes) {
    case .undecided, .harmless: break
    case .documentType:
      throw HyphaError(
        .invalidInput,
        "\(source.path) line \(prologGuard.lineNumber): the file declares a document type",
        remedy: "remove the <!DOCTYPE>; entities are not expanded, so that no file can grow by them")
    case .notXML: throw notUTF8("this is not XML in UTF-8", line: prologGuard.lineNumber)
    }
  }

  private func checkEncoding(_ bytes: UnsafeBufferPointer<UInt8>) throws {
    let isValid = String(validating: bytes, as: UTF8.self) != nil
    var rest = UnsafeRawBufferPointer(bytes)
    // memchr, since most of a log's bytes pass here and a debug build should bear it too.
    while let start = rest.baseAddress, let feed = memchr(start, 0x0a, rest.count) {
      let count = UnsafeRawPointer(feed) - UnsafeRawPointer(start) + 1
      if !isValid, String(validating: rest[..<count], as: UTF8.self) == nil { break }
      lineFeedCount += 1
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    if !isValid { throw notUTF8("there are bytes that are not UTF-8", line: lineFeedCount + 1) }
  }

  /// Refuses a tag, or a text, that is absurdly long; what is shorter than a read is never counted.
  private func checkTags(_ bytes: UnsafeBufferPointer<UInt8>) throws {
    let bracket = UInt8(ascii: "<")
    unbrokenByteCount += bytes.firstIndex(of: bracket) ?? bytes.count
    guard unbrokenByteCount <= Self.maximumUnbrokenByteCount else {
      throw HyphaError(
        .tooLarge,
        "\(source.path) has an element or text of more than \(Self.maximumUnbrokenByteCount) bytes",
        remedy: "shorten it; no attribute of an event needs as much")
    }
    if let last = bytes.lastIndex(of: bracket) { unbrokenByteCount = bytes.count - last }
  }

  /// How many bytes at the end of `bytes` begin a character that is not complete.
  private static func countOfCutCharacter(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
    for count in 1...3 where count <= bytes.count {
      let byte = bytes[bytes.count - count]
      if byte & 0xc0 == 0x80 { continue }
      let length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
      return length > count ? count : 0
    }
    return 0
  }

  private func notUTF8(_ problem: String, line: Int) -> HyphaError {
    HyphaError(
      .invalidInput, "\(source.path) line \(line): \(problem)",
      remedy: "give an XES file (IEEE 1849), converted to UTF-8")
  }
}
