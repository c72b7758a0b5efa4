public import HyphaCore

/// One CloudEvent of JSON on one line, as Hypha and other programs say to each other what happened (CloudEvents 1.0.2, JSON
/// event format).
public struct CloudEventLine {
  /// How many bytes its JSON has without white space.
  public var byteCount: Int { members.bytes.count }
  private let members: JSONMembers

  /// Reads a line of any origin.
  ///
  /// - Throws: what is wrong with it, in words: it is no JSON object (RFC 8259, at most 512 deep), or has no `specversion` 1.0, `id`,
  ///   `source` or `type`.
  public init(_ line: [UInt8]) throws(Problem) {
    guard let members = JSONMembers(line) else { throw Problem("is no JSON object") }
    self.members = members
    guard members.text("specversion") == "1.0" else { throw Problem("has no specversion 1.0") }
    for name in ["id", "source", "type"] where members.text(name)?.isEmpty ?? true {
      throw Problem("has no \(name)")
    }
  }

  /// What is wrong with a line: `is no JSON object`.
  public struct Problem: Error {
    /// In words, without a subject.
    public let text: String
    init(_ text: String) { self.text = text }
  }

  /// An attribute that is a string.
  public func text(_ name: String) -> String? { members.text(name) }

  /// An attribute that is a whole number from 0, or a string that spells one.
  public func number(_ name: String) -> UInt64? { members.number(name) }

  /// Whether there is an attribute of this name.
  public func has(_ name: String) -> Bool { members[name] != nil }

  /// The data and how it is to be read; empty where there is none.
  ///
  /// - Throws: that `data_base64` is none.
  public func data() throws(Problem) -> (bytes: [UInt8], contentType: ContentType) {
    do { return try CloudEventReader(members).payload() } catch {
      throw Problem((error as? ImportProblem)?.text ?? "\(error)")
    }
  }

  /// A record as a line with its line feed, in Hypha's own attributes, as an export writes them.
  ///
  /// - Parameter number: an attribute that the line has as well.
  /// - Throws: ``HyphaError/Code/tooLarge`` where the record exceeds the usual limits.
  public static func bytes(of record: Record, adding number: (name: String, value: Int)) throws -> [UInt8] {
    var buffer = TextBuffer(capacity: record.byteCount + 1024)
    buffer.append("{\"")
    buffer.append(text: number.name)
    buffer.append("\":")
    buffer.append(number: Int64(number.value))
    buffer.append(",")
    try record.withBytes { buffer.appendCloudEventMembers(try RecordView(checking: $0)) }
    buffer.append(0x0A)
    return buffer.bytes
  }
}
