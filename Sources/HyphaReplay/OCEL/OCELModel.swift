import HyphaCore
import HyphaLog

/// The parts of an object-centric event log (OCEL 2.0, ocel-standard.org), as they stand in its JSON.
enum OCEL {
  /// An event, related to objects.
  struct Event: Codable, Hashable {
    var id, type, time: String
    var attributes: [Attribute] = []
    var relationships: [Relation] = []
  }

  /// What events are about, with attributes that change over time.
  struct Object: Codable, Hashable {
    var id, type: String
    var attributes: [TimedAttribute] = []
    var relationships: [Relation] = []
  }

  struct Attribute: Codable, Hashable {
    var name: String
    var value: JSONValue
  }

  struct TimedAttribute: Codable, Hashable {
    var name, time: String
    var value: JSONValue
  }

  struct Relation: Codable, Hashable {
    var objectId, qualifier: String
  }

  /// The attributes of a type of events or objects.
  struct TypeDefinition: Codable, Hashable {
    struct AttributeDefinition: Codable, Hashable {
      var name, type: String
    }

    var name: String
    var attributes: [AttributeDefinition] = []
  }

  /// The types under which an imported log keeps objects and definitions.
  static let (objectType, definitionType): (EventTypeName, EventTypeName) = (
    "recorded.Object", "recorded.TypeDefinition"
  )

  /// Whether an entry is no event of an imported log, but an object or a definition.
  static func isBackground(_ contentType: ContentType) -> Bool {
    contentType == .ocelObject || contentType == .ocelEventType || contentType == .ocelObjectType
  }
}

extension OCEL.Event {
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    id = try container.decode(String.self, forKey: .id)
    type = try container.decode(String.self, forKey: .type)
    time = try container.decode(String.self, forKey: .time)
    attributes = try container.decodeIfPresent([OCEL.Attribute].self, forKey: .attributes) ?? []
    relationships = try container.decodeIfPresent([OCEL.Relation].self, forKey: .relationships) ?? []
  }

  /// An attribute that is a text.
  func text(_ name: String) -> String? { attributes.first { $0.name == name }?.value.text }

  /// The first object that is related so, without the prefix under which Hypha exports it.
  func object(_ qualifier: String, without prefix: String) -> String? {
    relationships.first { $0.qualifier == qualifier }.map { relation in
      relation.objectId.hasPrefix(prefix)
        ? String(relation.objectId.dropFirst(prefix.count)) : relation.objectId
    }
  }

  /// The event of a log as one of OCEL: as it was imported, or related to its case and agents.
  init(_ record: RecordView) throws {
    if record.contentType == .ocelEvent {
      self = try JSON.decode(OCEL.Event.self, from: record.payload)
      return
    }
    let process = ProcessEvent(record)
    var time = TextBuffer(capacity: 32)
    time.append(record.time)
    id = record.id.description
    type = process.activity
    self.time = String(decoding: time.bytes, as: UTF8.self)
    attributes = [
      .init(name: "channel", value: .string(record.channel.description)),
      .init(name: "correlation", value: .string(record.correlation.description)),
      .init(
        name: "causation",
        value: .string(record.causation == .none ? "" : record.causation.description)),
      .init(name: "group", value: .string(process.group ?? "")),
    ]
    relationships = [.init(objectId: "case:" + process.caseName, qualifier: "case")]
    if let resource = process.resource {
      relationships.append(.init(objectId: "agent:" + resource, qualifier: "by"))
    }
    if !record.addressee.isEmpty {
      let addressee = String(decoding: record.addressee, as: UTF8.self)
      relationships.append(.init(objectId: "agent:" + addressee, qualifier: "for"))
    }
  }
}

extension OCEL.Object {
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    id = try container.decode(String.self, forKey: .id)
    type = try container.decode(String.self, forKey: .type)
    attributes = try container.decodeIfPresent([OCEL.TimedAttribute].self, forKey: .attributes) ?? []
    relationships = try container.decodeIfPresent([OCEL.Relation].self, forKey: .relationships) ?? []
  }
}

extension OCEL.TypeDefinition {
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    attributes = try container.decodeIfPresent([AttributeDefinition].self, forKey: .attributes) ?? []
  }
}

extension ContentType {
  /// An event of an imported object-centric log, in the JSON of OCEL 2.0; one of its objects, and definitions of types.
  static let (ocelEvent, ocelObject) = (ContentType(rawValue: 3), ContentType(rawValue: 4))
  static let (ocelEventType, ocelObjectType) = (ContentType(rawValue: 5), ContentType(rawValue: 6))

  /// Whether the payload is JSON.
  var isJSON: Bool {
    self == .json || self == .cloudEvent || self == .ocelEvent || isBackground
  }
}
