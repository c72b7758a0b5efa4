import HyphaFormats
import HyphaTopology
import Testing

/// What is wrong with `text`, as a person reads it.
private func problem(_ text: String) -> String {
  do throws(Diagnostic) {
    _ = try YAML.parse(text, file: "f.yaml")
    return "no problem"
  } catch {
    return error.description
  }
}

private func problem(_ bytes: [UInt8]) -> String {
  do throws(Diagnostic) {
    _ = try YAML.parse(bytes, file: "f.yaml")
    return "no problem"
  } catch {
    return error.description
  }
}

private func plain(_ text: String, _ line: Int, _ column: Int) -> DocumentNode {
  DocumentNode(.scalar(text: text, quoted: false), at: SourceMark(line: line, column: column))
}

@Suite struct `A YAML document` {
  @Test func `becomes a tree in which each value has its place`() throws {
    let node = try YAML.parse("a: 1\nb:\n  - x\n  - \"y\"\n", file: "f")
    let list = DocumentNode(
      .sequence([
        plain("x", 3, 5),
        DocumentNode(.scalar(text: "y", quoted: true), at: SourceMark(line: 4, column: 5)),
      ]), at: SourceMark(line: 3, column: 3))
    let expected = DocumentNode(
      .mapping([
        .init(key: plain("a", 1, 1), value: plain("1", 1, 4)),
        .init(key: plain("b", 2, 1), value: list),
      ]))
    #expect(node == expected)
  }

  @Test func `counts columns in characters, not in bytes`() throws {
    guard case .mapping(let entries) = try YAML.parse("é: x", file: "f").content else {
      Issue.record("no mapping")
      return
    }
    #expect(entries[0].value.mark == SourceMark(line: 1, column: 4))
  }

  @Test func `keeps block texts and texts tagged as such apart from plain ones`() throws {
    let node = try YAML.parse("- |\n  12\n- !!str 12\n- ! 12\n- '12'\n- 12\n", file: "f")
    guard case .sequence(let elements) = node.content else {
      Issue.record("no list")
      return
    }
    let quoted = elements.map { element -> Bool? in
      guard case .scalar(_, let quoted) = element.content else { return nil }
      return quoted
    }
    #expect(quoted == [true, true, true, true, false])
  }

  @Test func `may begin with a byte order mark`() throws {
    #expect(throws: Never.self) { try YAML.parse([0xEF, 0xBB, 0xBF] + Array("a: 1".utf8), file: "f") }
  }

  @Test func `repeats an anchor's value at each alias, which has the alias's place`() throws {
    let node = try YAML.parse("a: &x [1]\nb: *x\n", file: "f")
    guard case .mapping(let entries) = node.content else {
      Issue.record("no mapping")
      return
    }
    #expect(entries[0].value.content == entries[1].value.content)
    #expect(entries[1].value.mark == SourceMark(line: 2, column: 4))
  }
}

@Suite struct `What is no YAML` {
  @Test(
    arguments: [
      ("", "f.yaml:1:1: the file is empty; write a document"),
      ("# only a comment\n", "f.yaml:1:1: the file is empty; write a document"),
      ("a: 1\n---\nb: 2\n", "f.yaml:2:1: the file has a second document; keep one document in a file"),
      (
        "a:\n\tb: 1\n",
        "f.yaml:2:1: found character that cannot start any token, while scanning for the next token; "
          + "indent with spaces, not with tabs"
      ),
      (
        "é: 1\na: @x\n",
        "f.yaml:2:4: found character that cannot start any token, while scanning for the next token; "
          + "put the text in quotes"
      ),
      (
        "a: b: c\n",
        "f.yaml:1:5: mapping values are not allowed in this context; "
          + "put a text with ': ' in quotes, or mend the indentation"
      ),
      (
        "a: 1\nb\nc: 3\n",
        "f.yaml:3:1: could not find expected ':', while scanning a simple key that begins on line 2; "
          + "write 'key: value', with a space after the colon"
      ),
      (
        "a: [1, 2\nb: 3\n",
        "f.yaml:2:2: did not find expected ',' or ']', while parsing a flow sequence that begins on line 1; "
          + "separate with commas and close the bracket"
      ),
      (
        "a: 'x\n",
        "f.yaml:2:1: found unexpected end of stream, while scanning a quoted scalar that begins on line 1; "
          + "close the quotes or the bracket"
      ),
      (
        "a: 1\n  b: 2\n",
        "f.yaml:2:4: mapping values are not allowed in this context; "
          + "put a text with ': ' in quotes, or mend the indentation"
      ),
      (
        "a: 1\nbb: 2\na: 3\n",
        "f.yaml:3:1: the key 'a' stands here and on line 1; rename or remove one of them"
      ),
      (
        "{[a]: 1}\n",
        "f.yaml:1:2: a key is a list or a mapping; use a text as the key; put one with brackets in quotes"
      ),
      ("<<: 1\n", "f.yaml:1:1: merge keys ('<<') are not supported; write the members out"),
      (
        "a: !!python/object x\n",
        "f.yaml:1:4: the tag 'tag:yaml.org,2002:python/object' is not supported; remove it"
      ),
      (
        "a: *x\n",
        "f.yaml:1:4: the alias '*x' has no anchor before it; define '&x' above, or put the text in quotes"
      ),
      ("a: &x [*x]\n", "f.yaml:1:8: the alias '*x' stands within its own anchor; move it out of there"),
      (
        "a: x\u{1}\n",
        "f.yaml:1:5: control characters are not allowed; "
          + "remove the character, or write it as an escape in double quotes"
      ),
    ] as [(String, String)]) func `is refused with its place and a remedy`(text: String, expected: String)
  {
    #expect(problem(text) == expected)
  }

  @Test func `is refused where it is not UTF-8`() {
    #expect(
      problem(Array("a: 1\nb: ".utf8) + [0xC3, 0x28])
        == "f.yaml:2:5: the file is not UTF-8: invalid trailing UTF-8 octet; save it as UTF-8")
    // UTF-16 with its byte order mark.
    #expect(
      problem([0xFF, 0xFE, 0x61, 0x00])
        == "f.yaml:1:1: the file is not UTF-8: invalid leading UTF-8 octet; save it as UTF-8")
  }

  @Test func `is refused where aliases multiply beyond the bound`() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...9 {
      let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      text += "a\(level): &a\(level) [\(aliases)]\n"
    }
    #expect(
      problem(text)
        == "f.yaml:6:45: the file has more than 1000000 values, aliases counted as what they stand for; "
        + "use fewer aliases, or divide the file")
  }

  @Test func `is refused where it nests too deep, through aliases too`() {
    let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
    #expect(problem(deep) == "f.yaml:1:65: lists and mappings are nested deeper than 64; flatten them")
    #expect(problem(String(repeating: "[", count: 1_000_000)).contains("nested deeper than 64"))
    #expect(problem(String(deep.dropFirst().dropLast())) == "no problem")
    var chain = "- &a0 [x]\n"
    for level in 1...64 { chain += "- &a\(level) [*a\(level - 1)]\n" }
    #expect(problem(chain) == "f.yaml:64:9: lists and mappings are nested deeper than 64; flatten them")
  }

  @Test func `is refused where it is too large`() {
    let bytes = [UInt8](repeating: UInt8(ascii: "#"), count: YAML.byteCountMax + 1)
    #expect(problem(bytes) == "f.yaml:1:1: the file has 67108865 bytes; use at most 67108864")
  }
}
