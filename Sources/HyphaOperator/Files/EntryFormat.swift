import Foundation
import HyphaCore
import HyphaLog

/// A log entry as one line of JSON, in Hypha's own words.
struct EntryJSON: Encodable {
  let position: UInt64
  let appendedAt: String
  let source: String
  let hops: UInt8?
  let id: EventID
  let time: String
  let channel: String
  let agent: AgentID
  let epoch: UInt64
  let sequence: UInt64
  let previous: String
  let addressee: AgentID?
  let type: EventTypeName
  let schemaVersion: UInt16
  let subject: Subject
  let causation: EventID?
  let correlation: EventID
  let principal: AgentID
  let grant: String
  let policyVersion: UInt32
  let contentType: String
  let payload: JSONValue

  init(_ entry: LogEntry) {
    let header = entry.record.header
    position = entry.position.rawValue
    appendedAt = entry.appendedAt.text
    switch entry.source {
    case .stated: (source, hops) = ("stated", nil)
    case .received(let count): (source, hops) = ("received", count)
    }
    id = header.id
    time = header.time.text
    channel = header.channel.description
    agent = header.agent
    epoch = header.epoch
    sequence = header.sequence
    previous = header.previous.description
    addressee = header.addressee
    type = header.type
    schemaVersion = header.schemaVersion
    subject = header.subject
    causation = header.causation == .none ? nil : header.causation
    correlation = header.correlation
    principal = header.authority.principal
    grant = header.authority.grant
    policyVersion = header.authority.policyVersion
    contentType = header.contentType.description
    payload = entry.record.json ?? .string(Data(entry.record.payload).base64EncodedString())
  }
}

/// A log entry as a CloudEvent in the JSON format (CloudEvents 1.0). What CloudEvents has no attribute for is an
/// extension attribute, whose names may only have lower-case letters and digits.
struct CloudEventJSON: Encodable {
  let specversion = "1.0"
  let id: EventID
  let source: String
  let type: EventTypeName
  let subject: Subject
  let time: String
  let datacontenttype: String
  let data: JSONValue?
  let data_base64: String?
  let channel: String
  let epoch: String
  let sequence: String
  let addressee: AgentID?
  let causationid: EventID?
  let correlationid: EventID
  let principal: AgentID
  let schemaversion: Int

  init(_ entry: LogEntry) {
    let header = entry.record.header
    id = header.id
    source = "/agents/\(header.agent)"
    type = header.type
    subject = header.subject
    time = header.time.text
    datacontenttype = header.contentType.description
    data = entry.record.json
    data_base64 = data == nil ? Data(entry.record.payload).base64EncodedString() : nil
    channel = header.channel.description
    // Beyond the 32 bits of CloudEvents' integers.
    epoch = String(header.epoch)
    sequence = String(header.sequence)
    addressee = header.addressee
    causationid = header.causation == .none ? nil : header.causation
    correlationid = header.correlation
    principal = header.authority.principal
    schemaversion = Int(header.schemaVersion)
  }
}

extension Record {
  /// The payload where it is JSON.
  var json: JSONValue? {
    guard header.contentType == .json else { return nil }
    return withPayload { try? JSON.decode(JSONValue.self, from: $0) }
  }
}
