import HyphaCore
import HyphaFormats

extension TextBuffer {
  /// An element of XES with all that is in it.
  mutating func append(_ element: XESElement) {
    append(0x3C)
    append(text: element.type)
    if let key = element.key { append(xmlAttribute: "key", key) }
    if let value = element.value { append(xmlAttribute: "value", value) }
    for (name, value) in (element.more ?? [:]).sorted(by: { $0.key < $1.key }) {
      append(xmlAttribute: name, value)
    }
    guard let nested = element.nested else { return append("/>") }
    append(">")
    for element in nested { append(element) }
    append("</")
    append(text: element.type)
    append(">")
  }

  /// An attribute of an XML element, and a space before it.
  mutating func append(xmlAttribute name: String, _ value: String) {
    append(" ")
    append(text: name)
    append("=\"")
    appendXML(value)
    append("\"")
  }

  /// The attributes of an event that was not imported from XES: those that process mining knows, what the bus says of it, and the
  /// scalars of its payload under their names.
  mutating func appendXESAttributes(of event: ProcessEvent, _ record: RecordView) {
    attribute("string", "concept:name", event.activity)
    if let resource = event.resource { attribute("string", "org:resource", resource) }
    if let group = event.group { attribute("string", "org:group", group) }
    append("<date key=\"time:timestamp\" value=\"")
    append(record.time)
    append("\"/>")
    attribute("id", "identity:id", record.id.description)
    if !record.addressee.isEmpty {
      attribute("string", "hypha:addressee", String(decoding: record.addressee, as: UTF8.self))
    }
    append("<string key=\"hypha:channel\" value=\"")
    append(record.channel.name)
    append("\"/>")
    if let attributes = event.objectCentric?.attributes {
      // Its group stands above.
      for attribute in attributes where attribute.name != "group" {
        if let scalar = PayloadScalars(attribute.value) { append(attribute.name, scalar) }
      }
    } else if record.contentType == .json, !record.type.elementsEqual(ProcessEvent.importedType.text.utf8) {
      PayloadScalars.forEach(in: record.payload) { append($0, $1) }
    }
  }

  private mutating func append(_ name: String, _ scalar: PayloadScalars) {
    let key = Self.taken.contains(name) || name.hasPrefix("hypha:") ? "payload:\(name)" : name
    switch scalar {
    case .text(let text): attribute("string", key, text)
    case .whole(let digits): attribute("int", key, digits)
    case .real(let digits): attribute("float", key, digits)
    case .truth(let isTrue): attribute("boolean", key, isTrue ? "true" : "false")
    }
  }

  /// Names that mean something in every event.
  private static let taken: Set<String> = [
    "concept:name", "org:resource", "org:group", "time:timestamp", "identity:id",
  ]

  private mutating func attribute(_ kind: StaticString, _ key: String, _ value: String) {
    append("<")
    append(kind)
    append(xmlAttribute: "key", key)
    append(xmlAttribute: "value", value)
    append("/>")
  }
}
