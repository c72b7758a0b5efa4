import HyphaCore
import HyphaFormats

/// An event in the words of process mining: in a case, an activity was done by a resource.
///
/// Of an event that was imported from a recording they are what that said; of any other, the case is its subject, the activity
/// its type, and the resource the agent that stated it.
struct ProcessEvent {
  var caseName: String
  var activity: String
  var resource: String?
  var group: String?
  var time: Timestamp
  /// Where it was imported from XES: its trace, as the log's entry for it names it, and all attributes that the file had.
  var recorded: (trace: UInt64, attributes: [XESElement])?
  /// Where it was imported from OCEL.
  var objectCentric: OCEL.Event?

  /// The type of events that were imported from a recording.
  static let importedType: EventTypeName = "recorded.Event"

  /// What such an event's payload has.
  struct Payload: Codable {
    var activity: String
    var caseID: String
    var group: String?
    var resource: String?
    var trace: UInt64?
    var attributes: [XESElement]?
    /// Where the attributes are too many for one entry, the conversation of the pieces that have them.
    var pieces: EventID?

    init(_ recorded: RecordedEvent) {
      (activity, caseID) = (recorded.activity, recorded.caseID)
      (group, resource) = (recorded.group, recorded.resource)
    }
  }

  /// - Parameter joined: the attributes that stand in the pieces of a conversation, where those are wanted.
  init(_ record: RecordView, joined: (EventID) -> [XESElement]? = { _ in nil }) {
    time = record.time
    if record.contentType == .ocelEvent, let event = try? JSON.decode(OCEL.Event.self, from: record.payload) {
      caseName = event.object("case", without: "case:") ?? event.relationships.first?.objectId ?? event.id
      activity = event.type
      resource = event.object("by", without: "agent:")
      group = event.text("group").flatMap { $0.isEmpty ? nil : $0 }
      objectCentric = event
    } else if record.type.elementsEqual(Self.importedType.text.utf8),
      let payload = try? JSON.decode(Payload.self, from: record.payload)
    {
      (caseName, activity) = (payload.caseID, payload.activity)
      (resource, group) = (payload.resource, payload.group)
      if let trace = payload.trace, let attributes = payload.attributes ?? payload.pieces.flatMap(joined) {
        recorded = (trace, attributes)
      }
    } else {
      caseName = String(decoding: record.subject, as: UTF8.self)
      activity = String(decoding: record.type, as: UTF8.self)
      resource = String(decoding: record.agent, as: UTF8.self)
    }
  }
}
