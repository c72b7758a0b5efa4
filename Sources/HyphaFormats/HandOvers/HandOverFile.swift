import Foundation
import HyphaCore

/// Hand-overs as a compact CSV file (RFC 4180), so that a recording need be read only once.
///
/// ```
/// index,time,case,activity,from,to,predecessor
/// 0,2011-10-01T08:08:58.256000Z,173688,W_Completeren aanvraag,112,10862,
/// 1,2011-10-01T09:45:13.917000Z,173688,W_Nabellen offertes,10862,10913,0
/// ```
///
/// Indices run from 0 without gaps; times are UTC with microseconds and do not decrease; `from` and `to`
/// differ; `predecessor` is the index of the case's hand-over before, empty at the case's first. These
/// rules are checked before each write and after each read. The file may be read gzip'd.
public enum HandOverFile {
  /// The first line.
  public static let header = "index,time,case,activity,from,to,predecessor"

  /// Writes `handOvers` to `path`, replacing what is there.
  ///
  /// The file appears whole or not at all: it is written beside its place and then renamed.
  ///
  /// - Throws: `invalidInput` when the hand-overs break a rule, `fileUnavailable` when the file cannot be
  ///   written.
  public static func write(_ handOvers: some Sequence<HandOver>, to path: String) throws {
    let partial = "\(path).\(UUID().uuidString).partial"
    do {
      guard FileManager.default.createFile(atPath: partial, contents: nil),
        let file = FileHandle(forWritingAtPath: partial)
      else { throw unwritable(path, nil) }
      try write(handOvers, path, file)
      do { try file.close() } catch { throw unwritable(path, error) }
      guard rename(partial, path) == 0 else {
        throw unwritable(path, nil, cause: String(cString: strerror(errno)))
      }
    } catch {
      unlink(partial)
      throw error
    }
  }

  /// Calls `body` with each hand-over of the file at `path`, in order.
  ///
  /// - Throws: `invalidInput` naming file and line when a rule is broken, `fileUnavailable`, `tooLarge`
  ///   past a limit, and what `body` throws.
  public static func read(
    path: String, limits: InputLimits = InputLimits(), _ body: (HandOver) throws -> Void
  ) throws {
    let source = try GzipInputStream(path: path, limits: limits)
    let records = CSVRecordReader(source: source, delimiter: .comma, limits: limits)
    let names = header.split(separator: ",").map(String.init)
    guard try records.next(), try records.fields() == names else {
      throw HyphaError(
        .invalidInput, "\(path) line 1: this is not the header of a hand-over file",
        remedy: "the header is \(header)")
    }
    var rules = HandOverRules()
    while try records.next() {
      guard records.fieldCount == names.count else {
        throw records.error("the record has \(records.fieldCount) fields, not \(names.count)", remedy)
      }
      let handOver = try handOver(records)
      if let violation = rules.violation(handOver) { throw records.error(violation, remedy) }
      try body(handOver)
    }
  }

  /// The hand-overs of the file at `path`, all in memory.
  ///
  /// - Throws: as ``read(path:limits:_:)``, and `tooLarge` when there are more than
  ///   `maximumHandOvers`.
  public static func load(
    path: String, maximumHandOvers: Int = 5_000_000, limits: InputLimits = InputLimits()
  ) throws -> [HandOver] {
    var all: [HandOver] = []
    try read(path: path, limits: limits) { handOver in
      guard all.count < maximumHandOvers else {
        throw HyphaError(
          .tooLarge, "\(path) has more than \(maximumHandOvers) hand-overs",
          remedy: "raise the limit, or read the file as a stream")
      }
      all.append(handOver)
    }
    return all
  }

  private static let remedy = "write the file anew from its recording"
  private static let flushByteCount = 64 << 10

  private static func write(
    _ handOvers: some Sequence<HandOver>, _ path: String, _ file: FileHandle
  ) throws {
    var rules = HandOverRules()
    var text = header + "\n"
    func flush() throws {
      do { try file.write(contentsOf: Data(text.utf8)) } catch { throw unwritable(path, error) }
      text.removeAll(keepingCapacity: true)
    }
    for handOver in handOvers {
      let violation = rules.violation(handOver)
      guard violation == nil, let time = RecordedTime.text(handOver.time) else {
        throw HyphaError(
          .invalidInput,
          "hand-over \(handOver.index) cannot be written to \(path): \(violation ?? "it has no time")",
          remedy: "take the hand-overs from HandOvers, unchanged and in order")
      }
      text += "\(handOver.index),\(time),\(quoted(handOver.caseID)),\(quoted(handOver.activity)),"
      text += "\(quoted(handOver.from)),\(quoted(handOver.to)),"
      if let predecessor = handOver.predecessor { text += String(predecessor) }
      text += "\n"
      if text.utf8.count >= flushByteCount { try flush() }
    }
    try flush()
  }

  private static func handOver(_ records: CSVRecordReader) throws -> HandOver {
    let index = try number(records, 0, "index")
    let time = try records.field(1)
    guard let microseconds = RecordedTime.microseconds(time, form: .rfc3339) else {
      throw records.error("`\(time.prefix(80))` is not a time", remedy)
    }
    let predecessor = try records.field(6).isEmpty ? nil : number(records, 6, "predecessor")
    return HandOver(
      index: index, caseID: try records.field(2), activity: try records.field(3),
      from: try records.field(4), to: try records.field(5), time: microseconds, predecessor: predecessor)
  }

  private static func number(_ records: CSVRecordReader, _ place: Int, _ name: String) throws -> Int {
    let text = try records.field(place)
    guard let value = Int(text), value >= 0 else {
      throw records.error("the \(name) `\(text.prefix(80))` is not a number from 0", remedy)
    }
    return value
  }

  /// The field as RFC 4180 wants it: in quotes if it holds a comma, a quote or a line end.
  private static func quoted(_ field: String) -> String {
    let needsQuotes = field.utf8.contains { byte in
      switch byte {
      case UInt8(ascii: ","), UInt8(ascii: "\""), UInt8(ascii: "\n"), UInt8(ascii: "\r"): true
      default: false
      }
    }
    return needsQuotes ? "\"\(field.replacingOccurrences(of: "\"", with: "\"\""))\"" : field
  }

  private static func unwritable(_ path: String, _ error: (any Error)?, cause: String? = nil) -> HyphaError {
    HyphaError(
      .fileUnavailable, "\(path) cannot be written", remedy: "give a path in a writable directory",
      cause: cause ?? error.map { "\($0)" })
  }
}
