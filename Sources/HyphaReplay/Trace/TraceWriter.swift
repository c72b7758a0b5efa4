import HyphaCore
import HyphaLog

extension CausalTrace {
  /// What a trace can be written as, for other programs.
  public enum Format: String, CaseIterable, Sendable {
    /// Graphviz.
    case dot
    /// Mermaid's flow charts.
    case mermaid
    /// One JSON object.
    case json
    /// OpenTelemetry's traces in JSON.
    case otlp
  }

  /// The trace in `format`, as text that ends with a line feed.
  public func bytes(as format: Format) -> [UInt8] {
    var buffer = TextBuffer()
    switch format {
    case .dot: TracePicture(self).writeDot(to: &buffer)
    case .mermaid: TracePicture(self).writeMermaid(to: &buffer)
    case .json: writeJSON(to: &buffer)
    case .otlp: writeOTLP(to: &buffer)
    }
    return buffer.bytes
  }

  private func writeJSON(to buffer: inout TextBuffer) {
    buffer.append("{\"complete\":")
    buffer.append(isComplete ? "true" : "false")
    buffer.append(",\"focus\":")
    buffer.append(number: UInt64(focus))
    if let missingCause {
      buffer.append(",\"missingCause\":\"")
      buffer.append(missingCause)
      buffer.append("\"")
    }
    buffer.append(",\"steps\":[")
    for (index, step) in steps.enumerated() {
      buffer.append(index > 0 ? ",\n{" : "\n{")
      append(step, to: &buffer)
      buffer.append("}")
    }
    buffer.append("\n]}\n")
  }

  private func append(_ step: Step, to buffer: inout TextBuffer) {
    let header = step.record.header
    func member(_ name: StaticString, _ text: String) {
      buffer.append("\"")
      buffer.append(name)
      buffer.append("\":")
      buffer.appendJSON(text)
      buffer.append(",")
    }
    func member(_ name: StaticString, microseconds duration: Duration) {
      buffer.append("\"")
      buffer.append(name)
      buffer.append("\":")
      buffer.append(number: duration.wholeMicroseconds)
      buffer.append(",")
    }
    member("id", header.id.description)
    member("agent", header.agent.text)
    if let addressee = header.addressee { member("addressee", addressee.text) }
    member("channel", header.channel.description)
    member("type", header.type.text)
    member("subject", header.subject.text)
    member("principal", header.authority.principal.text)
    member("grant", header.authority.grant)
    if let delays = step.delays {
      member("travelMicroseconds", microseconds: delays.travel)
      member("handlingMicroseconds", microseconds: delays.handling)
      member("totalMicroseconds", microseconds: delays.total)
    }
    if let commit = step.commit { member("commitMicroseconds", microseconds: commit) }
    buffer.append("\"time\":\"")
    buffer.append(header.time)
    buffer.append("\",\"policyVersion\":")
    buffer.append(number: header.authority.policyVersion)
    buffer.append(",\"depth\":")
    buffer.append(number: UInt64(step.depth))
    if let parent = step.parent {
      buffer.append(",\"parent\":")
      buffer.append(number: UInt64(parent))
    }
    buffer.append(",\"copies\":[")
    for (index, copy) in step.copies.enumerated() {
      if index > 0 { buffer.append(",") }
      buffer.append("{\"node\":")
      buffer.appendJSON(copy.node.text)
      buffer.append(",\"position\":")
      buffer.append(number: copy.position.rawValue)
      buffer.append(",\"appendedAt\":\"")
      buffer.append(copy.appendedAt)
      if case .received(let hops) = copy.source {
        buffer.append("\",\"hops\":")
        buffer.append(number: hops)
        buffer.append("}")
      } else {
        buffer.append("\"}")
      }
    }
    buffer.append("]")
  }

  private func writeOTLP(to buffer: inout TextBuffer) {
    var spans = SpanWriter()
    for step in steps {
      let bytes = step.record.bytes
      bytes.withUnsafeBytes { bytes in
        // The record exists, so its bytes were checked.
        guard let record = try? RecordView(checking: bytes, limits: .unbounded) else { return }
        spans.append(
          record, node: step.copies.first?.node ?? "unknown", until: step.lastAppendedAt, to: &buffer)
      }
    }
    spans.finish(to: &buffer)
  }
}
