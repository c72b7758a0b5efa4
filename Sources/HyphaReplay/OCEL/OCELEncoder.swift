import HyphaCore
import HyphaLog

/// OCEL 2.0 in JSON (ocel-standard.org): events of types, related to objects: agents, and cases.
///
/// Events are written as they come; objects and types behind them, since all members of a JSON object may come in any order.
/// Objects go through a ``Spill`` until then. Memory is that of the types.
struct OCELEncoder: ExportEncoder {
  private var types: Set<String> = []
  private var agents: OCELNames
  private var cases: OCELNames
  private var isFirst = true
  /// What an imported log has of objects and definitions, as it was.
  private let objects: Spill
  private var (eventTypes, objectTypes) = (TextBuffer(capacity: 0), TextBuffer(capacity: 0))
  private var definedTypes: Set<String> = []

  init(expectedCount: UInt64, spillDirectory: String, limits: Spill.Limits = .init()) {
    let partCount = Spill.partCount(for: expectedCount)
    agents = OCELNames(Spill(partCount: partCount, in: spillDirectory, limits: limits), limits)
    cases = OCELNames(Spill(partCount: partCount, in: spillDirectory, limits: limits), limits)
    objects = Spill(partCount: 1, in: spillDirectory, limits: limits)
  }

  func begin(_ sink: inout ExportSink) { sink.buffer.append("{\"events\":[") }

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) throws {
    let record = replayed.entry.record
    switch record.contentType {
    case .ocelEvent: return addImported(record, &sink)
    case .ocelObject: return try objects.add(Spill.Key(name: ""), Array(record.payload))
    case .ocelObjectType: return Self.keep(record, in: &objectTypes)
    case .ocelEventType:
      if let type = try? JSON.decode(OCEL.TypeDefinition.self, from: record.payload) {
        definedTypes.insert(type.name)
      }
      return Self.keep(record, in: &eventTypes)
    case _ where record.contentType.isXESBackground: return
    default: break
    }
    let event = ProcessEvent(record)
    types.insert(event.activity)
    try cases.insert(event.caseName)
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
      try agents.insert(resource)
      sink.buffer.append(",{\"objectId\":")
      relate("agent:", resource, "by", &sink)
    }
    if !record.addressee.isEmpty {
      let addressee = String(decoding: record.addressee, as: UTF8.self)
      try agents.insert(addressee)
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
    // Each is read, and written.
    pace.total = 2 * (objects.fragmentCount + agents.spill.fragmentCount + cases.spill.fragmentCount)
    let hasCases = cases.spill.fragmentCount > 0
    sink.buffer.append("\n],\"objects\":[")
    var isFirst = true
    try objects.visit(&pace) { step in
      guard case .fragment(let payload) = step else { return }
      sink.buffer.append(isFirst ? "\n" : ",\n")
      isFirst = false
      if !sink.buffer.appendCompacted(payload) { sink.buffer.append("null") }
      try sink.flushIfLarge()
    }
    for (names, kind, prefix) in [(agents, "agent", "agent:"), (cases, "case", "case:")]
      as [(OCELNames, StaticString, String)]
    {
      try names.spill.visit(sorted: true, &pace) { step in
        guard case .begin(let key, _) = step else { return }
        sink.buffer.append(isFirst ? "\n{\"id\":" : ",\n{\"id\":")
        isFirst = false
        sink.buffer.appendJSON(prefix + key.name)
        sink.buffer.append(",\"type\":\"")
        sink.buffer.append(kind)
        sink.buffer.append("\",\"attributes\":[],\"relationships\":[]}")
        try sink.flushIfLarge()
      }
    }
    sink.buffer.append("\n],\"objectTypes\":[")
    objectTypes.bytes.withUnsafeBytes { sink.buffer.append($0) }
    // Those of Hypha's own events, and of a file without any.
    if hasCases || objectTypes.bytes.isEmpty {
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

/// Names of objects, each of which is wanted once at the end.
private struct OCELNames {
  let spill: Spill
  /// Those of late, which are in the spill already.
  private var recent: Set<String> = []

  private let countMax: Int

  init(_ spill: Spill, _ limits: Spill.Limits) { (self.spill, countMax) = (spill, limits.nameCountMax) }

  mutating func insert(_ name: String) throws {
    guard recent.insert(name).inserted else { return }
    try spill.add(Spill.Key(name: name), [])
    if recent.count >= countMax { recent = [] }
  }
}
