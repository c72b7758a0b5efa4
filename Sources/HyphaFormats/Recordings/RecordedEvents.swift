import HyphaCore

/// Reads the events of a recorded process from a file, one at a time.
///
/// ```swift
/// try RecordedEvents.read(path: "bpic2012.xes.gz") { event in
///   print(event.caseID, event.activity, event.resource ?? "-")
/// }
/// ```
///
/// The file may be XES (IEEE 1849), CSV with a header line, or CloudEvents 1.0 in JSON, one a line; plain
/// or gzip. It is never loaded whole. Reading runs on the caller's thread.
public enum RecordedEvents {
  /// The formats that can be read.
  public enum Format: String, CaseIterable, Hashable, Sendable {
    /// The XML of IEEE 1849.
    case xes
    /// A table with a header line (RFC 4180), with commas, semicolons or tabs.
    case csv
    /// CloudEvents 1.0 in JSON, one a line.
    case cloudEvents = "cloudevents"
  }

  /// How to read a file.
  public struct Options: Hashable, Sendable {
    /// The file's format; nil to tell it by the content.
    public var format: Format?
    /// XES: the event attribute that names the resource, such as `org:resource` or `org:role`.
    public var resourceKey: String
    /// XES: the event attribute that names the resource's group.
    public var groupKey: String
    /// CSV: the names of the columns; what is nil is found by the usual names.
    public var columns: CSVColumns
    /// CSV: what separates the fields; nil to tell it by the header line.
    public var delimiter: CSVDelimiter?
    /// Values of a resource or group that mean none, spelled exactly so.
    ///
    /// The defaults are the fillers that event logs are published with. In the public logs at hand they
    /// occur among groups and roles only, so leaving them out changes no published count of hand-overs
    /// between named resources.
    public var placeholders: Set<String>
    /// What the file may cost at most.
    public var limits: InputLimits

    /// Options for reading; the defaults suit a file that follows the standards.
    public init(
      format: Format? = nil, resourceKey: String = "org:resource", groupKey: String = "org:group",
      columns: CSVColumns = CSVColumns(), delimiter: CSVDelimiter? = nil,
      placeholders: Set<String> = ["", "UNKNOWN", "EMPTY", "MISSING", "UNDEFINED"],
      limits: InputLimits = InputLimits()
    ) {
      self.format = format
      self.resourceKey = resourceKey
      self.groupKey = groupKey
      self.columns = columns
      self.delimiter = delimiter
      self.placeholders = placeholders
      self.limits = limits
    }

    /// `value`, or nil when it names nothing.
    func named(_ value: String?) -> String? {
      guard let value, !placeholders.contains(value) else { return nil }
      return value
    }
  }

  /// Calls `body` with each event of the file at `path`, in the order of the file.
  ///
  /// - Returns: the format that the file was read as.
  /// - Throws: `fileUnavailable`, `invalidInput` naming file and line, `tooLarge` past a limit, and what
  ///   `body` throws, which ends the reading.
  @discardableResult
  public static func read(
    path: String, options: Options = Options(), _ body: (RecordedEvent) throws -> Void
  ) throws -> Format {
    try read(GzipInputStream(path: path, limits: options.limits), options: options, body)
  }

  /// The same of a stream from which nothing was read yet but by ``GzipInputStream/peek()``.
  @discardableResult
  public static func read(
    _ source: GzipInputStream, options: Options = Options(), _ body: (RecordedEvent) throws -> Void
  ) throws -> Format {
    let format = try options.format ?? format(of: source)
    switch format {
    case .xes: try XESReader(source: source, options: options).read(body)
    case .csv: try CSVReader(source: source, options: options).read(body)
    case .cloudEvents: try CloudEventsReader(source: source, options: options).read(body)
    }
    return format
  }

  /// Calls `body` with all that an XES file has: its declarations, traces and events, each whole, in the order of the file.
  ///
  /// - Throws: as ``read(path:options:_:)``.
  public static func readXES(
    _ source: GzipInputStream, options: Options = Options(), _ body: (XESPart) throws -> Void
  ) throws {
    try XESReader(source: source, options: options).readParts(body)
  }

  /// The format of a stream from which nothing was read yet, by its first bytes, which stay to be read.
  ///
  /// - Throws: `invalidInput` where it is none of them.
  public static func format(of source: GzipInputStream) throws -> Format {
    try FormatSniffer.format(of: source.peek(), path: source.path)
  }
}

/// Tells a format by the first bytes of a file.
enum FormatSniffer {
  static func format(of bytes: [UInt8], path: String) throws -> RecordedEvents.Format {
    guard !bytes.isEmpty else {
      throw HyphaError(.invalidInput, "\(path) is empty", remedy: "give a file with recorded events")
    }
    if [ByteOrderMark.utf16BigEndian, ByteOrderMark.utf16LittleEndian].contains(where: bytes.starts) {
      throw HyphaError(
        .invalidInput, "\(path) is in UTF-16", remedy: "convert it to UTF-8, for example with iconv")
    }
    let text = bytes.starts(with: ByteOrderMark.utf8) ? bytes[3...] : bytes[...]
    let visible = text.drop { $0 == 0x20 || (0x09...0x0d).contains($0) }
    switch visible.first {
    case UInt8(ascii: "<") where contains(visible, "<log") || contains(visible, ":log"): return .xes
    case UInt8(ascii: "{") where contains(visible, "\"specversion\""): return .cloudEvents
    case UInt8(ascii: "<"), UInt8(ascii: "{"), nil: break
    default: if looksLikeTable(visible) { return .csv }
    }
    throw HyphaError(
      .invalidInput, "the format of \(path) is not recognised",
      remedy: """
        give XES, CSV with a header line, or CloudEvents 1.0 as JSON lines, each plain or gzip, \
        or name the format
        """)
  }

  /// A table starts with a line of UTF-8 text that has a delimiter and no control characters.
  private static func looksLikeTable(_ bytes: ArraySlice<UInt8>) -> Bool {
    let line = bytes.prefix { $0 != 0x0a && $0 != 0x0d }
    guard line.contains(where: { byte in CSVDelimiter.allCases.contains { $0.byte == byte } }),
      !line.contains(where: { $0 < 0x20 && $0 != 0x09 })
    else { return false }
    return String(validating: line, as: UTF8.self) != nil
  }

  private static func contains(_ bytes: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
    text.withUTF8Buffer { wanted in
      var rest = bytes
      while let start = rest.firstIndex(of: wanted[0]) {
        rest = rest[start...]
        if rest.starts(with: wanted) { return true }
        rest = rest.dropFirst()
      }
      return false
    }
  }
}
