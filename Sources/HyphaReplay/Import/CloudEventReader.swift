import Foundation
import HyphaCore
import HyphaFormats

extension ContentType {
  /// A whole CloudEvent in JSON, as another tool has made it.
  static let cloudEvent = ContentType(rawValue: 2)
}

/// An event of a file on its way into a log.
struct ImportedEvent {
  var id: EventID
  var time: Timestamp
  var channel: Channel
  var agent: AgentID
  /// The place in its stream; nil where the importer is to number it.
  var place: LanePoint?
  var addressee: AgentID?
  var type: EventTypeName
  var schemaVersion: UInt16 = 1
  var subject: Subject
  var contentType = ContentType.json
  var causation = EventID.none
  var correlation: EventID
  var authority: Authority?
  var payload: [UInt8]

  /// The event as a record that goes on where its lane ends.
  func record(linkedTo ends: inout [Lane: LanePoint]) throws -> Record {
    let point = place ?? LanePoint(epoch: 1, sequence: 1)
    let lane = Lane(
      agent: agent, channel: channel, target: addressee.map { .addressee($0) } ?? .type(type))
    let end = ends[lane] ?? .start
    guard point > end else {
      throw ImportProblem(
        "of stream \(agent)@\(point.epoch)/\(channel) is number \(point.sequence), behind number \(end.sequence)"
      )
    }
    ends[lane] = point
    return try Record(
      RecordHeader(
        id: id, time: time, channel: channel, agent: agent, epoch: point.epoch, sequence: point.sequence,
        previous: end, addressee: addressee, type: type, schemaVersion: schemaVersion, subject: subject,
        contentType: contentType, causation: causation, correlation: correlation,
        authority: authority ?? Authority(principal: agent)), payload: payload)
  }
}

/// Makes an event of a CloudEvent (CloudEvents 1.0.2, JSON event format).
struct CloudEventReader {
  private let members: JSONMembers

  init(_ members: JSONMembers) { self.members = members }

  /// - Parameter agent: finds the agent for a source.
  func event(agent: (String) -> AgentID) throws -> ImportedEvent {
    guard members.text("specversion") == "1.0" else { throw ImportProblem("has no specversion 1.0") }
    let (id, source, type) = (try text("id"), try text("source"), try text("type"))
    if let own = try ownEvent(id: id, source: source, type: type) { return own }
    let time = try members.text("time").map { try Self.time($0) } ?? .zero
    let random = SeededGenerator.fingerprint(of: "\(source)\n\(id)")
    let eventID = (try? EventID(id)) ?? EventID(time: time, random: random)
    let name = EventTypeName(unchecked: Self.slug(type, byteCountMax: EventTypeName.byteCountMax))
    return ImportedEvent(
      id: eventID, time: time, channel: .persistent, agent: agent(source), type: name,
      subject: Self.subject(members.text("subject") ?? type), contentType: .cloudEvent, correlation: eventID,
      payload: members.bytes)
  }

  /// The event that Hypha has exported as this one; nil where another tool has made it.
  private func ownEvent(id: String, source: String, type: String) throws -> ImportedEvent? {
    guard source.hasPrefix("/agents/"), let epoch = members.number("epoch"),
      let sequence = members.number("sequence"),
      let channel = members.text("channel").flatMap(Channel.init(name:)),
      let correlation = members.text("correlationid"), let principal = members.text("principal")
    else { return nil }
    let (payload, contentType) = try payload()
    guard epoch > 0, sequence > 0 else { throw ImportProblem("has an epoch or sequence of 0") }
    return ImportedEvent(
      id: try EventID(id), time: try Self.time(text("time")), channel: channel,
      agent: try AgentID(String(source.dropFirst("/agents/".count))),
      place: LanePoint(epoch: epoch, sequence: sequence),
      addressee: try members.text("addressee").map { try AgentID($0) },
      type: try EventTypeName(type), schemaVersion: UInt16(clamping: members.number("schemaversion") ?? 1),
      subject: try Subject(text("subject")), contentType: contentType,
      causation: try members.text("causationid").map { try EventID($0) } ?? .none,
      correlation: try EventID(correlation),
      authority: Authority(
        principal: try AgentID(principal), grant: members.text("grant") ?? "",
        policyVersion: UInt32(clamping: members.number("policyversion") ?? 0)), payload: payload)
  }

  /// The event's data, and how it is to be read.
  func payload() throws -> ([UInt8], ContentType) {
    let contentType: ContentType =
      switch members.text("datacontenttype") ?? "application/json" {
      case "application/json": .json
      case "application/octet-stream": .bytes
      case let other where other.hasPrefix("application/x-hypha-"):
        UInt8(other.dropFirst("application/x-hypha-".count)).map { ContentType(rawValue: $0) } ?? .bytes
      default: .bytes
      }
    if let data = members["data"] { return (Array(data), contentType) }
    guard let text = members.text("data_base64") else { return ([], contentType) }
    guard let data = Data(base64Encoded: text) else {
      throw ImportProblem("has data_base64 that is not base64")
    }
    return (Array(data), contentType)
  }

  private func text(_ name: String) throws -> String {
    guard let text = members.text(name), !text.isEmpty else { throw ImportProblem("has no \(name)") }
    return text
  }

  private static func time(_ text: String) throws -> Timestamp {
    guard let microseconds = RecordedTime.microseconds(text, form: .rfc3339), microseconds >= 0 else {
      throw ImportProblem("has the time '\(text.shown(80))', which is none from 1970 on (RFC 3339)")
    }
    return Timestamp(microseconds: UInt64(microseconds))
  }

  static func slug(_ text: String, byteCountMax: Int) -> String {
    let bytes = text.utf8.prefix(byteCountMax).map { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        byte
      default: UInt8(ascii: "-")
      }
    }
    let slug = String(decoding: bytes, as: UTF8.self)
    return slug.allSatisfy { $0 == "." } ? "-" : slug
  }

  static func subject(_ text: String) -> Subject {
    (try? Subject(text)) ?? Subject(slug: slug(text, byteCountMax: 200))
  }
}
