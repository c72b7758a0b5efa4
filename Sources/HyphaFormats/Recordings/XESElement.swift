/// An element of an XES file (IEEE 1849) as it stands there: an attribute with what is nested in it, or a declaration.
///
/// Values are the texts of the file, so that nothing of a time's zone or a number's digits is lost.
public struct XESElement: Codable, Hashable, Sendable {
  /// The element's name without a prefix: `string`, `date`, `int`, `float`, `boolean`, `id`, `list`, `container`, `values`,
  /// `extension`, `global`, `classifier`, `log`.
  public var type: String
  /// Its `key`, where it has one.
  public var key: String?
  /// Its `value`, where it has one.
  public var value: String?
  /// Its other XML attributes, such as the `scope` of a `global`.
  public var more: [String: String]?
  /// The elements in it, in their order.
  public var nested: [XESElement]?

  /// An element with its XML attributes.
  public init(_ type: String, _ attributes: [String: String] = [:], nested: [XESElement] = []) {
    self.type = type
    key = attributes["key"]
    value = attributes["value"]
    let rest = attributes.filter { $0.key != "key" && $0.key != "value" }
    more = rest.isEmpty ? nil : rest
    self.nested = nested.isEmpty ? nil : nested
  }
}

/// A part of an XES file.
public enum XESPart: Sendable {
  /// The `log` element itself, which comes first and without what is in it, and each element in it that is no trace.
  case declaration(XESElement)
  /// A trace, before its events. Attributes that stand behind events come as the same trace once more.
  case trace(XESTrace)
  /// An event of the trace that came last, with all its attributes.
  case event(RecordedEvent, [XESElement])
}

/// A trace of an XES file.
public struct XESTrace: Hashable, Sendable {
  /// Its place among the traces of the file, from 1.
  public var number: Int
  /// Its `concept:name`, or `case-<number>`.
  public var caseID: String
  /// All its attributes.
  public var attributes: [XESElement]
}
