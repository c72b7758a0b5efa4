import Foundation
import FoundationXML
import HyphaCore

/// Reads the events of an XES file (IEEE 1849) as they are parsed.
///
/// - The case is the trace's `concept:name`; a trace without one is called `case-<n>`, n being its place
///   in the file from 1.
/// - The activity is the event's `concept:name`, the time its `time:timestamp`; both are obligatory.
/// - Resource and group are the event attributes that the options name.
///
/// Only the direct attributes of a trace or event count: what is nested in another attribute, or stands in
/// `global`, `classifier` and `extension` elements, does not. If an attribute occurs twice, the last one wins.
/// ``readParts(_:)`` gives all of it as well.
///
/// Foundation's `XMLParser(stream:)` pulls 128 KiB at a time from its stream on Linux and holds no more
/// (tried with a document of 74 MB: 22 MB resident), so parsing is bounded.
struct XESReader {
  let source: GzipInputStream
  let options: RecordedEvents.Options

  func read(_ body: (RecordedEvent) throws -> Void) throws {
    try read(whole: false) { if case .event(let event, _) = $0 { try body(event) } }
  }

  /// Calls `body` with all that the file has, in its order.
  func readParts(_ body: (XESPart) throws -> Void) throws { try read(whole: true, body) }

  private func read(whole: Bool, _ body: (XESPart) throws -> Void) throws {
    try withoutActuallyEscaping(body) { body in
      let bytes = XMLByteStream(source)
      let delegate = XESDelegate(path: source.path, options: options, body: body)
      delegate.keepsAll = whole
      let parser = XMLParser(stream: bytes)
      parser.shouldResolveExternalEntities = false
      parser.delegate = delegate
      bytes.hasStopped = { delegate.failure != nil }
      let isWhole = parser.parse()
      // The parser holds its stream and delegate until it is freed, and the delegate holds `body`.
      parser.delegate = nil
      bytes.hasStopped = { true }
      delegate.body = { _ in }
      // A stream that fails looks to the parser like an early end: its own error comes first.
      if let failure = bytes.failure ?? delegate.failure { throw failure }
      guard delegate.sawLog else {
        throw HyphaError(
          .invalidInput, "\(source.path) has no <log> element", remedy: "give an XES file (IEEE 1849)")
      }
      guard isWhole else { throw delegate.malformed(nil, line: parser.lineNumber) }
    }
  }
}

/// Follows the elements of the file and makes events of them.
private final class XESDelegate: NSObject, XMLParserDelegate {
  private let path: String
  private let options: RecordedEvents.Options
  var body: (XESPart) throws -> Void
  /// Whether more than events is wanted.
  var keepsAll = false
  /// The first thing that went wrong; after it nothing is looked at.
  private(set) var failure: (any Error)?
  private(set) var sawLog = false

  /// The number of open elements: log 1, trace 2, event 3, an event's attribute 4.
  private var depth = 0
  private var isInTrace = false
  private var isInEvent = false
  private var traceCount = 0
  private var traceHasEvents = false
  private var caseID = ""
  private var eventLine = 0
  private var activity: String?
  private var resource: String?
  private var group: String?
  private var time: String?

  // What is kept where all is wanted: elements that are open, and attributes of the trace and the event.
  private var open: [XESElement] = []
  private var traceAttributes: [XESElement] = []
  private var eventAttributes: [XESElement] = []
  private var traceIsTold = false

  /// XES nests attributes, never this deep.
  private static let maximumDepth = 256

  init(path: String, options: RecordedEvents.Options, body: @escaping (XESPart) throws -> Void) {
    self.path = path
    self.options = options
    self.body = body
  }

  func parser(
    _ parser: XMLParser, didStartElement element: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) {
    guard failure == nil else { return }
    depth += 1
    defer { if keepsAll { keep(element, attributes, parser) } }
    switch depth {
    case 1: startRoot(element, parser)
    case 2: startInLog(element, parser)
    case 3 where isInTrace: startInTrace(element, attributes, parser)
    case 4 where isInEvent: note(attributes)
    case Self.maximumDepth...:
      fail(parser, problem(parser.lineNumber, "elements are nested more than \(Self.maximumDepth) deep"))
    default: break
    }
  }

  func parser(
    _ parser: XMLParser, didEndElement element: String, namespaceURI: String?, qualifiedName: String?
  ) {
    guard failure == nil else { return }
    do {
      if let element = open.popLast() {
        try end(element)
      } else if depth == 3, isInEvent {
        isInEvent = false
        try tellTrace()
        try body(.event(event(), eventAttributes))
      } else if depth == 2, isInTrace {
        try tellTrace()
        isInTrace = false
      }
    } catch { fail(parser, error) }
    depth -= 1
  }

