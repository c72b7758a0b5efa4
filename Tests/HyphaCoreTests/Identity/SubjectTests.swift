import HyphaCore
import Testing

/// The grammar of subjects and patterns.
@Suite struct SubjectTests {
  @Test(arguments: [
    "a", "incident.42.opened", "ä.\u{1F344}", "a-b_c/d#e", "-", "a\u{301}.b",
    String(repeating: "x", count: 255), Array(repeating: "t", count: 128).joined(separator: "."),
  ])
  func `a subject of tokens keeps its text and its tokens`(_ text: String) throws {
    let subject = try Subject(text)
    #expect(subject.description == text)
    #expect(subject.tokens.joined(separator: ".") == text)
    #expect(subject.tokens.allSatisfy { !$0.isEmpty })
    #expect(try Pattern(text).text == text)
  }

  @Test(arguments: [".", "a.", ".a", "a..b", "..", "a..\u{301}b"])
  func `a subject with an empty token is refused`(_ text: String) {
    expectError("invalidName: the subject '\(text)' has an empty token; remove the extra dot") {
      try Subject(text)
    }
    expectError("invalidName: the pattern '\(text)' has an empty token; remove the extra dot") {
      try Pattern(text)
    }
  }

  @Test func `a subject has 1 to 255 bytes`() {
    expectError("invalidName: the subject '' has 0 bytes; use 1 to 255") { try Subject(text: "") }
    let long = String(repeating: "ä", count: 128)
    expectError("invalidName: the subject '\(long.prefix(80))' has 256 bytes; use 1 to 255") {
      try Subject(long)
    }
    expectError("invalidName: the pattern '' has 0 bytes; use 1 to 255") { try Pattern(text: "") }
  }

  @Test(arguments: [" ", "\t", "\n", "\r", "\u{0}", "\u{1B}", "\u{7F}", "\u{85}", "\u{9B}"])
  func `white space and control characters are refused, and spelt out`(_ character: String) {
    let value = String(character.unicodeScalars.first!.value, radix: 16, uppercase: true)
    let shown = character == " " ? " " : "\\u{\(value)}"
    expectError(
      "invalidName: the subject 'a\(shown)b' has white space or a control character; "
        + "separate tokens with dots"
    ) { try Subject("a\(character)b") }
  }

  @Test(arguments: ["\u{A0}", "\u{2003}", "\u{2028}", "\u{3000}", "\u{80}", "\u{9F}"])
  func `white space and control characters beyond ASCII are refused`(_ character: String) {
    #expect(errorCode { _ = try Subject("a\(character)") } == .invalidName)
    #expect(errorCode { _ = try Pattern("a\(character)") } == .invalidName)
  }

  @Test func `a subject has no wildcards`() {
    expectError(
      "invalidName: the subject 'a.*' has the wildcard '*'; name one subject; wildcards belong in patterns"
    ) { try Subject(text: "a.*") }
    expectError(
      "invalidName: the subject '>' has the wildcard '>'; name one subject; wildcards belong in patterns"
    ) { try Subject(text: ">") }
    expectError(
      "invalidName: the subject 'a.b*' has a wildcard inside the token 'b*'; "
        + "a wildcard is a token of its own"
    ) { try Subject(text: "a.b*") }
  }

  @Test func `a random text is a subject where it is a pattern without wildcards`() {
    var random = seededRandom()
    let alphabet: [Unicode.Scalar] = [
      ".", ".", "a", "Z", "9", "*", ">", " ", "\u{7F}", "~", "!", "ä", "\u{301}",
    ]
    var subjectCount = 0
    for _ in 0..<5_000 {
      var text = ""
      for _ in 0..<random.int(0...6) {
        text.unicodeScalars.append(alphabet[random.int(0...(random.chance(0.7) ? 4 : alphabet.count - 1))])
      }
      let hasWildcard = text.utf8.contains(UInt8(ascii: "*")) || text.utf8.contains(UInt8(ascii: ">"))
      let isSubject = (try? Subject(text)) != nil
      #expect(isSubject == ((try? Pattern(text)) != nil && !hasWildcard), "\(text.debugDescription)")
      if isSubject { subjectCount += 1 }
    }
    #expect(subjectCount > 300)
  }

  @Test func `a pattern's wildcards are whole tokens, and the rest comes last`() {
    for text in ["*", ">", "a.*.b", "*.*.>", "a.>"] { #expect(throws: Never.self) { try Pattern(text) } }
    expectError("invalidName: the pattern 'a.>.b' has '>' before its end; use '*' for one token") {
      try Pattern(text: "a.>.b")
    }
    for text in ["a*", "**", "*>", "a.>>", "x.y>", "*\u{301}"] {
      let token = text.split(separator: ".").last!
      expectError(
        "invalidName: the pattern '\(text)' has a wildcard inside the token '\(token)'; "
          + "a wildcard is a token of its own"
      ) { try Pattern(text) }
    }
  }

  @Test func `subjects and patterns are equal where their bytes are`() {
    #expect(Subject("a.b") == Subject("a.b"))
    #expect(Subject("\u{E9}") != Subject("e\u{301}"))
    #expect(Set(["\u{E9}", "e\u{301}", "\u{E9}"] as [Subject]).count == 2)
    #expect(Set(["\u{E9}", "e\u{301}", "\u{E9}"] as [Pattern]).count == 2)
  }

  @Test func `a subject and a pattern are plain strings in JSON and are checked when read`() throws {
    #expect(try JSON.text([Subject("a.b")]) == #"["a.b"]"#)
    #expect(try JSON.decode([Pattern].self, from: #"["a.>"]"#.utf8) == ["a.>"])
    #expect(errorCode { _ = try JSON.decode([Subject].self, from: #"["a.>"]"#.utf8) } == .invalidName)
    #expect(errorCode { _ = try JSON.decode([Pattern].self, from: #"["a..b"]"#.utf8) } == .invalidName)
  }

  @Test func `the slug of any names is a valid subject`() throws {
    #expect(Subject(slug: "a.b").text == "a.b")
    #expect(Subject(slug: "hypha.agent.x..y.").text == "hypha.agent.x.-.y.-")
    #expect(Subject(slug: "").text == "-")
    var random = seededRandom()
    for _ in 0..<2_000 {
      let slug = Subject(slug: random.name(127))
      #expect(try Subject(slug.text) == slug)
    }
  }
}

// `Subject("…")` with a literal is the literal's initialiser, which traps; these throw.
extension Subject {
  fileprivate init(text: String) throws { try self.init(text) }
}

extension Pattern {
  fileprivate init(text: String) throws { try self.init(text) }
}
