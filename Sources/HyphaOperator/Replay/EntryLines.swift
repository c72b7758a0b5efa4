import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaReplay

/// Events as lines for people, one each, in columns that grow with what they have held so far. On a terminal what is longer than
/// its column gets is cut, so that columns stay where they are; elsewhere nothing is.
struct EntryLines {
  private let style: Style
  private let isNodeShown: Bool
  private let isCut: Bool
  /// The widest so far, up to a bound: node, from, to, type, subject.
  private var widths = [4, 4, 4, 4, 7]
  private var day = ""

  /// The widest that a column gets.
  private static let widthsMax = [12, 18, 18, 20, 24]

  /// - Parameters:
  ///   - isNodeShown: whether a column says in whose log the event stood.
  ///   - isCut: whether the lines are for a terminal.
  init(style: Style, isNodeShown: Bool, isCut: Bool) {
    self.style = style
    self.isCut = isCut
    self.isNodeShown = isNodeShown
  }

  /// The lines of an event: one, after another that says the day where that is new.
  mutating func lines(_ replayed: ReplayedEntry) throws -> [String] {
    let entry = try replayed.entry.entry()
    let header = entry.record.header
    let time = header.time.text
    var lines: [String] = []
    if time.prefix(10) != day {
      day = String(time.prefix(10))
      lines.append(style.dim("── \(day) ──"))
    }
    let from = column(1, header.agent.text)
    let to = column(2, header.addressee?.text ?? "all")
    var parts = [style.dim(String(time.dropFirst(11).prefix(12)))]
    if isNodeShown { parts.append(style.dim(column(0, replayed.node.text))) }
    parts.append(channel(header.channel))
    parts.append("\(from) → \(to)")
    parts.append(style.bold(column(3, header.type.text)))
    parts.append(column(4, header.subject.text))
    parts.append(style.dim(payload(entry.record)))
    lines.append(parts.joined(separator: " "))
    return lines
  }

  private mutating func column(_ index: Int, _ text: String) -> String {
    let text = isCut ? truncated(printable(text), to: Self.widthsMax[index]) : printable(text)
    let width = displayWidth(text)
    widths[index] = min(max(widths[index], width), Self.widthsMax[index])
    return padded(text, to: widths[index], alignment: .left)
  }

  private func channel(_ channel: Channel) -> String {
    switch channel {
    case .persistent: style.dim("persist ")
    case .alert: style.red("alert   ")
    case .realtime: style.cyan("realtime")
    }
  }

  private func payload(_ record: Record) -> String {
    guard record.header.contentType == .json else { return "\(record.payloadByteCount) bytes" }
    return printable(String(decoding: record.payload.prefix(Self.payloadByteCountMax), as: UTF8.self))
  }

  /// More of a payload is not shown on a line.
  private static let payloadByteCountMax = 512
}