  func parser(_ parser: XMLParser, parseErrorOccurred error: any Error) {
    guard failure == nil else { return }
    failure = malformed(error, line: parser.lineNumber)
  }

  /// Begins what is kept of an element; traces and events are told otherwise.
  private func keep(_ element: String, _ attributes: [String: String], _ parser: XMLParser) {
    guard failure == nil else { return }
    let name = localName(element)
    if depth == 1 {
      do { try body(.declaration(XESElement("log", attributes))) } catch { fail(parser, error) }
    } else if !open.isEmpty || (depth == 2 && name != "trace") || (depth == 3 && !isInEvent) || depth > 3 {
      open.append(XESElement(String(name), attributes))
    }
  }

  private func end(_ element: XESElement) throws {
    if let last = open.indices.last {
      if open[last].nested?.append(element) == nil { open[last].nested = [element] }
    } else if isInEvent {
      eventAttributes.append(element)
    } else if isInTrace {
      traceAttributes.append(element)
    } else {
      try body(.declaration(element))
    }
  }

  /// Tells of the trace what was not told yet, where all is wanted.
  private func tellTrace() throws {
    guard keepsAll, !traceIsTold || !traceAttributes.isEmpty else { return }
    traceIsTold = true
    try body(.trace(XESTrace(number: traceCount, caseID: caseID, attributes: traceAttributes)))
    traceAttributes = []
  }

  private func startRoot(_ element: String, _ parser: XMLParser) {
    guard localName(element) == "log" else {
      let found = problem(parser.lineNumber, "the root element is <\(element.prefix(80))>, not <log>")
      return fail(parser, found)
    }
    sawLog = true
  }

  private func startInLog(_ element: String, _ parser: XMLParser) {
    switch localName(element) {
    case "trace":
      isInTrace = true
      traceCount += 1
      traceHasEvents = false
      traceIsTold = false
      traceAttributes = []
      caseID = "case-\(traceCount)"
    case "event":
      fail(parser, problem(parser.lineNumber, "an event stands outside of a trace, so it has no case"))
    default: break
    }
  }

  private func startInTrace(_ element: String, _ attributes: [String: String], _ parser: XMLParser) {
    if localName(element) == "event" {
      isInEvent = true
      traceHasEvents = true
      eventLine = parser.lineNumber
      eventAttributes = []
      activity = nil
      resource = nil
      group = nil
      time = nil
    } else if attributes["key"] == "concept:name", let name = attributes["value"], !name.isEmpty {
      if traceHasEvents {
        fail(parser, problem(parser.lineNumber, "the name of trace \(traceCount) stands after its events"))
      }
      caseID = name
    }
  }

  private func note(_ attributes: [String: String]) {
    guard let key = attributes["key"], let value = attributes["value"] else { return }
    if key == "concept:name" { activity = value }
    if key == "time:timestamp" { time = value }
    if key == options.resourceKey { resource = value }
    if key == options.groupKey { group = value }
  }

  private func event() throws -> RecordedEvent {
    guard let activity, !activity.isEmpty else {
      throw problem(eventLine, "the event has no concept:name, so its activity is unknown")
    }
    guard let time else { throw problem(eventLine, "the event has no time:timestamp") }
    guard let microseconds = RecordedTime.microseconds(time) else {
      throw HyphaError(
        .invalidInput, "\(path) line \(eventLine): `\(time.prefix(80))` is not a time",
        remedy: "write it as 2011-10-01T00:38:44.546+02:00")
    }
    return RecordedEvent(
      caseID: caseID, activity: activity, resource: options.named(resource), group: options.named(group),
      time: microseconds)
  }

  /// The error for a document that is not well-formed.
  func malformed(_ error: (any Error)?, line: Int) -> HyphaError {
    let code = (error as? NSError)?.code ?? 0
    let what =
      switch code {
      case 4, 5: "the document ends early"
      case 76, 77: "an element is closed that is not the one open"
      case 26: "an entity is used that is not declared"
      case 89: "entities expand without end"
      default: "the XML is not well-formed"
      }
    return HyphaError(
      .invalidInput, "\(path) line \(line): \(what)", remedy: "repair the file; `xmllint` shows the place",
      cause: code > 0 ? "libxml2 error \(code)" : nil)
  }

  private func problem(_ line: Int, _ text: String) -> HyphaError {
    HyphaError(.invalidInput, "\(path) line \(line): \(text)", remedy: "repair the file (IEEE 1849 says how)")
  }

  private func fail(_ parser: XMLParser, _ error: any Error) {
    if failure == nil { failure = error }
    parser.abortParsing()
  }

  /// The element's name without a namespace prefix.
  private func localName(_ element: String) -> Substring {
    guard let colon = element.utf8.lastIndex(of: UInt8(ascii: ":")) else { return element[...] }
    return element[element.utf8.index(after: colon)...]
  }
}
