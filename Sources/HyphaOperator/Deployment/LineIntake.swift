import HyphaCore

/// Makes lines for a terminal of the bytes that a process writes. Pure.
///
/// What would steer the terminal is spelt out. A line of more than ``lineByteCountMax`` is cut into several; where more than
/// ``lineCountMax`` wait to be taken the oldest are dropped, and that is told.
struct LineIntake: Sendable {
  private var rest: [UInt8] = []
  private var lines: [String] = []
  private var droppedCount = 0

  static let lineByteCountMax = 16_384
  static let lineCountMax = 1_000

  /// Takes bytes, and makes lines of them as far as they are whole.
  mutating func take(_ bytes: some Sequence<UInt8>) {
    for byte in bytes {
      if byte == UInt8(ascii: "\n") {
        endLine()
      } else {
        rest.append(byte)
        if rest.count >= Self.lineByteCountMax { endLine() }
      }
    }
  }

  /// Takes what there is of a last line.
  mutating func end() { endLine() }

  private mutating func endLine() {
    guard !rest.isEmpty else { return }
    lines.append(String(decoding: rest, as: UTF8.self).replacing("\t", with: "  ").shown(.max))
    rest.removeAll(keepingCapacity: true)
    if lines.count > Self.lineCountMax + Self.lineCountMax / 2 { dropOldest() }
  }

  private mutating func dropOldest() {
    let surplus = lines.count - Self.lineCountMax
    guard surplus > 0 else { return }
    lines.removeFirst(surplus)
    droppedCount += surplus
  }

  /// Hands over the lines that have come since the last time.
  mutating func takeLines() -> [String] {
    dropOldest()
    defer { (lines, droppedCount) = ([], 0) }
    return droppedCount > 0
      ? ["… \(droppedCount) lines before these were dropped: they came too fast"] + lines : lines
  }
}
