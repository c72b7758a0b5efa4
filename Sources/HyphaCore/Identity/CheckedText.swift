/// A text that follows a grammar: whoever has such a value need not check it again.
///
/// It is written and read as the text alone, in JSON and elsewhere.
public protocol CheckedText: Hashable, Sendable, Codable, CustomStringConvertible, ExpressibleByStringLiteral
{
  /// The text itself.
  var text: String { get }

  /// A value from text of any origin.
  ///
  /// With a literal, `Self("...")` is the literal's initialiser, which traps where this one throws.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` with the rule that was broken.
  init(_ text: String) throws
}

extension CheckedText {
  /// A value from a literal in the source; an invalid literal is a programming error and traps.
  public init(stringLiteral text: String) {
    do { try self.init(text) } catch { preconditionFailure("\(error)") }
  }

  /// Decodes and checks the text.
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(String.self))
  }

  /// Encodes the text alone.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }

  /// The text itself.
  public var description: String { text }
}
