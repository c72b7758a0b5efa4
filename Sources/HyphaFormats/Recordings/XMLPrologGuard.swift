/// Watches the start of an XML document, before its root element, for a document type declaration.
///
/// A document type is where entities are declared, and entities are how a small XML file becomes a large
/// one or reads other files. No event log needs one, so it is refused outright, before the parser sees
/// it. Up to the root element's `<` only markup and white space in ASCII may stand, apart from comments:
/// that shuts out encodings such as UTF-16, UTF-7 and EBCDIC in which a declaration could hide from this
/// look. (libxml2's own bound on entity expansion stays behind it.)
struct XMLPrologGuard {
  /// What the bytes so far allow.
  enum Verdict: Equatable { case undecided, harmless, documentType, notXML }

  private(set) var verdict = Verdict.undecided
  /// The line that was reached, from 1.
  private(set) var lineNumber = 1
  private var state = State.start(markByteCount: 0)

  private enum State {
    /// Before anything but a part of a UTF-8 byte order mark.
    case start(markByteCount: Int)
    /// Between two pieces of markup.
    case between
    /// After `<`.
    case opened
    case instruction(afterQuestionMark: Bool)
    /// After `<!`, or `<!-`.
    case declaration(afterHyphen: Bool)
    /// `hyphenCount` hyphens of the comment's own, at most 2, came last.
    case comment(hyphenCount: Int)
  }

  /// Looks at the next bytes; returns the verdict, which no longer changes once it is not `undecided`.
  mutating func inspect(_ bytes: UnsafeBufferPointer<UInt8>) -> Verdict {
    for byte in bytes {
      guard verdict == .undecided else { break }
      if byte == UInt8(ascii: "\n") { lineNumber += 1 }
      step(byte)
    }
    return verdict
  }

  private mutating func step(_ byte: UInt8) {
    switch state {
    case .start(let count) where count < 3 && byte == ByteOrderMark.utf8[count]:
      state = .start(markByteCount: count + 1)
    case .start(1), .start(2): verdict = .notXML
    case .start, .between:
      switch byte {
      case UInt8(ascii: "<"): state = .opened
      case 0x20, 0x09, 0x0a, 0x0d: state = .between
      default: verdict = .notXML
      }
    case .opened: open(byte)
    case .instruction(let afterQuestionMark):
      let isOver = afterQuestionMark && byte == UInt8(ascii: ">")
      state = isOver ? .between : .instruction(afterQuestionMark: byte == UInt8(ascii: "?"))
    case .declaration(let afterHyphen):
      switch byte {
      case UInt8(ascii: "-"):
        state = afterHyphen ? .comment(hyphenCount: 0) : .declaration(afterHyphen: true)
      case UInt8(ascii: "D"): verdict = .documentType
      default: verdict = .notXML
      }
    case .comment(let hyphenCount):
      switch byte {
      case UInt8(ascii: "-"): state = .comment(hyphenCount: min(hyphenCount + 1, 2))
      case UInt8(ascii: ">") where hyphenCount == 2: state = .between
      default: state = .comment(hyphenCount: 0)
      }
    }
  }

  private mutating func open(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "?"): state = .instruction(afterQuestionMark: false)
    case UInt8(ascii: "!"): state = .declaration(afterHyphen: false)
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
      verdict = .harmless
    default: verdict = .notXML
    }
  }
}
