import HyphaCore

/// A key with its value, the key being a text that its mapping has once.
struct Member {
  let name: String
  let keyMark: SourceMark
  let value: DocumentNode

  /// The value's place, or the key's where the value is empty.
  var mark: SourceMark { value.isNull ? keyMark : value.mark }
}

/// Reading of the three shapes; what does not fit is reported and left out.
extension DiagnosticCollector {
  /// The members of a mapping with keys of the writer's choice, in their order; an empty value has none.
  mutating func members(of node: DocumentNode, in what: String, at mark: SourceMark) -> [Member]? {
    guard !node.isNull else { return [] }
    guard case .mapping(let entries) = node.content else {
      report(
        mark, "\(what) must be a mapping, not \(node.shape)",
        remedy: "write lines of the form 'key: value', indented below it")
      return nil
    }
    var places: [String: SourceMark] = [:]
    var members: [Member] = []
    for entry in entries {
      guard case .scalar(let name, _) = entry.key.content else {
        report(
          entry.key.mark, "a key of \(what) must be a name, not \(entry.key.shape)",
          remedy: "write lines of the form 'key: value'")
        continue
      }
      if let first = places[name] {
        report(
          entry.key.mark, "\(what) has the key \(quoted(name)) twice: it is also on line \(first.line)",
          remedy: "rename or remove one of them")
        continue
      }
      places[name] = entry.key.mark
      members.append(Member(name: name, keyMark: entry.key.mark, value: entry.value))
    }
    return members
  }

  /// The members of a mapping by name; only `keys` are known, and an empty value counts as left out.
  mutating func members(of node: DocumentNode, in what: String, at mark: SourceMark, keys: [String])
    -> [String: Member]?
  {
    guard let members = members(of: node, in: what, at: mark) else { return nil }
    var known: [String: Member] = [:]
    for member in members {
      guard keys.contains(member.name) else {
        let fallback = "use \(keys.count == 1 ? "" : "one of ")\(keys.joined(separator: ", "))"
        report(
          member.keyMark, "\(what) has an unknown key, \(quoted(member.name))",
          remedy: remedy(nearestTo: member.name, among: keys, otherwise: fallback))
        continue
      }
      if !member.value.isNull { known[member.name] = member }
    }
    return known
  }

  /// The elements of a list.
  mutating func elements(of node: DocumentNode, in what: String) -> [DocumentNode]? {
    guard case .sequence(let elements) = node.content else {
      var remedy = "write it as [A, B], or each on a line of its own after a '- '"
      if case .scalar(let text, _) = node.content, text.utf8.count <= 40, !node.isNull {
        remedy = "write [\(text)]"
      }
      report(node.mark, "\(what) must be a list, not \(node.shape)", remedy: remedy)
      return nil
    }
    return elements
  }

  /// A single value as it is written.
  mutating func text(of node: DocumentNode, in what: String) -> String? {
    guard case .scalar(let text, _) = node.content, !node.isNull else {
      report(node.mark, "\(what) must be a single value, not \(node.shape)", remedy: "write one name or text")
      return nil
    }
    return text
  }

  /// `true` or `false`.
  mutating func truth(of node: DocumentNode, in what: String) -> Bool? {
    guard case .scalar(let text, quoted: false) = node.content,
      case .bool(let value)? = CoreSchema.value(ofPlain: text)
    else {
      report(node.mark, "\(what) must be true or false", remedy: "write one of the two, without quotes")
      return nil
    }
    return value
  }

  /// A whole number from `range`.
  mutating func integer(of node: DocumentNode, in what: String, from range: ClosedRange<Int64>) -> Int64? {
    guard case .scalar(let text, quoted: false) = node.content,
      case .integer(let value)? = CoreSchema.value(ofPlain: text), range.contains(value)
    else {
      report(
        node.mark, "\(what) must be a whole number",
        remedy: "write a number from \(range.lowerBound) to \(range.upperBound), without quotes")
      return nil
    }
    return value
  }

  /// A name of `type`.
  mutating func name<Wanted: Name>(_ type: Wanted.Type, of node: DocumentNode, in what: String) -> Wanted? {
    guard let text = text(of: node, in: what) else { return nil }
    return checked(node.mark) { try Wanted(text) }
  }

  /// What `make` gives; what it throws is reported.
  mutating func checked<Value>(_ mark: SourceMark, _ make: () throws -> Value) -> Value? {
    do {
      return try make()
    } catch let error as HyphaError {
      report(mark, error)
    } catch {
      report(mark, "\(error)", remedy: "change it")
    }
    return nil
  }

  /// A value as settings have it. Its depth is that of the document, which the parser bounds.
  mutating func json(of node: DocumentNode, in what: String) -> JSONValue? {
    switch node.content {
    case .scalar(let text, quoted: true):
      return .string(text)
    case .scalar(let text, quoted: false):
      guard let value = CoreSchema.value(ofPlain: text) else {
        report(
          node.mark, "\(what) has the number \(quoted(text)), which is beyond 64 bits or not finite",
          remedy: "use a smaller number, or put it in quotes to keep it as text")
        return nil
      }
      return value
    case .sequence(let elements):
      return .array(elements.compactMap { json(of: $0, in: what) })
    case .mapping:
      guard let members = members(of: node, in: what, at: node.mark) else { return nil }
      var object: [String: JSONValue] = [:]
      for member in members { object[member.name] = json(of: member.value, in: what) }
      return .object(object)
    }
  }
}
