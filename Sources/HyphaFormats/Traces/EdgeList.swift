import HyphaCore

/// Reads an edge list: an event a line, `from to time`, separated by tabs, commas, semicolons or spaces.
///
/// ```
/// 582 364 0
/// 168 472 2797
/// ```
///
/// The time may be missing; then the order of the file counts. It is a whole number or a date with a time, as in
/// ``RecordedTime``. A first line with the names `from` and `to`, and maybe `time`, says in which columns they stand;
/// other lines that begin with `#` or `%` are comments. A first line of two numbers, the second of which is the
/// number of lines that follow, is a heading and left out.
public enum EdgeList {
  /// Reads the file at `path`, plain or gzip.
  ///
  /// - Throws: `invalidInput` naming file and line, `fileUnavailable`, `tooLarge` past a limit.
  public static func read(path: String, limits: InputLimits = InputLimits()) throws -> RecordedTraffic {
    let lines = LineReader(try GzipInputStream(path: path, limits: limits), limits: limits)
    var columns: Columns?
    var isNamed = false
    var heading: [Substring] = []
    var rowCount = 0
    var collector = TrafficCollector(path: path)
    while let line = try lines.next() {
      let trimmed = line.drop { $0 == " " || $0 == "\t" }
      if trimmed.isEmpty { continue }
      if columns == nil, let named = Columns(header: line) {
        (columns, isNamed) = (named, true)
        continue
      }
      if trimmed.first == "#" || trimmed.first == "%" { continue }
      let layout = columns ?? Columns(row: line)
      columns = layout
      let fields = layout.split(line)
      rowCount += 1
      if rowCount == 1, !isNamed, fields.count == 2, fields.allSatisfy({ Int($0) != nil }) {
        heading = fields
        continue
      }
      try add(fields, layout, to: &collector, at: lines.lineNumber, of: path)
    }
    if let first = heading.first, let last = heading.last, Int(last) != rowCount - 1 {
      // It was no heading but the first event. Without times, the least one puts it first.
      try collector.add(from: String(first), to: String(last), time: .min)
    }
    guard collector.eventCount > 0 else {
      throw HyphaError(
        .invalidInput, "\(path) has no event between two", remedy: "give lines of the form 'from to time'")
    }
    return collector.finish()
  }

  /// Whether a file that begins with `bytes` is an edge list rather than an event log.
  static func isLikely(_ bytes: [UInt8]) -> Bool {
    let text = String(decoding: bytes.prefix(4096), as: UTF8.self)
    let lines = text.split(whereSeparator: \.isNewline)
    guard let first = lines.first, !first.hasPrefix("<"), !first.hasPrefix("{") else { return false }
    if Columns(header: String(first)) != nil { return true }
    guard let row = lines.first(where: { !$0.hasPrefix("#") && !$0.hasPrefix("%") }) else { return false }
    let fields = Columns(row: String(row)).split(String(row))
    // An event log has a header, in which nothing is a time.
    return fields.count == 2
      || (fields.count > 2 && RecordedTime.microseconds(String(fields[2]), form: .table) != nil)
  }
}

extension EdgeList {
  /// Where in a line what stands.
  private struct Columns {
    var separator: Character
    var from = 0
    var to = 1
    var time: Int?

    /// The layout of a row without a header.
    init(row: String) {
      separator = Self.separator(of: row)
      time = split(row).count >= 3 ? 2 : nil
    }

    /// The layout that a header line names; nil where it names no `from` and `to`.
    init?(header: String) {
      separator = Self.separator(of: header)
      let names = split(header).map { name in
        String(name.drop { $0 == "#" || $0 == "%" || $0 == " " }).lowercased()
      }
      guard let from = names.firstIndex(of: "from"), let to = names.firstIndex(of: "to") else { return nil }
      self.from = from
      self.to = to
      time = names.firstIndex { $0.hasPrefix("time") }
    }

    private static func separator(of line: String) -> Character {
      for separator in ["\t", ";", ","] as [Character] where line.contains(separator) { return separator }
      return " "
    }

    func split(_ line: String) -> [Substring] {
      separator == " "
        ? line.split(separator: " ") : line.split(separator: separator, omittingEmptySubsequences: false)
    }
  }

  private static func add(
    _ fields: [Substring], _ columns: Columns, to collector: inout TrafficCollector, at line: Int,
    of path: String
  ) throws {
    func wrong(_ problem: String) -> HyphaError {
      HyphaError(
        .invalidInput, "\(path) line \(line): \(problem)", remedy: "give lines of the form 'from to time'")
    }
    guard fields.count > max(columns.from, columns.to, columns.time ?? 0) else {
      throw wrong("it has \(fields.count) fields")
    }
    let (from, to) = (fields[columns.from], fields[columns.to])
    guard !from.isEmpty, !to.isEmpty else { throw wrong("an end is empty") }
    var time: Int64 = 0
    if let column = columns.time {
      guard let read = RecordedTime.microseconds(String(fields[column]), form: .table) else {
        throw wrong("'\(fields[column].shown(40))' is no time")
      }
      time = read
    }
    try collector.add(from: String(from), to: String(to), time: time)
  }
}
