/// What a file read from outside may cost at most: every reader of this module takes these bounds.
///
/// The defaults let every public event log known to us pass and stop a file made to exhaust a machine.
/// Nothing is allocated up front: a bound is reached only by input that really is that large.
public struct InputLimits: Hashable, Sendable {
  /// The most bytes a file may hold after decompression; 8 GiB unless told.
  public var maximumByteCount: Int
  /// The most bytes that one compressed byte may become, on average from the start; 250 unless told.
  ///
  /// Event logs repeat themselves and reach 20 to 60; deflate cannot exceed 1032 (RFC 1951). The ratio is
  /// looked at only after the first 16 MiB of output, since a small file may well be all alike.
  public var maximumRatio: Int
  /// The most bytes in one line, or in one CSV record, which may span lines; 16 MiB unless told.
  public var maximumLineByteCount: Int

  /// Bounds for a reader; the defaults suit public event logs.
  public init(
    maximumByteCount: Int = 8 << 30, maximumRatio: Int = 250, maximumLineByteCount: Int = 16 << 20
  ) {
    self.maximumByteCount = maximumByteCount
    self.maximumRatio = maximumRatio
    self.maximumLineByteCount = maximumLineByteCount
  }

  /// Output below this is never judged by its ratio.
  static let ratioFloorByteCount = 16 << 20
}
