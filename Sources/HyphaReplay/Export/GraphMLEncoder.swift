import HyphaCore
import HyphaLog

/// Who sends to whom: agents and the types that they publish to all are nodes, and an edge says how many events, how many bytes
/// of payload, and from when to when. Pairs that are many are summed up through a ``Spill``.
struct GraphMLEncoder: ExportEncoder {
  private struct Pair: Hashable {
    var from: String
    var to: String
    /// Whether `to` is a type, which stands for all that subscribe to it.
    var isType: Bool

    /// The pair as a text that sorts as pairs are shown; no name has a line feed.
    var text: String { "\(from)\n\(isType ? 1 : 0)\(to)" }

    init(from: String, to: String, isType: Bool) { (self.from, self.to, self.isType) = (from, to, isType) }

    init(_ text: String) {
      let parts = text.split(separator: "\n", maxSplits: 1)
      from = String(parts.first ?? "")
      isType = parts.last?.first == "1"
      to = String(parts.last?.dropFirst() ?? "")
    }
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

    mutating func add(_ other: Weight) {
      eventCount += other.eventCount
      byteCount += other.byteCount
      first = min(first, other.first)
      last = max(last, other.last)
    }

    var bytes: [UInt8] {
      [UInt64(eventCount), UInt64(byteCount), first.rawValue, last.rawValue]
        .flatMap { value in withUnsafeBytes(of: value) { Array($0) } }
    }

    init() {}

    init(_ bytes: UnsafeRawBufferPointer) {
      func value(_ index: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self) }
      (eventCount, byteCount) = (Int(value(0)), Int(value(1)))
      (first, last) = (Timestamp(rawValue: value(2)), Timestamp(rawValue: value(3)))
    }
  }

  /// The pairs of late; what there was of others is in `edges`.
  private var pairs: [Pair: Weight] = [:]
  private let edges, agents, types: Spill
  private let pairCountMax: Int

  init(expectedCount: UInt64, spillDirectory: String, limits: Spill.Limits = .init()) {
    let partCount = Spill.partCount(for: expectedCount)
    edges = Spill(partCount: partCount, in: spillDirectory, limits: limits)
    agents = Spill(partCount: partCount, in: spillDirectory, limits: limits)
    types = Spill(partCount: 1, in: spillDirectory, limits: limits)
    pairCountMax = limits.nameCountMax
  }

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

  mutating func add(_ replayed: ReplayedEntry, _ sink: inout ExportSink) throws {
    let record = replayed.entry.record
    guard !record.contentType.isBackground, !record.isToNobody else { return }
    let isType = record.addressee.isEmpty
    let to = isType ? record.type : record.addressee
    let pair = Pair(
      from: String(decoding: record.agent, as: UTF8.self), to: String(decoding: to, as: UTF8.self),
      isType: isType)
    pairs[pair, default: Weight()].add(record)
    if pairs.count >= pairCountMax { try spillPairs() }
  }

  private mutating func spillPairs() throws {
    for (pair, weight) in pairs { try edges.add(Spill.Key(name: pair.text), weight.bytes) }
    for name in Set(pairs.keys.map(\.from) + pairs.keys.filter { !$0.isType }.map(\.to)) {
      try agents.add(Spill.Key(name: name), [])
    }
    for name in Set(pairs.keys.filter(\.isType).map(\.to)) { try types.add(Spill.Key(name: name), []) }
    pairs = [:]
  }

  mutating func finish(_ sink: inout ExportSink, _ pace: inout FinishPace) throws {
    try spillPairs()
    // Each is read, and written.
    pace.total = 2 * (agents.fragmentCount + types.fragmentCount + edges.fragmentCount)
    for (names, kind, mark) in [(agents, "agent", ""), (types, "type", "#")]
      as [(Spill, StaticString, StaticString)]
    {
      try names.visit(sorted: true, &pace) { step in
        guard case .begin(let key, _) = step else { return }
        sink.buffer.append("<node id=\"")
        sink.buffer.append(mark)
        sink.buffer.appendXML(key.name)
        sink.buffer.append("\"><data key=\"kind\">")
        sink.buffer.append(kind)
        sink.buffer.append("</data></node>\n")
        try sink.flushIfLarge()
      }
    }
    var weight = Weight()
    try edges.visit(sorted: true, &pace) { step in
      switch step {
      case .begin: weight = Weight()
      case .head(let bytes), .fragment(let bytes): weight.add(Weight(bytes))
      case .end(let key):
        Self.write(Pair(key.name), weight, &sink)
        try sink.flushIfLarge()
      }
    }
    sink.buffer.append("</graph>\n</graphml>\n")
  }

  private static func write(_ pair: Pair, _ weight: Weight, _ sink: inout ExportSink) {
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
