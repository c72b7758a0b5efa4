/// How many terminal columns text takes, and how to cut it to a number of them.

/// The columns that `text` takes: 0 for combining marks and for the escape sequences of ``Style``, 2 for
/// wide East Asian characters and emoji, else 1.
func displayWidth(_ text: String) -> Int {
  if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text.utf8.count }
  var width = 0
  forEachPiece(of: text) { _, columns in width += columns }
  return width
}

/// `text` cut to at most `width` columns, with `…` at the end if something was cut. Escape sequences stay
/// whole, and those after the cut are kept so that no colour leaks.
func truncated(_ text: String, to width: Int) -> String {
  guard displayWidth(text) > width else { return text }
  guard width > 0 else { return "" }
  var result = ""
  var used = 0
  var isCut = false
  forEachPiece(of: text) { piece, columns in
    if isCut {
      if piece.first == "\u{1B}" { result += piece }
    } else if used + columns > width - 1 {
      isCut = true
      result += "…"
    } else {
      used += columns
      result += piece
    }
  }
  return result
}

/// `text`, which has no escape sequences, cut to at most `width` columns, with `…` in its middle if something was cut: for
/// names that differ at both ends.
func truncatedInMiddle(_ text: String, to width: Int) -> String {
  guard displayWidth(text) > width else { return text }
  guard width > 2 else { return truncated(text, to: width) }
  func cut(_ characters: some Sequence<Character>, to room: Int) -> [Character] {
    var left = room
    return Array(
      characters.prefix { character in
        left -= columns(of: character)
        return left >= 0
      })
  }
  let end = (width - 1) / 2
  return String(cut(text, to: width - 1 - end)) + "…" + String(cut(text.reversed(), to: end).reversed())
}

/// `text` with spaces to `width` columns.
func padded(_ text: String, to width: Int, alignment: Table.Alignment) -> String {
  let gap = String(repeating: " ", count: max(0, width - displayWidth(text)))
  return alignment == .left ? text + gap : gap + text
}

/// `text` in one line without control characters, so that data cannot steer the terminal: each is shown
/// as its picture, U+2400 onwards.
func printable(_ text: String) -> String {
  guard text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
    return text
  }
  return String(
    String.UnicodeScalarView(
      text.unicodeScalars.map { scalar in
        switch scalar.value {
        case 0..<0x20: Unicode.Scalar(0x2400 + scalar.value) ?? "\u{FFFD}"
        case 0x7F: "\u{2421}"
        case 0x80..<0xA0: "\u{FFFD}"
        default: scalar
        }
      }))
}

/// Calls `body` with each character or whole escape sequence and its columns.
private func forEachPiece(of text: String, _ body: (Substring, Int) -> Void) {
  var index = text.startIndex
  while index < text.endIndex {
    if text[index] == "\u{1B}" {
      let end = text[index...].firstIndex { $0.isLetter }.map(text.index(after:)) ?? text.endIndex
      body(text[index..<end], 0)
      index = end
    } else {
      let next = text.index(after: index)
      body(text[index..<next], columns(of: text[index]))
      index = next
    }
  }
}

private func columns(of character: Character) -> Int {
  var columns = 0
  for scalar in character.unicodeScalars {
    // A variation selector 16 asks for the emoji form of what precedes it.
    columns = max(columns, scalar.value == 0xFE0F ? 2 : columnCount(of: scalar))
  }
  return columns
}

private func columnCount(of scalar: Unicode.Scalar) -> Int {
  if scalar.value < 0x300 { return scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) ? 0 : 1 }
  switch scalar.properties.generalCategory {
  case .nonspacingMark, .enclosingMark, .format: return 0
  default: break
  }
  if scalar.properties.isEmojiPresentation { return 2 }
  return wideRanges.contains { $0.contains(scalar.value) } ? 2 : 1
}

/// The blocks of East Asian width W and F (Unicode Standard Annex #11).
private let wideRanges: [ClosedRange<UInt32>] = [
  0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
  0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
  0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
]
