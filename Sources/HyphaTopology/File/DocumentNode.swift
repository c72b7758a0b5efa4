/// A value read from a text file, with the place of each part.
///
/// It is what a parser of YAML (or of any format with the same three shapes) hands over, so that what
/// decodes it can point at the line that is wrong. Whether a plain scalar is a number, a truth value or
/// text is for the decoder to say.
public struct DocumentNode: Sendable, Hashable {
  /// The three shapes of a value.
  public enum Content: Sendable, Hashable {
    /// A text; `quoted` tells a text in quotes or in a block from a plain one, which may mean a number.
    case scalar(text: String, quoted: Bool)
    /// A list.
    case sequence([DocumentNode])
    /// Keys with their values, in the order of the file. Keys are nodes, as they have a place too.
    case mapping([Entry])
  }

  /// One key of a mapping with its value.
  public struct Entry: Sendable, Hashable {
    /// The key.
    public var key: DocumentNode
    /// The value.
    public var value: DocumentNode

    /// A key with its value.
    public init(key: DocumentNode, value: DocumentNode) {
      self.key = key
      self.value = value
    }
  }

  /// The value.
  public var content: Content
  /// Where the value begins.
  public var mark: SourceMark

  /// A value that begins at `mark`.
  public init(_ content: Content, at mark: SourceMark = .start) {
    self.content = content
    self.mark = mark
  }

  /// Whether this is nothing: an empty plain scalar, `~` or `null`.
  public var isNull: Bool {
    guard case .scalar(let text, quoted: false) = content else { return false }
    return CoreSchema.nulls.contains(text)
  }

  /// What the content is, for error texts: `a list`.
  var shape: String {
    switch content {
    case .scalar: isNull ? "empty" : "a single value"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}

/// A place in a text file: line and column, both counted from 1.
public struct SourceMark: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The line, from 1.
  public let line: Int
  /// The column in Unicode scalars, from 1.
  public let column: Int

  /// The beginning of a file.
  public static let start = SourceMark(line: 1, column: 1)

  /// A place by its two parts.
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  /// Earlier places are smaller.
  public static func < (left: SourceMark, right: SourceMark) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }

  /// `line:column`.
  public var description: String { "\(line):\(column)" }
}
