/// Rows of typed cells, printed for people or for programs from the same data.
///
/// ```swift
/// var table = Table([.init("subject"), .init("events"), .init("size", key: "sizeBytes")])
/// table.add([.string("incident.opened"), .integer(51_712), .bytes(3_565_158)])
/// try table.write(as: json ? .jsonLines : .table)
/// ```
///
/// For people, numbers have separators and units and stand on the right. On a terminal, the widest text columns
/// give way until a line fits. For programs, each row is an object whose values have no units: a duration is in
/// seconds, a size in bytes; say so in the column's key.
public struct Table: Sendable {
  /// The columns from left to right.
  public let columns: [Column]
  /// The rows in the order of printing.
  public private(set) var rows: [[Cell]] = []

  /// An empty table.
  public init(_ columns: [Column]) { self.columns = columns }

  /// Adds a row with one cell for each column.
  public mutating func add(_ cells: [Cell]) {
    precondition(cells.count == columns.count, "a row has \(cells.count) cells for \(columns.count) columns")
    rows.append(cells)
  }

  /// Some of the rows, in columns as wide as those of all.
  func part(_ range: Range<Int>) -> Table {
    var part = Table(
      zip(columns, naturalWidths).map { column, width in
        var column = column
        column.widthMin = width
        return column
      })
    part.rows = Array(rows[range])
    return part
  }

  /// Prints the table in `format` to `output`, for `terminal`.
  ///
  /// - Throws: As ``Output/write(_:)``.
  public func write(
    as format: TableFormat = .table, to output: Output = .standard, terminal: Terminal = .current
  ) throws {
    switch format {
    case .table:
      for line in lines(width: terminal.isOutputTTY ? terminal.width : nil, style: terminal.style()) {
        try output.writeLine(line)
      }
    case .jsonLines:
      for row in rows { try output.writeLine(jsonObject(row)) }
    case .json:
      let objects = rows.map { "  " + jsonObject($0) }.joined(separator: ",\n")
      try output.writeLine(rows.isEmpty ? "[]" : "[\n\(objects)\n]")
    }
  }

  /// One row as a JSON object in one line. A command that streams prints rows with it instead of collecting them.
  public func jsonObject(_ cells: [Cell]) -> String {
    let members = zip(columns, cells).map { "\(jsonString($0.key)):\($1.json)" }
    return "{\(members.joined(separator: ","))}"
  }

  /// The header and the rows as aligned lines, cut to `width` columns unless that is nil.
  public func lines(width: Int? = nil, style: Style = .plain) -> [String] {
    let widths = naturalWidths
    return [headerLine(widths, width: width, style: style)] + bodyLines(widths, width: width, style: style)
  }

  /// How wide each column would like to be: as its title, its widest cell and ``Column/widthMin``.
  var naturalWidths: [Int] {
    columns.indices.map { index in
      rows.reduce(max(columns[index].widthMin, displayWidth(columns[index].title))) {
        max($0, displayWidth(printable($1[index].text)))
      }
    }
  }

  /// The titles as a line in columns of these widths, which give way to `width`.
  func headerLine(_ widths: [Int], width: Int?, style: Style) -> String {
    let (widths, alignments) = fitted(widths, to: width)
    return Self.line(
      columns.indices.map { index in
        let title = truncated(columns[index].title, to: widths[index])
        return padded(style.bold(title), to: widths[index], alignment: alignments[index])
      })
  }

  /// The rows as lines in columns of these widths, which give way to `width`. What does not fit is cut where the line
  /// has a width, and shifts the rest of its line where it has none.
  func bodyLines(_ widths: [Int], width: Int?, style: Style) -> [String] {
    let (widths, alignments) = fitted(widths, to: width)
    return rows.map { cells in
      Self.line(
        columns.indices.map { index in
          let text = printable(cells[index].text)
          let shown = width == nil ? text : truncated(text, to: widths[index])
          return padded(
            style.paint(shown, cells[index].paint), to: widths[index], alignment: alignments[index])
        })
    }
  }

  private func fitted(_ widths: [Int], to width: Int?) -> (widths: [Int], alignments: [Alignment]) {
    let alignments = columns.indices.map(alignment(of:))
    var widths = widths
    if let width { shrink(&widths, to: width, alignments) }
    return (widths, alignments)
  }

  private static func line(_ fields: [String]) -> String {
    let line = fields.joined(separator: gap)
    return String(line.reversed().drop { $0 == " " }.reversed())
  }

  private static let gap = "  "

  private func alignment(of index: Int) -> Alignment {
    if let alignment = columns[index].alignment { return alignment }
    let kinds = rows.lazy.map { $0[index] }.filter { !$0.isNone }
    return kinds.first?.isNumeric == true ? .right : .left
  }

  /// Takes columns from the widest text column until the line fits or each is at its title or 6 wide.
  private func shrink(_ widths: inout [Int], to width: Int, _ alignments: [Alignment]) {
    let floors = columns.map { max(6, displayWidth($0.title)) }
    var excess = widths.reduce(0, +) + Self.gap.count * (widths.count - 1) - width
    while excess > 0 {
      let candidates = widths.indices.filter { alignments[$0] == .left && widths[$0] > floors[$0] }
      guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { return }
      widths[widest] -= 1
      excess -= 1
    }
  }
}

extension Table {
  /// On which side of a column the text stands.
  public enum Alignment: Sendable { case left, right }

  /// A column's title, its name in JSON and its side.
  public struct Column: Sendable {
    /// The title above the column.
    public let title: String
    /// The member's name in JSON.
    public let key: String
    /// The side; nil: right for numbers, left for text.
    public let alignment: Alignment?
    /// How wide it is at least, for rows that come later.
    public fileprivate(set) var widthMin: Int

    /// A column; `key` is the title in camel case if nil: `map size` as `mapSize`.
    public init(_ title: String, key: String? = nil, alignment: Alignment? = nil, widthMin: Int = 0) {
      self.title = title
      self.key = key ?? Self.camelCase(title)
      self.alignment = alignment
      self.widthMin = widthMin
    }

    private static func camelCase(_ title: String) -> String {
      let words = title.lowercased().split { !$0.isLetter && !$0.isNumber }
      let rest = words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }
      return (words.first.map(String.init) ?? "") + rest.joined()
    }
  }
}

/// The form in which a ``Table`` is printed; a command takes it as `@Option var format: TableFormat = .table`.
public enum TableFormat: String, CaseIterable, ExpressibleByArgument {
  /// Aligned columns.
  case table
  /// One JSON array.
  case json
  /// A JSON object in each line.
  case jsonLines = "json-lines"
}
