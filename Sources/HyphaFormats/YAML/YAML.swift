public import HyphaTopology

/// Reading of YAML, through libyaml.
///
/// A file is one document. Anchors and aliases work, within bounds; tags other than `!!str`, merge keys
/// and keys that are no text are refused, as is a key that stands twice in a mapping.
public enum YAML {
  /// The largest file in bytes.
  public static let byteCountMax = 64 << 20
  /// The largest number of values in a document, each alias counted as what it stands for.
  public static let nodeCountMax = 1_000_000
  /// The deepest nesting of lists and mappings, that within aliases included.
  public static let depthMax = 64

  /// The one document of `bytes`.
  ///
  /// - Parameters:
  ///   - bytes: the file's content in UTF-8.
  ///   - file: its name for diagnostics.
  /// - Throws: the first thing that is wrong, with its place.
  public static func parse(_ bytes: [UInt8], file: String) throws(Diagnostic) -> DocumentNode {
    guard bytes.count <= byteCountMax else {
      throw Diagnostic(
        file: file, mark: .start, problem: "the file has \(bytes.count) bytes",
        remedy: "use at most \(byteCountMax)")
    }
    // Typed throws does not pass through a closure of the standard library, hence the result.
    let result = bytes.withUnsafeBytes { buffer -> Result<DocumentNode, Diagnostic> in
      do throws(Diagnostic) {
        var composer = YAMLComposer(events: try YAMLEventReader(buffer, file: file))
        return .success(try composer.document())
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// The one document of `text`.
  public static func parse(_ text: String, file: String) throws(Diagnostic) -> DocumentNode {
    try parse(Array(text.utf8), file: file)
  }
}

extension TopologyFile {
  /// The topology that a YAML file says.
  ///
  /// - Parameters:
  ///   - bytes: the file's content.
  ///   - file: its name for diagnostics.
  /// - Throws: all that is wrong with it; where it is no YAML, the first fault.
  public static func read(yaml bytes: [UInt8], file: String) throws(TopologyDiagnostics) -> TopologyFile {
    let document: DocumentNode
    do throws(Diagnostic) {
      document = try YAML.parse(bytes, file: file)
    } catch {
      throw TopologyDiagnostics([error])
    }
    return try decode(document, file: file)
  }

  /// The topology that a YAML text says.
  public static func read(yaml text: String, file: String) throws(TopologyDiagnostics) -> TopologyFile {
    try read(yaml: Array(text.utf8), file: file)
  }
}
