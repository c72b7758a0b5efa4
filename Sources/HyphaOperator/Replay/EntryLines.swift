import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaReplay

/// Events as lines for people, one each, in columns that grow with what they have held so far. On a terminal they share its width:
/// where that is too small for all, the widest give way first, and what is longer than its column is cut, names of types and
/// subjects in the middle, since they differ at both ends. Elsewhere nothing is.
struct EntryLines {
  private enum Column: Int, CaseIterable {
    case node, from, to, type, subject

    /// The widest that it gets on a terminal.
    var widthMax: Int {
      switch self {
      case .node: 12
      case .from, .to: 18
      case .type, .subject: 32
      }
    }
    var isCutInMiddle: Bool { self == .type || self == .subject }
  }

  private let style: Style
  private let isNodeShown: Bool
  /// The widest so far, up to a bound.
  private var widths = [4, 4, 4, 4, 7]
  private var day = ""

  /// On a terminal that is narrower the channel is abbreviated.
  private static let wideWidth = 100
  /// A payload has at least so many columns, or none.
  private static let payloadWidthMin = 4
  /// No column gives way below this.
  private static let widthMin = 6

  /// - Parameter isNodeShown: whether a column says in whose log the event stood.
  init(style: Style, isNodeShown: Bool) {
    self.style = style
    self.isNodeShown = isNodeShown
  }

  /// The lines of an event: one, after another that says the day where that is new.
  ///
  /// - Parameter width: that of the terminal, which they do not exceed; nil elsewhere.
  mutating func lines(_ replayed: ReplayedEntry, width: Int?) throws -> [String] {
    let entry = try replayed.entry.entry()
    let header = entry.record.header
    let time = header.time.text
    var lines: [String] = []
    if time.prefix(10) != day {
      day = String(time.prefix(10))
      lines.append(style.dim("── \(day) ──"))
    }
    let addressee = header.addressee?.text ?? "all"
    let texts: [String] = [
      printable(replayed.node.text), printable(header.agent.text), printable(addressee),
      printable(header.type.text), printable(header.subject.text),
    ]
    let isWide = width.map { $0 >= Self.wideWidth } ?? true
    for column in Column.allCases {
      let found = displayWidth(texts[column.rawValue])
      // Where nothing is cut a single long name does not move all that follows, either.
      widths[column.rawValue] = min(max(widths[column.rawValue], found), column.widthMax)
    }
    let places = width.map { fitted(to: $0, isWide: isWide) }
    func cell(_ column: Column) -> String {
      let text = texts[column.rawValue]
      guard let width = places?[column.rawValue] else {
        return padded(text, to: widths[column.rawValue], alignment: .left)
      }
      let cut = column.isCutInMiddle ? truncatedInMiddle(text, to: width) : truncated(text, to: width)
      return padded(cut, to: width, alignment: .left)
    }
    var parts = [style.dim(String(time.dropFirst(11).prefix(12)))]
    if isNodeShown { parts.append(style.dim(cell(.node))) }
    parts.append(channel(header.channel, isWide: isWide))
    parts.append("\(cell(.from)) → \(cell(.to))")
    parts.append(style.bold(cell(.type)))
    parts.append(cell(.subject))
    let line = parts.joined(separator: " ")
    let left = width.map { $0 - displayWidth(line) - 1 } ?? .max
    // A payload of which next to nothing would be seen is left out.
    if left < Self.payloadWidthMin {
      lines.append(width.map { truncated(line, to: $0) } ?? line)
    } else {
      lines.append(line + " " + style.dim(truncated(payload(entry.record), to: left)))
    }
    return lines
  }

  /// The columns' widths, so that all of them fit into a terminal of `width`.
  private func fitted(to width: Int, isWide: Bool) -> [Int] {
    // The time, the channel, the arrow, and a space before each but the first.
    let fixed = 12 + 1 + (isWide ? 8 : 4) + 1 + 3 + 1 + 1 + (isNodeShown ? 1 : 0)
    var fitted = widths
    if !isNodeShown { fitted[Column.node.rawValue] = 0 }
    var excess = fixed + fitted.reduce(0, +) - width
    // Who stated it and for whom is told by fewer letters than what it is.
    func claim(_ column: Column) -> Int { fitted[column.rawValue] + (column.isCutInMiddle ? 0 : 3) }
    while excess > 0,
      let widest = Column.allCases.filter({ fitted[$0.rawValue] > Self.widthMin })
        .max(by: { claim($0) < claim($1) })?.rawValue
    {
      fitted[widest] -= 1
      excess -= 1
    }
    return fitted
  }

  private func channel(_ channel: Channel, isWide: Bool) -> String {
    switch channel {
    case .persistent: style.dim(isWide ? "persist " : "pers")
    case .alert: style.red(isWide ? "alert   " : "alrt")
    case .realtime: style.cyan(isWide ? "realtime" : "real")
    }
  }

  private func payload(_ record: Record) -> String {
    guard record.header.contentType == .json else { return "\(record.payloadByteCount) bytes" }
    return printable(String(decoding: record.payload.prefix(Self.payloadByteCountMax), as: UTF8.self))
  }

  /// More of a payload is not shown on a line.
  private static let payloadByteCountMax = 512
}
