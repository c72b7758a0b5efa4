/// A table whose rows are printed as they come: one header, and columns as wide as the first rows make them.
///
/// Rows wait until they are written out, by ``flush()`` or because so many wait that all of them decide the widths well.
/// What comes later and is wider is cut on a terminal; elsewhere nothing is cut, and such a row is shifted.
struct TableStream {
  private let columns: [Table.Column]
  private var waiting: Table
  private var widths: [Int]?
  /// The most rows that wait.
  private static let rowCountMax = 200

  init(_ columns: [Table.Column]) {
    self.columns = columns
    waiting = Table(columns)
  }

  /// Takes a row. Throws as ``Output/write(_:)``.
  mutating func add(
    _ cells: [Table.Cell], to output: Output = .standard, terminal: Terminal = .current
  ) throws {
    waiting.add(cells)
    if waiting.rows.count >= Self.rowCountMax { try flush(to: output, terminal: terminal) }
  }

  /// Writes the rows that wait, and the header before the first of all. Throws as ``Output/write(_:)``.
  mutating func flush(to output: Output = .standard, terminal: Terminal = .current) throws {
    guard !waiting.rows.isEmpty else { return }
    let width = terminal.isOutputTTY ? terminal.width : nil
    let style = terminal.style()
    let isFirst = widths == nil
    let widths = widths ?? waiting.naturalWidths
    if isFirst { try output.writeLine(waiting.headerLine(widths, width: width, style: style)) }
    for line in waiting.bodyLines(widths, width: width, style: style) { try output.writeLine(line) }
    self.widths = widths
    waiting = Table(columns)
  }
}
