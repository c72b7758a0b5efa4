import HyphaCore
import HyphaLog

/// OCEL 2.0 in JSON (ocel-standard.org): events of types, related to objects: agents, and cases.
///
/// Events are written as they come; objects and types behind them, since all members of a JSON object may come in any order.
/// Memory is that of the names of agents, cases and types, and of the objects of a log that was imported from OCEL.
struct OCELEncoder: ExportEncoder {
  private var types: Set<String> = []
  private var agents: Set<String> = []
  private var cases: Set<String> = []
  private var isFirst = true
  /// What an imported log has of objects and definitions, as it was.
  private var objects = TextBuffer(capacity: 0)
  private var (eventTypes, objectTypes) = (TextBuffer(capacity: 0), TextBuffer(capacity: 0))
  private var definedTypes: Set<String> = []

  func begin(_ sink: inout ExportSink) { sink.buffer.append("{\"events\":[") }

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) {
    let record = replayed.entry.record
    switch record.contentType {
    case .ocelEvent: return addImported(record, &sink)
    case .ocelObject: return Self.keep(record, in: &objects)
    case .ocelObjectType: return Self.keep(record, in: &objectTypes)
    case .ocelEventType:
      if let type = try? JSON.decode(OCEL.TypeDefinition.self, from: record.payload) {
        definedTypes.insert(type.name)
      }
      return Self.keep(record, in: &eventTypes)
    case .xesDeclaration, .xesTrace: return
    default: break
    }
    let event = ProcessEvent(record)
    types.insert(event.activity)
    cases.insert(event.caseName)
    sink.buffer.append(isFirst ? "\n{\"id\":\"" : ",\n{\"id\":\"")
    isFirst = false
    sink.buffer.append(record.id)
    sink.buffer.append("\",\"type\":")
    sink.buffer.appendJSON(event.activity)
    sink.buffer.append(",\"time\":\"")
    sink.buffer.append(record.time)
    sink.buffer.append("\",\"attributes\":[{\"name\":\"channel\",\"value\":\"")
    sink.buffer.append(record.channel.name)
    sink.buffer.append("\"},{\"name\":\"correlation\",\"value\":\"")
    sink.buffer.append(record.correlation)
    sink.buffer.append("\"},{\"name\":\"causation\",\"value\":\"")
    if record.causation != .none { sink.buffer.append(record.causation) }
    sink.buffer.append("\"},{\"name\":\"group\",\"value\":")
    sink.buffer.appendJSON(event.group ?? "")
    sink.buffer.append("}],\"relationships\":[{\"objectId\":")
    relate("case:", event.caseName, "case", &sink)
    if let resource = event.resource {
      agents.insert(resource)
      sink.buffer.append(",{\"objectId\":")
      relate("agent:", resource, "by", &sink)
    }
    if !record.addressee.isEmpty {
      let addressee = String(decoding: record.addressee, as: UTF8.self)
      agents.insert(addressee)
      sink.buffer.append(",{\"objectId\":")
      relate("agent:", addressee, "for", &sink)
    }
    sink.buffer.append("]}")
  }

  private mutating func addImported(_ record: RecordView, _ sink: inout ExportSink) {
    sink.buffer.append(isFirst ? "\n" : ",\n")
    isFirst = false
    if !sink.buffer.appendCompacted(record.payload) { sink.buffer.append("null") }
  }

  private static func keep(_ record: RecordView, in buffer: inout TextBuffer) {
    buffer.append(buffer.bytes.isEmpty ? "\n" : ",\n")
    if !buffer.appendCompacted(record.payload) { buffer.append("null") }
  }

  mutating func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) throws {
    pace.total = agents.count + cases.count
    sink.buffer.append("\n],\"objects\":[")
    objects.bytes.withUnsafeBytes { sink.buffer.append($0) }
    var isFirst = objects.bytes.isEmpty
    for (names, kind, prefix) in [(agents, "agent", "agent:"), (cases, "case", "case:")]
      as [(Set<String>, StaticString, String)]
    {
      for name in names.sorted() {
        try pace.step()
        sink.buffer.append(isFirst ? "\n{\"id\":" : ",\n{\"id\":")
        isFirst = false
        sink.buffer.appendJSON(prefix + name)
        sink.buffer.append(",\"type\":\"")
        sink.buffer.append(kind)
        sink.buffer.append("\",\"attributes\":[],\"relationships\":[]}")
        try sink.flushIfLarge()
      }
    }
    sink.buffer.append("\n],\"objectTypes\":[")
    objectTypes.bytes.withUnsafeBytes { sink.buffer.append($0) }
    // Those of Hypha's own events, and of a file without any.
    if !cases.isEmpty || objectTypes.bytes.isEmpty {
      if !objectTypes.bytes.isEmpty { sink.buffer.append(",") }
      sink.buffer.append("{\"name\":\"agent\",\"attributes\":[]},{\"name\":\"case\",\"attributes\":[]}")
    }
    sink.buffer.append("],\"eventTypes\":[")
    eventTypes.bytes.withUnsafeBytes { sink.buffer.append($0) }
    let isFirstType = eventTypes.bytes.isEmpty
    for (index, type) in types.subtracting(definedTypes).sorted().enumerated() {
      sink.buffer.append(index > 0 || !isFirstType ? ",\n{\"name\":" : "\n{\"name\":")
      sink.buffer.appendJSON(type)
      sink.buffer.append(",\"attributes\":[")
      for (index, name) in (["channel", "correlation", "causation", "group"] as [StaticString]).enumerated() {
        sink.buffer.append(index > 0 ? ",{\"name\":\"" : "{\"name\":\"")
        sink.buffer.append(name)
        sink.buffer.append("\",\"type\":\"string\"}")
      }
      sink.buffer.append("]}")
      try sink.flushIfLarge()
    }
    sink.buffer.append("\n]}\n")
  }

  private func relate(
    _ prefix: String, _ name: String, _ qualifier: StaticString, _ sink: inout ExportSink
  ) {
    sink.buffer.appendJSON(prefix + name)
    sink.buffer.append(",\"qualifier\":\"")
    sink.buffer.append(qualifier)
    sink.buffer.append("\"}")
  }
}
