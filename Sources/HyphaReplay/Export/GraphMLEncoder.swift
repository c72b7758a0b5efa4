import HyphaCore
import HyphaLog

/// Who sends to whom: agents and the types that they publish to all are nodes, and an edge says how many events, how many bytes
/// of payload, and from when to when. Memory is that of the pairs.
struct GraphMLEncoder: ExportEncoder {
  private struct Pair: Hashable {
    var from: String
    var to: String
    /// Whether `to` is a type, which stands for all that subscribe to it.
    var isType: Bool
  }

  private struct Weight {
    var eventCount = 0
    var byteCount = 0
    var first = Timestamp(rawValue: .max)
    var last = Timestamp.zero

    mutating func add(_ record: RecordView) {
      eventCount += 1
      byteCount += record.payload.count
      first = min(first, record.time)
      last = max(last, record.time)
    }
  }

  private var pairs: [Pair: Weight] = [:]

  func begin(_ sink: inout ExportSink) {
    sink.buffer.append(
      """
      <?xml version="1.0" encoding="UTF-8"?>
      <graphml xmlns="http://graphml.graphdrawing.org/xmlns">
      <key id="kind" for="node" attr.name="kind" attr.type="string"/>
      <key id="events" for="edge" attr.name="events" attr.type="long"/>
      <key id="bytes" for="edge" attr.name="bytes" attr.type="long"/>
      <key id="first" for="edge" attr.name="first" attr.type="string"/>
      <key id="last" for="edge" attr.name="last" attr.type="string"/>
      <graph edgedefault="directed">

      """)
  }

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) {
    let record = replayed.entry.record
    guard !record.contentType.isBackground, !record.isToNobody else { return }
    let isType = record.addressee.isEmpty
    let to = isType ? record.type : record.addressee
    let pair = Pair(
      from: String(decoding: record.agent, as: UTF8.self), to: String(decoding: to, as: UTF8.self),
      isType: isType)
    pairs[pair, default: Weight()].add(record)
  }

  mutating func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) throws {
    let sorted = pairs.sorted {
      ($0.key.from, $0.key.isType ? 1 : 0, $0.key.to) < ($1.key.from, $1.key.isType ? 1 : 0, $1.key.to)
    }
    let agents = Set(sorted.map(\.key.from) + sorted.filter { !$0.key.isType }.map(\.key.to)).sorted()
    let types = Set(sorted.filter(\.key.isType).map(\.key.to)).sorted()
    pace.total = agents.count + types.count + sorted.count
    for (names, kind, mark) in [(agents, "agent", ""), (types, "type", "#")]
      as [([String], StaticString, StaticString)]
    {
      for name in names {
        try pace.step()
        sink.buffer.append("<node id=\"")
        sink.buffer.append(mark)
        sink.buffer.appendXML(name)
        sink.buffer.append("\"><data key=\"kind\">")
        sink.buffer.append(kind)
        sink.buffer.append("</data></node>\n")
        try sink.flushIfLarge()
      }
    }
    for (pair, weight) in sorted {
      try pace.step()
      sink.buffer.append("<edge source=\"")
      sink.buffer.appendXML(pair.from)
      sink.buffer.append(pair.isType ? "\" target=\"#" : "\" target=\"")
      sink.buffer.appendXML(pair.to)
      sink.buffer.append("\"><data key=\"events\">")
      sink.buffer.append(number: Int64(weight.eventCount))
      sink.buffer.append("</data><data key=\"bytes\">")
      sink.buffer.append(number: Int64(weight.byteCount))
      sink.buffer.append("</data><data key=\"first\">")
      sink.buffer.append(weight.first)
      sink.buffer.append("</data><data key=\"last\">")
      sink.buffer.append(weight.last)
      sink.buffer.append("</data></edge>\n")
      try sink.flushIfLarge()
    }
    sink.buffer.append("</graph>\n</graphml>\n")
  }
}

extension TextBuffer {
  /// Sixteen hexadecimal digits.
  mutating func append(hex value: UInt64) {
    var shift: UInt64 = 64
    while shift > 0 {
      shift -= 4
      let digit = UInt8(truncatingIfNeeded: value >> shift & 15)
      append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
    }
  }

  /// Text for an XML attribute or element; a character that XML cannot have becomes U+FFFD.
  mutating func appendXML(_ text: some StringProtocol) {
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x26: append("&amp;")
      case 0x3C: append("&lt;")
      case 0x3E: append("&gt;")
      case 0x22: append("&quot;")
      // What an attribute would not keep as it is.
      case 0x09: append("&#9;")
      case 0x0A: append("&#10;")
      case 0x0D: append("&#13;")
      case ..<0x20, 0xFFFE, 0xFFFF: append("\u{FFFD}")
      default: append(text: String(scalar))
      }
    }
  }
}
