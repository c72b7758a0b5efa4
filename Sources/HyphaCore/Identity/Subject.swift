/// What an event is about: a dotted name such as `incident.42.opened`.
///
/// Tokens are separated by dots and are not empty; a token has no white space, no control character and
/// neither `*` nor `>`, which belong to a ``Pattern``. At most 255 bytes. Tokens are told apart by their
/// bytes: neither subjects nor patterns know that Unicode has two spellings of `é`.
public struct Subject: CheckedText {
  /// The longest subject in bytes.
  public static let byteCountMax = 255

  /// The whole dotted name.
  public let text: String

  /// A subject from text of any origin.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` with the rule that was broken.
  public init(_ text: String) throws {
    self.text = text
    if text.withBytes(Self.admits) { return }
    try checkTokens(of: text, noun: "subject") { token, _ in
      guard token != "*", token != ">" else {
        throw HyphaError(
          .invalidName, "the subject '\(text.shown())' has the wildcard '\(token)'",
          remedy: "name one subject; wildcards belong in patterns")
      }
    }
  }

  /// Whether `bytes` are a subject in ASCII, as most are. Whether others are one, ``init(_:)`` knows.
  static func admits(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count <= byteCountMax else { return false }
    var isTokenEmpty = true
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "."):
        if isTokenEmpty { return false }
        isTokenEmpty = true
      case UInt8(ascii: "*"), UInt8(ascii: ">"), ...0x20, 0x7F...: return false
      default: isTokenEmpty = false
      }
    }
    return !isTokenEmpty
  }

  /// Wraps text that is known to follow the grammar.
  public init(unchecked text: String) { self.text = text }

  /// The nearest valid subject for a name or several joined by dots, at most 255 bytes: an empty token, which
  /// a name such as `a..b` would leave, becomes a dash.
  public init(slug text: String) {
    // Each event without a subject of its own comes here.
    if text.withBytes(Self.admits) {
      self.text = text
      return
    }
    self.text = byteTokens(of: text).map { $0.isEmpty ? "-" : $0 }.joined(separator: ".")
  }

  public static func == (left: Subject, right: Subject) -> Bool { left.text.hasBytes(of: right.text) }
  public func hash(into hasher: inout Hasher) { text.hashBytes(into: &hasher) }

  /// The tokens between the dots.
  public var tokens: [Substring] { byteTokens(of: text) }
}

/// A filter of subjects: `*` stands for one token, a last `>` for one or more.
///
/// `incident.*.opened` matches `incident.42.opened`; `incident.>` matches that and `incident.42`, not
/// `incident`.
public struct Pattern: CheckedText {
  /// The whole dotted pattern.
  public let text: String

  /// Matches every subject.
  public static let everything = Pattern(unchecked: ">")

  /// A pattern from text of any origin.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` with the rule that was broken.
  public init(_ text: String) throws {
    try checkTokens(of: text, noun: "pattern") { token, isLast in
      guard token != ">" || isLast else {
        throw HyphaError(
          .invalidName, "the pattern '\(text.shown())' has '>' before its end",
          remedy: "use '*' for one token")
      }
    }
    self.text = text
  }

  private init(unchecked text: String) { self.text = text }

  public static func == (left: Pattern, right: Pattern) -> Bool { left.text.hasBytes(of: right.text) }
  public func hash(into hasher: inout Hasher) { text.hashBytes(into: &hasher) }

  /// The tokens between the dots.
  public var tokens: [Substring] { byteTokens(of: text) }

  /// Whether `subject` passes the filter. Linear in the subject's length, without allocation.
  public func matches(_ subject: Subject) -> Bool {
    var pattern = text.utf8[...]
    var rest = subject.text.utf8[...]
    while true {
      let wanted = takeToken(&pattern)
      if wanted.elementsEqual(CollectionOfOne(UInt8(ascii: ">"))) { return true }
      let token = takeToken(&rest)
      guard wanted.elementsEqual(CollectionOfOne(UInt8(ascii: "*"))) || wanted.elementsEqual(token) else {
        return false
      }
      // `takeToken` leaves the slice at its end once the last token is out.
      let patternEnded = wanted.endIndex == text.utf8.endIndex
      let subjectEnded = token.endIndex == subject.text.utf8.endIndex
      if patternEnded || subjectEnded { return patternEnded && subjectEnded }
    }
  }
}

/// Takes the token before the next dot, and that dot, off the front.
private func takeToken(_ rest: inout Substring.UTF8View) -> Substring.UTF8View {
  let dot = rest.firstIndex(of: UInt8(ascii: ".")) ?? rest.endIndex
  let token = rest[..<dot]
  rest = dot == rest.endIndex ? rest[dot...] : rest[rest.index(after: dot)...]
  return token
}

/// The tokens between the dots. Splitting characters instead of bytes would miss a dot that a combining mark
/// follows.
private func byteTokens(of text: String) -> [Substring] {
  text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map { Substring($0) }
}

/// Neither white space nor a control character, of which Unicode has some beyond ASCII.
private func mayStandInToken(_ scalar: Unicode.Scalar) -> Bool {
  guard scalar.value >= 0x7F else { return scalar.value > 0x20 }
  return !scalar.properties.isWhitespace && scalar.properties.generalCategory != .control
}

/// The grammar that subjects and patterns share.
private func checkTokens(
  of text: String, noun: String, _ check: (_ token: Substring, _ isLast: Bool) throws -> Void
) throws {
  let count = text.utf8.count
  guard count > 0, count <= Subject.byteCountMax else {
    throw HyphaError(
      .invalidName, "the \(noun) '\(text.shown(80))' has \(count) bytes",
      remedy: "use 1 to \(Subject.byteCountMax)")
  }
  guard text.unicodeScalars.allSatisfy(mayStandInToken) else {
    throw HyphaError(
      .invalidName, "the \(noun) '\(text.shown())' has white space or a control character",
      remedy: "separate tokens with dots")
  }
  let tokens = byteTokens(of: text)
  for (index, token) in tokens.enumerated() {
    guard !token.isEmpty else {
      throw HyphaError(
        .invalidName, "the \(noun) '\(text.shown())' has an empty token", remedy: "remove the extra dot")
    }
    guard
      token.utf8.count == 1
        || !token.utf8.contains(where: { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: ">") })
    else {
      throw HyphaError(
        .invalidName, "the \(noun) '\(text.shown())' has a wildcard inside the token '\(token)'",
        remedy: "a wildcard is a token of its own")
    }
    try check(token, index == tokens.count - 1)
  }
}
