import HyphaCore
import HyphaFormats
import HyphaLog

/// XES (IEEE 1849): a trace for each case, with its events in their order.
///
/// Events come in order of time and are wanted case by case, so they go through a ``Spill``, however large a case is. Traces of a
/// log that was imported from XES keep the order of that file.
struct XESEncoder: ExportEncoder {
  private let spill: Spill
  private let expectedCount: UInt64
  private var header = XESHeader()
  private var joiner = XESPieceJoiner()

  init(expectedCount: UInt64, spillDirectory: String, limits: Spill.Limits = .init()) {
    self.expectedCount = max(expectedCount, 1)
    spill = Spill(partCount: Spill.partCount(for: expectedCount), in: spillDirectory, limits: limits)
  }

  func begin(_ sink: inout ExportSink) {
    sink.buffer.append("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
  }

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) throws {
    let record = replayed.entry.record
    // Fragments are made behind what is in the sink.
    let start = sink.buffer.bytes.count
    defer { sink.buffer.truncate(to: start) }
    switch record.contentType {
    case .xesDeclaration: addDeclaration(record.payload)
    case .xesTrace: try addTrace(record.payload, replayed, &sink)
    case .xesPiece:
      guard let (whole, json) = joiner.add(record, origin: Self.origin(replayed)) else { return }
      try json.withUnsafeBytes { json in
        if whole == .declaration { addDeclaration(json) } else { try addTrace(json, replayed, &sink) }
      }
    case _ where record.contentType.isBackground: break
    default:
      let event = ProcessEvent(record) { joiner.attributes(of: $0, origin: Self.origin(replayed)) }
      sink.buffer.append("<event>")
      guard let recorded = event.recorded else {
        sink.buffer.appendXESAttributes(of: event, record)
        sink.buffer.append("</event>\n")
        header.hasOwn = true
        return try spill.add(Spill.Key(name: event.caseName), sink.buffer.bytes[start...])
      }
      for attribute in recorded.attributes { sink.buffer.append(attribute) }
      sink.buffer.append("</event>\n")
      header.hasTraces = true
      let key = Spill.Key(name: event.caseName, trace: recorded.trace, origin: Self.origin(replayed))
      try spill.add(key, part: part(recorded.trace), sink.buffer.bytes[start...])
    }
  }

  private mutating func addDeclaration(_ json: UnsafeRawBufferPointer) {
    if let element = try? JSON.decode(XESElement.self, from: json) { header.add(element) }
  }

  private mutating func addTrace(
    _ json: UnsafeRawBufferPointer, _ replayed: ReplayedEntry, _ sink: inout ExportSink
  ) throws {
    guard let trace = try? JSON.decode(XESBackground.Trace.self, from: json) else { return }
    let start = sink.buffer.bytes.count
    for attribute in trace.attributes { sink.buffer.append(attribute) }
    sink.buffer.append("\n")
    let key = Spill.Key(name: trace.caseID, trace: trace.trace, origin: Self.origin(replayed))
    try spill.add(key, part: part(trace.trace), isHead: true, sink.buffer.bytes[start...])
    header.hasTraces = true
  }

  private static func origin(_ replayed: ReplayedEntry) -> UInt64 {
    SeededGenerator.fingerprint(of: replayed.node.text)
  }

  /// The part of an imported trace, by how many entries came before it, so that parts are in the order of traces.
  private func part(_ place: UInt64) -> Int {
    let count = UInt64(spill.partCount)
    let (product, overflows) = place.multipliedReportingOverflow(by: count)
    return overflows ? spill.partCount - 1 : Int(min(product / expectedCount, count - 1))
  }

  mutating func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) throws {
    // Each is read, and written.
    pace.total = 2 * spill.fragmentCount
    header.write(to: &sink.buffer)
    try spill.visit(&pace) { step in
      switch step {
      case .begin(let key, let hasHeads):
        sink.buffer.append("<trace>")
        guard !hasHeads else { break }
        sink.buffer.append(XESElement("string", ["key": "concept:name", "value": key.name]))
        sink.buffer.append("\n")
      case .head(let fragment), .fragment(let fragment): sink.buffer.append(fragment)
      case .end: sink.buffer.append("</trace>\n")
      }
      try sink.flushIfLarge()
    }
    sink.buffer.append("</log>\n")
  }
}

/// What stands before the traces: what was imported, and for events of Hypha's own what those need.
struct XESHeader {
  /// Whether there are events that were not imported from XES, and traces that were.
  var (hasOwn, hasTraces) = (false, false)
  private var root: XESElement?
  private var elements: [XESElement] = []
  private var known: Set<XESElement> = []

  /// Adds a declaration of an imported log; of several logs each comes once.
  mutating func add(_ element: XESElement) {
    if element.type == "log" {
      root = root ?? element
    } else if known.insert(element).inserted {
      elements.append(element)
    }
  }

  func write(to buffer: inout TextBuffer) {
    let isOwn = hasOwn || (root == nil && !hasTraces)
    buffer.append("<log")
    let own = ["xes.version": "1849-2016", "xes.features": "", "xmlns": Self.namespace]
    for (name, value) in (root.map { $0.more ?? [:] } ?? own).sorted(by: { $0.key < $1.key }) {
      buffer.append(xmlAttribute: name, value)
    }
    buffer.append(">\n")
    if isOwn {
      for extensionOfXES in Self.extensions where !declares("prefix", extensionOfXES) {
        buffer.append(extensionOfXES)
        buffer.append("\n")
      }
    }
    var hasClassifier = !isOwn || declares("name", Self.classifier)
    // Extensions, globals, classifiers and attributes come in that order.
    for element in elements {
      if !hasClassifier, !["extension", "global", "classifier"].contains(element.type) {
        buffer.append(Self.classifier)
        buffer.append("\n")
        hasClassifier = true
      }
      buffer.append(element)
      buffer.append("\n")
    }
    if !hasClassifier {
      buffer.append(Self.classifier)
      buffer.append("\n")
    }
  }

  private func declares(_ name: String, _ element: XESElement) -> Bool {
    elements.contains { $0.type == element.type && $0.more?[name] == element.more?[name] }
  }

  private static let namespace = "http://www.xes-standard.org/"
  private static let extensions = [("Concept", "concept"), ("Time", "time"), ("Organizational", "org")].map {
    XESElement("extension", ["name": $0, "prefix": $1, "uri": "\(namespace)\($1).xesext"])
  }
  private static let classifier = XESElement("classifier", ["name": "Activity", "keys": "concept:name"])
}
