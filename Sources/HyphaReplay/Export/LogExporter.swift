import HyphaCore
import HyphaLog

/// What a log can be exported as.
public enum ExportFormat: String, CaseIterable, Sendable {
  /// CloudEvents 1.0 in JSON, one a line.
  case cloudEvents = "cloudevents"
  /// CloudEvents 1.0 as one JSON array (the batch format).
  case cloudEventsBatch = "cloudevents-batch"
  /// Object-centric event log, OCEL 2.0 in JSON.
  case ocelJSON = "ocel-json"
  /// The same as an SQLite database, which ``OCELDatabase`` writes.
  case ocelSQLite = "ocel-sqlite"
  /// IEEE 1849, for process mining.
  case xes
  /// OpenTelemetry's traces in JSON.
  case otlp
  /// A table with a header line (RFC 4180).
  case csv
  /// Who sends to whom, as a graph.
  case graphML = "graphml"

  /// `filter` with what this format leaves out unless it is asked for: the records of handlers, which nobody is sent, are no
  /// steps of a process or a trace, and no edges; what an imported log has beside events is an event in no format, and XES and
  /// OCEL have other places for it.
  public func narrowing(_ filter: EntryFilter) -> EntryFilter {
    var filter = filter
    switch self {
    case .cloudEvents, .cloudEventsBatch, .csv, .otlp, .graphML: filter.isForEventsAlone = true
    case .ocelJSON, .ocelSQLite, .xes: filter.isForEventsAlone = false
    }
    switch self {
    case .cloudEvents, .cloudEventsBatch, .csv: break
    case .ocelJSON, .ocelSQLite, .xes, .otlp, .graphML:
      for (type, pattern) in Pattern.ofHandlers where !filter.types.contains(type) {
        filter.excludedTypes.insert(pattern)
      }
    }
    return filter
  }
}

extension Pattern {
  /// What agents record of their handlers: the types alone.
  static let ofHandlers: [(EventTypeName, Pattern)] = [
    (.observed, "hypha.Observed"), (.stateCheckpointed, "hypha.StateCheckpointed"),
    (.inputsHandled, "hypha.InputsHandled"), (.moveKept, "hypha.MoveKept"),
  ]
}

extension RecordView {
  /// Whether the bus has stated it to nobody, so that it is on no way from one to another.
  var isToNobody: Bool { addressee.isEmpty && Self.toNobody.contains { type.elementsEqual($0) } }

  private static let toNobody = EventTypeName.toNobody.map { Array($0.text.utf8) }
}

/// Writes replayed events in a format that other tools open.
///
/// What it writes goes to `write` in pieces of about 128 KiB. Memory does not grow with the number of events, cases, agents or
/// pairs: it is that of a few pieces, and what XES, OCEL and GraphML have to put together goes through files in `spillDirectory`
/// that have no name, of which at most 4 MiB and what it takes to sort them are held.
public struct LogExporter {
  private var sink: ExportSink
  private var encoder: any ExportEncoder
  /// How many events were written.
  public private(set) var eventCount = 0

  /// An exporter that has written nothing yet.
  ///
  /// - Parameters:
  ///   - expectedCount: about how many events will come, by which work is divided.
  ///   - spillDirectory: where files may be made, as soon as there is more than some megabytes to put together.
  ///   - history: what of the logs is of the past.
  /// - Throws: what `write` does; ``HyphaError/Code/fileUnavailable`` when no file can be made;
  ///   ``HyphaError/Code/usage`` for ``ExportFormat/ocelSQLite``.
  public init(
    _ format: ExportFormat, expectedCount: UInt64, spillDirectory: String,
    history: HistoryWatch = HistoryWatch(),
    write: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    sink = ExportSink(write: write)
    encoder =
      switch format {
      case .cloudEvents: CloudEventsEncoder(isBatch: false)
      case .cloudEventsBatch: CloudEventsEncoder(isBatch: true)
      case .ocelJSON: OCELEncoder(expectedCount: expectedCount, spillDirectory: spillDirectory)
      case .ocelSQLite:
        throw HyphaError(
          .usage, "a database is no stream of bytes", remedy: "use OCELDatabase, which writes a file")
      case .xes: XESEncoder(expectedCount: expectedCount, spillDirectory: spillDirectory)
      case .otlp: OTLPEncoder(history)
      case .csv: CSVEncoder()
      case .graphML: GraphMLEncoder(expectedCount: expectedCount, spillDirectory: spillDirectory)
      }
    try encoder.begin(&sink)
  }

  /// Writes one event.
  public mutating func add(_ replayed: ReplayedEntry) throws {
    try encoder.add(replayed, &sink)
    if !replayed.entry.record.contentType.isBackground { eventCount += 1 }
    try sink.flushIfLarge()
  }

  /// Writes what comes behind the events, which in some formats is most of the file. Nothing may be added then.
  ///
  /// - Parameter progress: told now and then how much of that is done, as `done` parts of `total`; what it throws ends it.
  public mutating func finish(_ progress: @escaping (_ done: Int, _ total: Int) throws -> Void = { _, _ in })
    throws
  {
    var pace = FinishPace(progress)
    try encoder.finish(&sink, &pace)
    try sink.flush()
  }
}

