import HyphaCore
import Testing

/// Which subjects a pattern matches, alone and in a trie.
@Suite struct PatternTests {
  @Test(arguments: [
    ("a", "a", true), ("a", "b", false), ("a", "a.b", false), ("a.b", "a", false),
    ("incident.*.opened", "incident.42.opened", true), ("incident.*.opened", "incident.opened", false),
    ("incident.>", "incident.42.opened", true), ("incident.>", "incident.42", true),
    ("incident.>", "incident", false), ("*", "a", true), ("*", "a.b", false), (">", "a", true),
    (">", "a.b.c", true), ("*.>", "a", false), ("*.>", "a.b", true), ("a.*.*", "a.b", false),
    ("ab", "a", false), ("a", "ab", false), ("a.b", "a.bc", false), ("ä.*", "ä.x", true),
    // Tokens are bytes: one é is not the other, and a combining mark does not hide a dot.
    ("\u{E9}", "e\u{301}", false), ("a.*", "a.\u{301}b", true), ("a", "a.\u{301}b", false),
  ])
  func `a pattern matches whole tokens`(_ pattern: String, _ subject: String, _ expected: Bool) throws {
    let subject = try Subject(subject)
    #expect(try Pattern(pattern).matches(subject) == expected)
    var trie = PatternTrie<Int>()
    trie.insert(1, for: try Pattern(pattern))
    #expect(trie.matches(subject) == (expected ? [1] : []))
  }

  @Test func `matching equals the simple reference on random patterns and subjects`() throws {
    var random = seededRandom()
    var matchCount = 0
    for _ in 0..<20_000 {
      let (pattern, subject) = (try random.pattern(), try random.shortSubject())
      let expected = Self.reference(pattern.tokens[...], subject.tokens[...])
      #expect(pattern.matches(subject) == expected, "'\(pattern)' on '\(subject)'")
      matchCount += expected ? 1 : 0
    }
    #expect(matchCount > 1_000, "the test is worth little where hardly anything matches")
  }

  @Test func `the pattern for everything matches every subject`() {
    var random = seededRandom()
    for _ in 0..<500 { #expect(Pattern.everything.matches(random.subject())) }
  }

  @Test func `a trie finds what a filter over all patterns finds, through inserts and removes`() throws {
    var random = seededRandom()
    var trie = PatternTrie<Int>()
    var all: [(value: Int, pattern: Pattern)] = []
    for step in 0..<4_000 {
      if random.chance(all.count < 60 ? 0.7 : 0.4) {
        let entry = (value: random.int(0...9), pattern: try random.pattern())
        trie.insert(entry.value, for: entry.pattern)
        all.append(entry)
      } else if random.chance(0.8), !all.isEmpty {
        let entry = all.remove(at: random.int(0...all.count - 1))
        #expect(trie.remove(entry.value, for: entry.pattern) == true)
      } else {
        let absent = (value: random.int(0...9), pattern: try random.pattern())
        let index = all.firstIndex { $0 == absent }
        #expect(trie.remove(absent.value, for: absent.pattern) == (index != nil))
        if let index { all.remove(at: index) }
      }
      #expect(trie.count == all.count)
      let subject = try random.shortSubject()
      let expected = all.filter { $0.pattern.matches(subject) }.map(\.value).sorted()
      #expect(trie.matches(subject).sorted() == expected, "step \(step), '\(subject)'")
    }
    for entry in all { #expect(trie.remove(entry.value, for: entry.pattern) == true) }
    #expect(trie.count == 0)
  }

  @Test func `a pair may stand twice, and is removed once at a time`() {
    var trie = PatternTrie<String>()
    trie.insert("x", for: "a.>")
    trie.insert("x", for: "a.>")
    #expect(trie.matches("a.b") == ["x", "x"])
    #expect(trie.remove("x", for: "a.>") == true)
    #expect(trie.matches("a.b") == ["x"])
    #expect(trie.remove("y", for: "a.>") == false)
    #expect(trie.remove("x", for: "a.*") == false)
    #expect(trie.remove("x", for: "never.seen") == false)
  }

  @Test func `matches come in an order that only the insertions decide`() throws {
    var random = seededRandom()
    let patterns = try (0..<200).map { _ in try random.pattern() }
    var (one, two) = (PatternTrie<Int>(), PatternTrie<Int>())
    for (value, pattern) in patterns.enumerated() {
      one.insert(value, for: pattern)
      two.insert(value, for: pattern)
    }
    for _ in 0..<200 {
      let subject = try random.shortSubject()
      #expect(one.matches(subject) == two.matches(subject))
    }
  }

  /// The definition, by recursion over tokens.
  private static func reference(_ pattern: ArraySlice<Substring>, _ subject: ArraySlice<Substring>) -> Bool {
    guard let wanted = pattern.first else { return subject.isEmpty }
    if wanted == ">" { return !subject.isEmpty }
    guard let token = subject.first else { return false }
    return (wanted == "*" || Array(wanted.utf8) == Array(token.utf8))
      && reference(pattern.dropFirst(), subject.dropFirst())
  }
}

extension SeededGenerator {
  private static let tokens = ["a", "b", "ab", "\u{E9}", "e\u{301}"]

  fileprivate mutating func pattern() throws -> Pattern {
    var tokens = (0..<int(1...4)).map { _ in chance(0.3) ? "*" : Self.tokens[int(0...4)] }
    if chance(0.3) { tokens[tokens.count - 1] = ">" }
    return try Pattern(tokens.joined(separator: "."))
  }

  fileprivate mutating func shortSubject() throws -> Subject {
    try Subject((0..<int(1...4)).map { _ in Self.tokens[int(0...4)] }.joined(separator: "."))
  }
}
