import HyphaCore

extension WireLimits {
  /// For records that a log has checked against limits of its own.
  static let unbounded = WireLimits(
    payloadByteCountMax: .max / 2, frameRecordCountMax: 1, frameByteCountMax: 0)
}

/// Writes events as spans of OpenTelemetry's traces in JSON (OTLP/JSON): a conversation is a trace, an event is a span from its
/// statement until a log had it, and its cause is its parent. Runs of one node's events share a resource.
struct SpanWriter {
  private var node: NodeID?
  private var hasBegun = false

  mutating func append(_ record: RecordView, node: NodeID, until end: Timestamp, to buffer: inout TextBuffer)
  {
    if self.node == node {
      buffer.append(",\n")
    } else {
      buffer.append(!hasBegun ? "{\"resourceSpans\":[\n" : "]}]},\n")
      hasBegun = true
      self.node = node
      buffer.append("{\"resource\":{\"attributes\":[")
      attribute("service.name", node.text, to: &buffer)
      buffer.append("]},\"scopeSpans\":[{\"scope\":{\"name\":\"hypha\"},\"spans\":[\n")
    }
    buffer.append("{\"traceId\":\"")
    buffer.append(hex: record.correlation.high)
    buffer.append(hex: record.correlation.low)
    buffer.append("\",\"spanId\":\"")
    buffer.append(hex: record.id.low)
    if record.causation != .none {
      buffer.append("\",\"parentSpanId\":\"")
      buffer.append(hex: record.causation.low)
    }
    buffer.append("\",\"name\":")
    buffer.appendJSON(record.type)
    // 4 is PRODUCER.
    buffer.append(",\"kind\":4,\"startTimeUnixNano\":\"")
    buffer.append(number: record.time.microseconds)
    buffer.append("000\",\"endTimeUnixNano\":\"")
    buffer.append(number: max(end.microseconds, record.time.microseconds))
    buffer.append("000\",\"attributes\":[")
    attribute("hypha.id", record.id.description, to: &buffer)
    buffer.append(",")
    attribute("hypha.channel", record.channel.description, to: &buffer)
    for (name, bytes) in [
      ("hypha.agent", record.agent), ("hypha.addressee", record.addressee), ("hypha.subject", record.subject),
      ("hypha.principal", record.principal), ("hypha.grant", record.grant),
    ] as [(StaticString, UnsafeRawBufferPointer)] where !bytes.isEmpty {
      buffer.append(",{\"key\":\"")
      buffer.append(name)
      buffer.append("\",\"value\":{\"stringValue\":")
      buffer.appendJSON(bytes)
      buffer.append("}}")
    }
    buffer.append("]}")
  }

  func finish(to buffer: inout TextBuffer) {
    buffer.append(hasBegun ? "]}]}\n]}\n" : "{\"resourceSpans\":[]}\n")
  }

  private func attribute(_ key: StaticString, _ value: String, to buffer: inout TextBuffer) {
    buffer.append("{\"key\":\"")
    buffer.append(key)
    buffer.append("\",\"value\":{\"stringValue\":")
    buffer.appendJSON(value)
    buffer.append("}}")
  }
}
