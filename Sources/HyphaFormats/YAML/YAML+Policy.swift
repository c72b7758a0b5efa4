public import HyphaTopology

extension ObserverPolicy {
  /// The policy that a YAML file says, in a section `observer` as a topology file has it.
  ///
  /// - Parameters:
  ///   - bytes: the file's content.
  ///   - file: its name for diagnostics.
  /// - Throws: all that is wrong with it; where it is no YAML, the first fault.
  public static func read(yaml bytes: [UInt8], file: String) throws(TopologyDiagnostics) -> ObserverPolicy {
    let document: DocumentNode
    do throws(Diagnostic) {
      document = try YAML.parse(bytes, file: file)
    } catch {
      throw TopologyDiagnostics([error])
    }
    return try decode(document, file: file)
  }
}
