public import HyphaCore

/// How much of its log a node keeps by itself. Each limit that is given takes what lies beyond it, oldest first; what
/// somebody still needs stays, whatever the limits say.
public struct RetentionSettings: Sendable, Hashable {
  /// Entries that the log took longer ago go; one of ``ageRange``.
  public var ageMax: Duration?
  /// Once the log's blocks take more bytes than this, the oldest go; one of ``byteCountRange``.
  public var byteCountMax: UInt64?
  /// All but so many of the newest entries go; one of ``entryCountRange``.
  public var entryCountMax: UInt64?
  /// Whether what all consumers have handled stays.
  public var keepsHandled: Bool?

  /// What an age may be.
  public static let ageRange: ClosedRange<Duration> = .seconds(1)...(.seconds(100 * 365 * 86_400))
  /// What a size may be: from 64 KiB on, which is some commits, to 64 TiB.
  public static let byteCountRange: ClosedRange<UInt64> = (64 << 10)...(64 << 40)
  /// What a count may be.
  public static let entryCountRange: ClosedRange<UInt64> = 1...(1 << 62)

  /// By default nothing is said, and everything is kept.
  public init(
    ageMax: Duration? = nil, byteCountMax: UInt64? = nil, entryCountMax: UInt64? = nil,
    keepsHandled: Bool? = nil
  ) {
    self.ageMax = ageMax
    self.byteCountMax = byteCountMax
    self.entryCountMax = entryCountMax
    self.keepsHandled = keepsHandled
  }

  /// Whether nothing goes.
  public var keepsEverything: Bool {
    ageMax == nil && byteCountMax == nil && entryCountMax == nil && keepsHandled ?? true
  }

  /// These, and `other` where these say nothing.
  func over(_ other: RetentionSettings) -> RetentionSettings {
    RetentionSettings(
      ageMax: ageMax ?? other.ageMax, byteCountMax: byteCountMax ?? other.byteCountMax,
      entryCountMax: entryCountMax ?? other.entryCountMax, keepsHandled: keepsHandled ?? other.keepsHandled)
  }
}

extension Topology {
  /// How much of its log a node keeps: what the node says, and where it says nothing the deployment.
  public func retention(of node: NodeID) -> RetentionSettings {
    (self.node(node)?.retention ?? RetentionSettings()).over(log.retention)
  }
}
