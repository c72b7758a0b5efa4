import HyphaCore

// The parts of an object-centric log as JSON. A real number has a point or an exponent, so that it is read as one: JSONEncoder
// writes 10.0 as 10, which tools take for a whole number.

extension OCEL.Event {
  var bytes: [UInt8] {
    var buffer = TextBuffer(capacity: 512)
    buffer.append("{\"id\":")
    buffer.appendJSON(id)
    buffer.append(",\"type\":")
    buffer.appendJSON(type)
    buffer.append(",\"time\":")
    buffer.appendJSON(time)
    buffer.append(",\"attributes\":")
    buffer.appendArray(attributes) { buffer, attribute in
      buffer.append("{\"name\":")
      buffer.appendJSON(attribute.name)
      buffer.append(",\"value\":")
      buffer.append(attribute.value)
    }
    buffer.append(relationships)
    return buffer.bytes
  }
}

extension OCEL.Object {
  var bytes: [UInt8] {
    var buffer = TextBuffer(capacity: 512)
    buffer.append("{\"id\":")
    buffer.appendJSON(id)
    buffer.append(",\"type\":")
    buffer.appendJSON(type)
    buffer.append(",\"attributes\":")
    buffer.appendArray(attributes) { buffer, attribute in
      buffer.append("{\"name\":")
      buffer.appendJSON(attribute.name)
      buffer.append(",\"time\":")
      buffer.appendJSON(attribute.time)
      buffer.append(",\"value\":")
      buffer.append(attribute.value)
    }
    buffer.append(relationships)
    return buffer.bytes
  }
}

extension OCEL.TypeDefinition {
  var bytes: [UInt8] {
    var buffer = TextBuffer(capacity: 512)
    buffer.append("{\"name\":")
    buffer.appendJSON(name)
    buffer.append(",\"attributes\":")
    buffer.appendArray(attributes) { buffer, attribute in
      buffer.append("{\"name\":")
      buffer.appendJSON(attribute.name)
      buffer.append(",\"type\":")
      buffer.appendJSON(attribute.type)
    }
    buffer.append("}")
    return buffer.bytes
  }
}

extension TextBuffer {
  /// The member of relationships, and the end of what has them.
  fileprivate mutating func append(_ relationships: [OCEL.Relation]) {
    append(",\"relationships\":")
    appendArray(relationships) { buffer, related in
      buffer.append("{\"objectId\":")
      buffer.appendJSON(related.objectId)
      buffer.append(",\"qualifier\":")
      buffer.appendJSON(related.qualifier)
    }
    append("}")
  }

  /// Objects, each of which `begin` writes without its end.
  fileprivate mutating func appendArray<Element>(
    _ elements: [Element], _ begin: (inout TextBuffer, Element) -> Void
  ) {
    append("[")
    for (index, element) in elements.enumerated() {
      if index > 0 { append(",") }
      begin(&self, element)
      append("}")
    }
    append("]")
  }

  /// A value of an attribute, which is a scalar in all that a database has.
  fileprivate mutating func append(_ value: JSONValue) {
    switch value {
    case .null: append("null")
    case .bool(let value): append(value ? "true" : "false")
    case .integer(let value): append(number: value)
    case .number(let value): append(text: "\(value)")
    case .string(let value): appendJSON(value)
    case .array, .object: append(text: (try? JSON.text(value)) ?? "null")
    }
  }
}
