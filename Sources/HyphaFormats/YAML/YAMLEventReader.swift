import CYAML
import HyphaTopology

/// One event of libyaml as a Swift value: no pointer of it leaves ``YAMLEventReader``.
enum YAMLEvent {
  /// What begins a value: its anchor and its tag, where it has them.
  struct Properties {
    var anchor: String?
    var tag: String?
  }

  case documentStart
  case documentEnd
  case streamEnd
  case alias(String)
  case scalar(Properties, text: String, quoted: Bool)
  case sequenceStart(Properties)
  case sequenceEnd
  case mappingStart(Properties)
  case mappingEnd
}

/// Owns libyaml's parser over bytes that the caller keeps alive and unchanged.
struct YAMLEventReader: ~Copyable {
  let file: String
  private let bytes: UnsafeRawBufferPointer
  private let parser: UnsafeMutablePointer<yaml_parser_t>

  init(_ bytes: UnsafeRawBufferPointer, file: String) throws(Diagnostic) {
    self.file = file
    self.bytes = bytes
    parser = .allocate(capacity: 1)
    guard yaml_parser_initialize(parser) == 1 else {
      // A noncopyable value whose initialiser throws runs no deinit.
      parser.deallocate()
      throw Diagnostic(
        file: file, mark: .start, problem: "there is no memory for the YAML parser",
        remedy: "end other programs")
    }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  /// The next event and where it begins. After ``YAMLEvent/streamEnd`` it is not to be called again.
  mutating func next() throws(Diagnostic) -> (event: YAMLEvent, mark: SourceMark) {
    while true {
      var event = yaml_event_t()
      guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
      defer { yaml_event_delete(&event) }
      let mark = SourceMark(event.start_mark)
      switch event.type {
      case YAML_DOCUMENT_START_EVENT: return (.documentStart, mark)
      case YAML_DOCUMENT_END_EVENT: return (.documentEnd, mark)
      case YAML_STREAM_END_EVENT: return (.streamEnd, mark)
      case YAML_ALIAS_EVENT: return (.alias(string(event.data.alias.anchor) ?? ""), mark)
      case YAML_SEQUENCE_END_EVENT: return (.sequenceEnd, mark)
      case YAML_MAPPING_END_EVENT: return (.mappingEnd, mark)
      case YAML_SEQUENCE_START_EVENT:
        let data = event.data.sequence_start
        return (.sequenceStart(.init(anchor: string(data.anchor), tag: string(data.tag))), mark)
      case YAML_MAPPING_START_EVENT:
        let data = event.data.mapping_start
        return (.mappingStart(.init(anchor: string(data.anchor), tag: string(data.tag))), mark)
      case YAML_SCALAR_EVENT:
        let data = event.data.scalar
        let text = String(decoding: UnsafeBufferPointer(start: data.value, count: data.length), as: UTF8.self)
        let properties = YAMLEvent.Properties(anchor: string(data.anchor), tag: string(data.tag))
        return (.scalar(properties, text: text, quoted: data.style != YAML_PLAIN_SCALAR_STYLE), mark)
      default: continue  // the start of the stream
      }
    }
  }

  private func string(_ text: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    text.map { String(cString: $0) }
  }

  /// What libyaml has stopped at, in words of a person.
  private func failure() -> Diagnostic {
    let problem = parser.pointee.problem.map { String(cString: $0) } ?? "the file is no YAML"
    switch parser.pointee.error {
    case YAML_MEMORY_ERROR:
      return Diagnostic(
        file: file, mark: .start, problem: "there is no memory to read the file", remedy: "end other programs"
      )
    case YAML_READER_ERROR:
      let mark = mark(ofByte: parser.pointee.problem_offset)
      let isControl = problem.hasPrefix("control characters")
      return Diagnostic(
        file: file, mark: mark, problem: isControl ? problem : "the file is not UTF-8: \(problem)",
        remedy: isControl
          ? "remove the character, or write it as an escape in double quotes" : "save it as UTF-8")
    default:
      let mark = SourceMark(parser.pointee.problem_mark)
      var text = problem
      if let context = parser.pointee.context.map({ String(cString: $0) }) {
        let line = parser.pointee.context_mark.line + 1
        text += ", \(context)\(line == mark.line ? "" : " that begins on line \(line)")"
      }
      return Diagnostic(file: file, mark: mark, problem: text, remedy: remedy(problem, at: mark))
    }
  }

  private func remedy(_ problem: String, at mark: SourceMark) -> String {
    switch problem {
    case "found character that cannot start any token":
      return character(at: mark) == UInt8(ascii: "\t")
        ? "indent with spaces, not with tabs" : "put the text in quotes"
    case "mapping values are not allowed in this context":
      return "put a text with ': ' in quotes, or mend the indentation"
    case "could not find expected ':'": return "write 'key: value', with a space after the colon"
    case "found unexpected end of stream": return "close the quotes or the bracket"
    case "did not find expected ',' or ']'", "did not find expected ',' or '}'":
      return "separate with commas and close the bracket"
    default: return "check the indentation and the quotes here"
    }
  }

  /// The first byte of the character at a mark.
  private func character(at mark: SourceMark) -> UInt8? {
    let lines = bytes.split(
      separator: UInt8(ascii: "\n"), maxSplits: mark.line, omittingEmptySubsequences: false)
    guard lines.indices.contains(mark.line - 1) else { return nil }
    return lines[mark.line - 1].filter { $0 & 0xC0 != 0x80 }.dropFirst(mark.column - 1).first
  }

  /// The line and column of a byte.
  private func mark(ofByte offset: Int) -> SourceMark {
    let before = bytes.prefix(offset)
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    let column = before[lineStart...].count { $0 & 0xC0 != 0x80 } + 1
    return SourceMark(line: line, column: column)
  }
}

extension SourceMark {
  /// libyaml counts from 0.
  fileprivate init(_ mark: yaml_mark_t) { self.init(line: mark.line + 1, column: mark.column + 1) }
}
