import HyphaCore
import HyphaLog

/// XES (IEEE 1849): a trace for each case, with its events in their order.
///
/// Events come in order of time and are wanted case by case. Each goes to one of some files by its case's hash; at the end file
/// after file is read and its events put together. So memory is that of one part, about 40,000 events, and a case of any size
/// must fit.
struct XESEncoder: ExportEncoder {
  private let spill: Spill

  init(expectedCount: UInt64, spillDirectory: String) throws {
    let partCount = Int(min(max(expectedCount / 40_000, 1), 256))
    spill = try Spill(partCount: partCount, in: spillDirectory)
  }

  func begin(_ sink: inout ExportSink) {
    sink.buffer.append(
      """
      <?xml version="1.0" encoding="UTF-8"?>
      <log xes.version="1849-2016" xes.features="" xmlns="http://www.xes-standard.org/">
      <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
      <extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
      <extension name="Organizational" prefix="org" uri="http://www.xes-standard.org/org.xesext"/>
      <classifier name="Activity" keys="concept:name"/>

      """)
  }

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) throws {
    let record = replayed.entry.record
    guard !OCEL.isBackground(record.contentType) else { return }
    let event = ProcessEvent(record)
    // What is in the sink is written out first, so that the fragment can be made there.
    let start = sink.buffer.bytes.count
    sink.buffer.append("<event>")
    attribute("string", "concept:name", event.activity, &sink)
    if let resource = event.resource { attribute("string", "org:resource", resource, &sink) }
    if let group = event.group { attribute("string", "org:group", group, &sink) }
    sink.buffer.append("<date key=\"time:timestamp\" value=\"")
    sink.buffer.append(record.time)
    sink.buffer.append("\"/>")
    attribute("id", "identity:id", record.id.description, &sink)
    if !record.addressee.isEmpty {
      attribute("string", "hypha:addressee", String(decoding: record.addressee, as: UTF8.self), &sink)
    }
    sink.buffer.append("<string key=\"hypha:channel\" value=\"")
    sink.buffer.append(record.channel.name)
    sink.buffer.append("\"/></event>\n")
    try spill.add(case: event.caseName, fragment: sink.buffer.bytes[start...])
    sink.buffer.truncate(to: start)
  }

  mutating func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) throws {
    // Each is read, and written.
    pace.total = 2 * spill.fragmentCount
    for part in 0..<spill.partCount {
      try spill.forEachCase(in: part, read: { try pace.step() }) { name, fragments in
        sink.buffer.append("<trace>")
        attribute("string", "concept:name", name, &sink)
        sink.buffer.append("\n")
        for fragment in fragments {
          try pace.step()
          sink.buffer.append(fragment)
          try sink.flushIfLarge()
        }
        sink.buffer.append("</trace>\n")
      }
    }
    sink.buffer.append("</log>\n")
  }

  private func attribute(
    _ kind: StaticString, _ key: StaticString, _ value: String, _ sink: inout ExportSink
  ) {
    sink.buffer.append("<")
    sink.buffer.append(kind)
    sink.buffer.append(" key=\"")
    sink.buffer.append(key)
    sink.buffer.append("\" value=\"")
    sink.buffer.appendXML(value)
    sink.buffer.append("\"/>")
  }
}
