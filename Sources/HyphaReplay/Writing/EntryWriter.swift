public import HyphaCore
public import HyphaLog

/// Writes entries as lines of JSON, members in the order of their names.
///
/// A JSON payload is a member as it is, on one line; any other one, and one that claims to be JSON and is not, is its
/// bytes in base64. About a microsecond an entry.
public struct EntryWriter: Sendable {
  /// What a line has.
  public enum Format: Hashable, Sendable {
    /// Everything that the log has, in Hypha's own words.
    case own
    /// A CloudEvent in the JSON format (CloudEvents 1.0). What CloudEvents has no attribute for is an extension
    /// attribute, whose names may only have lower-case letters and digits.
    case cloudEvents
  }

  private let format: Format
  private var buffer = TextBuffer()

  /// A writer that has nothing yet.
  public init(_ format: Format) { self.format = format }

  /// The lines so far, each with its line feed.
  public var bytes: [UInt8] { _read { yield buffer.bytes } }
  /// Forgets the lines; the room for them stays.
  public mutating func removeAll() { buffer.removeAll() }

  /// Appends one entry of the log of `node`, and a line feed.
  public mutating func append(_ entry: EntryView, of node: NodeID) {
    switch format {
    case .own: buffer.appendOwn(entry, node)
    case .cloudEvents: buffer.appendCloudEvent(entry.record)
    }
    buffer.append(0x0A)
  }
}

extension TextBuffer {
  fileprivate mutating func appendOwn(_ entry: EntryView, _ node: NodeID) {
    let record = entry.record
    append("{")
    if !record.addressee.isEmpty {
      append("\"addressee\":")
      appendJSON(record.addressee)
      append(",")
    }
    append("\"agent\":")
    appendJSON(record.agent)
    append(",\"appendedAt\":\"")
    append(entry.appendedAt)
    if record.causation != .none {
      append("\",\"causation\":\"")
      append(record.causation)
    }
    append("\",\"channel\":\"")
    append(record.channel.name)
    append("\",\"contentType\":\"")
    append(record.contentType)
    append("\",\"correlation\":\"")
    append(record.correlation)
    append("\",\"epoch\":")
    append(number: record.epoch)
    append(",\"grant\":")
    appendJSON(record.grant)
    if case .received(let hops) = entry.source {
      append(",\"hops\":")
      append(number: hops)
    }
    append(",\"id\":\"")
    append(record.id)
    append("\",\"node\":\"")
    append(text: node.text)
    append("\",\"payload\":")
    appendPayload(record)
    append(",\"policyVersion\":")
    append(number: record.policyVersion)
    append(",\"position\":")
    append(number: entry.position.rawValue)
    append(",\"previous\":\"")
    append(number: record.previous.epoch)
    append(":")
    append(number: record.previous.sequence)
    append("\",\"principal\":")
    appendJSON(record.principal)
    append(",\"schemaVersion\":")
    append(number: record.schemaVersion)
    append(",\"sequence\":")
    append(number: record.sequence)
    append(entry.source == .stated ? ",\"source\":\"stated\"" : ",\"source\":\"received\"")
    append(",\"subject\":")
    appendJSON(record.subject)
    append(",\"time\":\"")
    append(record.time)
    append("\",\"type\":")
    appendJSON(record.type)
    append("}")
  }

  /// The payload as a JSON value.
  mutating func appendPayload(_ record: RecordView) {
    if record.contentType.isJSON, appendCompacted(record.payload) {
      return
    }
    append("\"")
    appendBase64(record.payload)
    append("\"")
  }

  mutating func append(_ contentType: ContentType) {
    switch contentType {
    case .json: append("application/json")
    case .bytes: append("application/octet-stream")
    default: append(text: contentType.description)
    }
  }

  /// One CloudEvent, without a line feed.
  mutating func appendCloudEvent(_ record: RecordView) {
    // Another tool's event is written as that has made it.
    if record.contentType == .cloudEvent, appendCompacted(record.payload) { return }
    append("{")
    appendCloudEventMembers(record)
  }

  /// The members of Hypha's own CloudEvent, and the brace behind them.
  mutating func appendCloudEventMembers(_ record: RecordView) {
    if !record.addressee.isEmpty {
      append("\"addressee\":")
      appendJSON(record.addressee)
      append(",")
    }
    if record.causation != .none {
      append("\"causationid\":\"")
      append(record.causation)
      append("\",")
    }
    append("\"channel\":\"")
    append(record.channel.name)
    append("\",\"correlationid\":\"")
    append(record.correlation)
    append("\",")
    let start = bytes.count
    append("\"data\":")
    if !record.contentType.isJSON || !appendCompacted(record.payload) {
      truncate(to: start)
      append("\"data_base64\":\"")
      appendBase64(record.payload)
      append("\"")
    }
    append(",\"datacontenttype\":\"")
    append(record.contentType)
    // Beyond the 32 bits of CloudEvents' integers.
    append("\",\"epoch\":\"")
    append(number: record.epoch)
    if !record.grant.isEmpty {
      append("\",\"grant\":")
      appendJSON(record.grant)
      append(",\"id\":\"")
    } else {
      append("\",\"id\":\"")
    }
    append(record.id)
    append("\",\"policyversion\":\"")
    append(number: record.policyVersion)
    append("\",\"principal\":")
    appendJSON(record.principal)
    append(",\"schemaversion\":")
    append(number: record.schemaVersion)
    append(",\"sequence\":\"")
    append(number: record.sequence)
    append("\",\"source\":\"/agents/")
    append(record.agent)
    append("\",\"specversion\":\"1.0\",\"subject\":")
    appendJSON(record.subject)
    append(",\"time\":\"")
    append(record.time)
    append("\",\"type\":")
    appendJSON(record.type)
    append("}")
  }
}

extension Channel {
  /// The channel's name, without an allocation.
  var name: StaticString {
    switch self {
    case .persistent: "persistent"
    case .alert: "alert"
    case .realtime: "realtime"
    }
  }
}
