/// The version of Hypha.
public enum HyphaVersion {
  /// As `hypha --version` prints it, and as nodes tell it each other.
  public static let text = "0.1.0"
}