/// Where an encoder writes to.
struct ExportSink {
  var buffer = TextBuffer()
  let write: (UnsafeRawBufferPointer) throws -> Void

  mutating func flushIfLarge() throws {
    if buffer.bytes.count >= 128 << 10 { try flush() }
  }

  mutating func flush() throws {
    try buffer.bytes.withUnsafeBytes { try write($0) }
    buffer.removeAll()
  }
}

/// How much of what comes behind the events is written.
struct FinishPace {
  private let progress: (_ done: Int, _ total: Int) throws -> Void
  private var done = 0
  private var pauseCount = 0
  /// How many parts there are, once an encoder knows.
  var total = 0

  /// So many parts are quickly written.
  static let interval = 1_024

  init(_ progress: @escaping (_ done: Int, _ total: Int) throws -> Void) { self.progress = progress }

  /// One part more is done.
  mutating func step() throws {
    if done % Self.interval == 0 { try progress(done, total) }
    done += 1
  }

  /// Something else took a little time.
  mutating func pause() throws {
    pauseCount += 1
    if pauseCount % Self.interval == 0 { try progress(done, total) }
  }
}

/// One format.
protocol ExportEncoder {
  mutating func begin(_ sink: inout ExportSink) throws
  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) throws
  mutating func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) throws
}

struct CloudEventsEncoder: ExportEncoder {
  let isBatch: Bool
  private var isFirst = true

  init(isBatch: Bool) { self.isBatch = isBatch }

  func begin(_ sink: inout ExportSink) { if isBatch { sink.buffer.append("[") } }

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) {
    if isBatch { sink.buffer.append(isFirst ? "\n" : ",\n") }
    isFirst = false
    sink.buffer.appendCloudEvent(replayed.entry.record)
    if !isBatch { sink.buffer.append(0x0A) }
  }

  func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) {
    if isBatch { sink.buffer.append("\n]\n") }
  }
}

struct OTLPEncoder: ExportEncoder {
  private var spans = SpanWriter()
  private let history: HistoryWatch

  init(_ history: HistoryWatch) { self.history = history }

  func begin(_ sink: inout ExportSink) {}

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) {
    let entry = replayed.entry
    guard !entry.record.contentType.isBackground else { return }
    // When a log took what it has of before says nothing of how long that was on its way.
    let isTimed = !entry.source.isImported && !history.isHistory(entry, of: replayed.node)
    let end = isTimed ? entry.appendedAt : entry.record.time
    spans.append(entry.record, node: replayed.node, until: end, to: &sink.buffer)
  }

  func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) { spans.finish(to: &sink.buffer) }
}

struct CSVEncoder: ExportEncoder {
  func begin(_ sink: inout ExportSink) {
    sink.buffer.append(
      "time,node,position,channel,agent,epoch,sequence,addressee,type,subject,id,causation,correlation,principal,grant,payload\n"
    )
  }

  func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) {
    let record = replayed.entry.record
    sink.buffer.append(record.time)
    field(replayed.node.text, &sink)
    sink.buffer.append(",")
    sink.buffer.append(number: replayed.entry.position.rawValue)
    sink.buffer.append(",")
    sink.buffer.append(record.channel.name)
    field(record.agent, &sink)
    sink.buffer.append(",")
    sink.buffer.append(number: record.epoch)
    sink.buffer.append(",")
    sink.buffer.append(number: record.sequence)
    field(record.addressee, &sink)
    field(record.type, &sink)
    field(record.subject, &sink)
    sink.buffer.append(",")
    sink.buffer.append(record.id)
    sink.buffer.append(",")
    if record.causation != .none { sink.buffer.append(record.causation) }
    sink.buffer.append(",")
    sink.buffer.append(record.correlation)
    field(record.principal, &sink)
    field(record.grant, &sink)
    if record.contentType == .json {
      field(record.payload, &sink)
    } else {
      sink.buffer.append(",")
      sink.buffer.appendBase64(record.payload)
    }
    sink.buffer.append(0x0A)
  }

  func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) {}

  private func field(_ text: String, _ sink: inout ExportSink) {
    var text = text
    text.withUTF8 { field(UnsafeRawBufferPointer($0), &sink) }
  }

  private func field(_ bytes: UnsafeRawBufferPointer, _ sink: inout ExportSink) {
    sink.buffer.append(",")
    let isPlain = bytes.allSatisfy {
      $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") && $0 >= 0x20 && $0 < 0x80
    }
    guard !isPlain else { return sink.buffer.append(bytes) }
    sink.buffer.append("\"")
    for byte in String(decoding: bytes, as: UTF8.self).utf8 {
      if byte == UInt8(ascii: "\"") { sink.buffer.append("\"") }
      sink.buffer.append(byte)
    }
    sink.buffer.append("\"")
  }
}
