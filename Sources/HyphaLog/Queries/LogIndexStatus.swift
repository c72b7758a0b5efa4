public import HyphaCore

/// How far an index is.
public struct LogIndexStatus: Sendable {
  /// The newest position that is indexed.
  public let through: Position
  /// How many entries are not; reads scan these.
  public let lagCount: UInt64
  /// Why the index does not go on; nil where it does.
  public let failure: HyphaError?

  /// A status by its parts.
  public init(through: Position, lagCount: UInt64, failure: HyphaError?) {
    self.through = through
    self.lagCount = lagCount
    self.failure = failure
  }
}
