import HyphaCore
import HyphaLog

/// OCEL 2.0 in JSON (ocel-standard.org): events of types, related to objects: agents, and cases.
///
/// Events are written as they come; objects and types behind them, since all members of a JSON object may come in any order.
/// Memory is that of the names of agents, cases and types.
struct OCELEncoder: ExportEncoder {
  private var types: Set<String> = []
  private var agents: Set<String> = []
  private var cases: Set<String> = []
  private var isFirst = true

  func begin(_ sink: inout ExportSink) { sink.buffer.append("{\"events\":[") }

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) {
    let record = replayed.entry.record
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

  mutating func finish(_ sink: inout ExportSink) throws {
    sink.buffer.append("\n],\"objects\":[")
    var isFirst = true
    for (names, kind, prefix) in [(agents, "agent", "agent:"), (cases, "case", "case:")]
      as [(Set<String>, StaticString, String)]
    {
      for name in names.sorted() {
        sink.buffer.append(isFirst ? "\n{\"id\":" : ",\n{\"id\":")
        isFirst = false
        sink.buffer.appendJSON(prefix + name)
        sink.buffer.append(",\"type\":\"")
        sink.buffer.append(kind)
        sink.buffer.append("\",\"attributes\":[],\"relationships\":[]}")
        try sink.flushIfLarge()
      }
    }
    sink.buffer.append(
      "\n],\"objectTypes\":[{\"name\":\"agent\",\"attributes\":[]},{\"name\":\"case\",\"attributes\":[]}],\"eventTypes\":["
    )
    for (index, type) in types.sorted().enumerated() {
      sink.buffer.append(index > 0 ? ",\n{\"name\":" : "\n{\"name\":")
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
