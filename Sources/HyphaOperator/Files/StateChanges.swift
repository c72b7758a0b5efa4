import HyphaCore

/// What two states differ in, member by member.
enum StateChanges {
  /// A member, by its path, that is not what it was.
  struct Change: Equatable {
    let path: String
    /// Nil where it was not there, or is not any more.
    let before, after: JSONValue?
  }

  /// The members of a state that have no members themselves, by their paths, in their order. Empty lists and objects count as
  /// values.
  static func members(of state: JSONValue) -> [(path: String, value: JSONValue)] {
    func walk(_ value: JSONValue, _ path: String) -> [(path: String, value: JSONValue)] {
      func below(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
      switch value {
      case .object(let members) where !members.isEmpty:
        return members.sorted { $0.key < $1.key }.flatMap { walk($0.value, below($0.key)) }
      case .array(let elements) where !elements.isEmpty:
        return elements.enumerated().flatMap { walk($0.element, below("\($0.offset)")) }
      default: return [(path, value)]
      }
    }
    return walk(state, "")
  }

  /// The value at a path such as `lines.0.amount`; nil where there is none.
  static func value(at path: String, of state: JSONValue) -> JSONValue? {
    path.split(separator: ".").reduce(JSONValue?.some(state)) { value, name -> JSONValue? in
      switch value {
      case .object(let members)?: members[String(name)]
      case .array(let elements)?: Int(name).flatMap { elements.indices.contains($0) ? elements[$0] : nil }
      default: nil
      }
    }
  }

  /// What differs, in the order of the paths.
  static func between(_ before: JSONValue, _ after: JSONValue) -> [Change] {
    let (old, new) = (members(of: before), members(of: after))
    let known = Dictionary(old.map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first })
    let present = Set(new.map(\.path))
    return old.filter { !present.contains($0.path) }.map {
      Change(path: $0.path, before: $0.value, after: nil)
    }
      + new.filter { known[$0.path] != $0.value }
      .map { Change(path: $0.path, before: known[$0.path], after: $0.value) }
  }
}
