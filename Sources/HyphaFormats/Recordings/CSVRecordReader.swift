import HyphaCore

/// What separates the fields of a table.
public enum CSVDelimiter: String, CaseIterable, Hashable, Sendable {
  /// `,`
  case comma = ","
  /// `;`
  case semicolon = ";"
  /// A tab.
  case tab = "\t"

  var byte: UInt8 {
    switch self {
    case .comma: UInt8(ascii: ",")
    case .semicolon: UInt8(ascii: ";")
    case .tab: UInt8(ascii: "\t")
    }
  }

  /// The delimiter that occurs most outside of quotes in the first line of `bytes`; a comma in doubt.
  static func detected(in bytes: [UInt8]) -> CSVDelimiter {
    var counts = [Int](repeating: 0, count: allCases.count)
    var isQuoted = false
    for byte in bytes {
      if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
      if isQuoted { continue }
      if byte == UInt8(ascii: "\n") { break }
      for (index, delimiter) in allCases.enumerated() where delimiter.byte == byte { counts[index] += 1 }
    }
    var best = 0
    for index in counts.indices where counts[index] > counts[best] { best = index }
    return allCases[best]
  }
}

/// The records of a CSV file (RFC 4180), one at a time, with the line where each starts.
///
/// A field in quotes may hold delimiters, line ends and doubled quotes. A quote inside of an unquoted
/// field, or text after a closing quote, is an error rather than a guess. Blank lines are passed over. The
/// reader keeps one record, whose length is bounded.
final class CSVRecordReader {
  /// The line at which the current record starts, from 1.
  private(set) var lineNumber = 0
  /// The number of fields of the current record.
  var fieldCount: Int { fieldEnds.count }

  private let source: GzipInputStream
  private let delimiter: UInt8
  private let maximumRecordByteCount: Int
  private var chunk = [UInt8](repeating: 0, count: GzipInputStream.chunkByteCount)
  private var place = 0
  private var end = 0
  private var isAtStart = true
  private var currentLine = 1
  /// The record's fields, unquoted, one behind the other.
  private var bytes: [UInt8] = []
  private var fieldEnds: [Int] = []

  private enum State { case fieldStart, unquoted, quoted, quoteInQuoted, afterReturn }
  private static let maximumFieldCount = 10_000

  init(source: GzipInputStream, delimiter: CSVDelimiter, limits: InputLimits) {
    self.source = source
    self.delimiter = delimiter.byte
    maximumRecordByteCount = limits.maximumLineByteCount
  }

  /// Moves to the next record; false after the last one.
  func next() throws -> Bool {
    repeat {
      guard try scanRecord() else { return false }
    } while isBlank
    return true
  }

  /// The text of one field of the current record.
  func field(_ index: Int) throws -> String {
    let start = index == 0 ? 0 : fieldEnds[index - 1]
    guard let text = String(validating: bytes[start..<fieldEnds[index]], as: UTF8.self) else {
      throw error("the record is not UTF-8", "convert the file to UTF-8, for example with iconv")
    }
    return text
  }

  /// All fields of the current record.
  func fields() throws -> [String] {
    try (0..<fieldCount).map { try field($0) }
  }

  /// An error about the current record.
  func error(_ problem: String, _ remedy: String) -> HyphaError {
    HyphaError(.invalidInput, "\(source.path) line \(lineNumber): \(problem)", remedy: remedy)
  }

  /// A line without anything on it; `""` is a record of one empty field, and as blank.
  private var isBlank: Bool { fieldEnds.count == 1 && bytes.isEmpty }

  private func scanRecord() throws -> Bool {
    bytes.removeAll(keepingCapacity: true)
    fieldEnds.removeAll(keepingCapacity: true)
    lineNumber = currentLine
    var state = State.fieldStart
    var isEmptyHanded = true
    while let byte = try nextByte() {
      isEmptyHanded = false
      if byte == UInt8(ascii: "\n") { currentLine += 1 }
      if try accept(byte, &state) { return true }
    }
    if state == .quoted { throw error("a quoted field is never closed", "close it with a double quote") }
    if isEmptyHanded { return false }
    try endField()
    return true
  }

  /// Takes one byte; true when it ends the record.
  private func accept(_ byte: UInt8, _ state: inout State) throws -> Bool {
    switch (state, byte) {
    case (.quoted, UInt8(ascii: "\"")): state = .quoteInQuoted
    case (.quoted, _): try append(byte)
    case (.quoteInQuoted, UInt8(ascii: "\"")):
      try append(byte)
      state = .quoted
    case (_, UInt8(ascii: "\n")):
      try endField()
      return true
    case (.afterReturn, _):
      throw error("a carriage return stands alone", "end lines with LF or CRLF, and quote it within a field")
    case (_, UInt8(ascii: "\r")): state = .afterReturn
    case (_, delimiter):
      try endField()
      state = .fieldStart
    case (.fieldStart, UInt8(ascii: "\"")): state = .quoted
    case (.quoteInQuoted, _):
      throw error("text follows a closing quote", "double the quotes within a quoted field (RFC 4180)")
    case (.unquoted, UInt8(ascii: "\"")):
      throw error("a quote stands in an unquoted field", "quote the field and double the quotes within")
    case (.fieldStart, _), (.unquoted, _):
      try append(byte)
      state = .unquoted
    }
    return false
  }

  private func append(_ byte: UInt8) throws {
    guard bytes.count < maximumRecordByteCount else {
      throw HyphaError(
        .tooLarge,
        "\(source.path) line \(lineNumber): the record is longer than \(maximumRecordByteCount) bytes",
        remedy: "look for a quote that is never closed, or raise maximumLineByteCount")
    }
    bytes.append(byte)
  }

  private func endField() throws {
    guard fieldEnds.count < Self.maximumFieldCount else {
      throw HyphaError(
        .tooLarge,
        "\(source.path) line \(lineNumber): the record has more than \(Self.maximumFieldCount) fields",
        remedy: "leave out the columns that are not needed")
    }
    fieldEnds.append(bytes.count)
  }

  private func nextByte() throws -> UInt8? {
    if place == end {
      place = 0
      end = try chunk.withUnsafeMutableBufferPointer { try source.read(into: $0) }
      if end == 0 { return nil }
      if isAtStart {
        isAtStart = false
        // One read gives all that a byte order mark needs, unless the file is a dripping pipe.
        if end > 3, chunk.starts(with: ByteOrderMark.utf8) { place = 3 }
      }
    }
    defer { place += 1 }
    return chunk[place]
  }
}
