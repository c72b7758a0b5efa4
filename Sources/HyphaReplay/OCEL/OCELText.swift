import HyphaCore

// The parts of an object-centric log as JSON. A real number has a point or an exponent, so that it is read as one: JSONEncoder
// writes 10.0 as 10, which tools take for a whole number.

extension OCEL.Event {
  var bytes: [UInt8] {
    TextBuffer.object { buffer in
      buffer.append(("id", id), ("type", type), ("time", time))
      buffer.appendArray("attributes", attributes) { buffer, attribute in
        buffer.append(("name", attribute.name))
        buffer.append(value: attribute.value)
      }
      buffer.append(relationships)
    }
  }
}

extension OCEL.Object {
  var bytes: [UInt8] {
    TextBuffer.object { buffer in
      buffer.append(("id", id), ("type", type))
      buffer.appendArray("attributes", attributes) { buffer, attribute in
        buffer.append(("name", attribute.name), ("time", attribute.time))
        buffer.append(value: attribute.value)
      }
      buffer.append(relationships)
    }
  }
}

extension OCEL.TypeDefinition {
  var bytes: [UInt8] {
    TextBuffer.object { buffer in
      buffer.append(("name", name))
      buffer.appendArray("attributes", attributes) { buffer, attribute in
        buffer.append(("name", attribute.name), ("type", attribute.type))
      }
    }
  }
}

extension TextBuffer {
  /// One object, whose members `body` appends.
  fileprivate static func object(_ body: (inout TextBuffer) -> Void) -> [UInt8] {
    var buffer = TextBuffer(capacity: 512)
    buffer.append("{")
    body(&buffer)
    buffer.append("}")
    return buffer.bytes
  }

  /// The first members of an object, which are texts.
  fileprivate mutating func append(_ members: (name: StaticString, text: String)...) {
    for (index, member) in members.enumerated() {
      append(index > 0 ? ",\"" : "\"")
      append(member.name)
      append("\":")
      appendJSON(member.text)
    }
  }

  fileprivate mutating func append(_ relationships: [OCEL.Relation]) {
    appendArray("relationships", relationships) { buffer, related in
      buffer.append(("objectId", related.objectId), ("qualifier", related.qualifier))
    }
  }

  /// A member that has objects, whose members `body` appends.
  fileprivate mutating func appendArray<Element>(
    _ name: StaticString, _ elements: [Element], _ body: (inout TextBuffer, Element) -> Void
  ) {
    append(",\"")
    append(name)
    append("\":[")
    for (index, element) in elements.enumerated() {
      append(index > 0 ? ",{" : "{")
      body(&self, element)
      append("}")
    }
    append("]")
  }

  /// The member `value`.
  fileprivate mutating func append(value: JSONValue) {
    append(",\"value\":")
    append(value)
  }

  /// A value of an attribute, which is a scalar in all that a database has.
  fileprivate mutating func append(_ value: JSONValue) {
    switch value {
    case .null: append("null")
    case .bool(let value): append(value ? "true" : "false")
    case .integer(let value): append(number: value)
    case .unsigned(let value): append(number: value)
    case .number(let value): append(text: "\(value)")
    case .string(let value): appendJSON(value)
    case .array, .object: append(text: (try? JSON.text(value)) ?? "null")
    }
  }
}
