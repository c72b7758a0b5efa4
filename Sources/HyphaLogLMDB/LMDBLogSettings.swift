public import HyphaLog

/// Sizes and bounds of a log on disk.
public struct LMDBLogSettings: Sendable {
  /// The address space that is reserved for the log at first; the disk is used as the log grows. At least
  /// 1 MiB; rounded up to whole MiB. An existing larger log keeps its size.
  public var mapByteCount: Int
  /// The most that the map may grow to: it is doubled when it is full. Default: 64 TiB, which is no limit.
  public var mapByteCountMax: Int
  /// The most events in one commit group; a batch is never divided.
  public var groupAppendCountMax: Int
  /// The most bytes in one commit group, unless a single batch has more.
  public var groupByteCountMax: Int
  /// The nice value of the writer's thread, 0 to 19. The log then gives way to threads that carry alerts:
  /// beside two busy threads at 0 those took 1.2 ms at p99, with the busy ones at 10 only 50 µs.
  public var niceValue: Int32

  /// A payload of more bytes is stored once by its content, beside the log, and the record refers to it. At
  /// least 1 KiB.
  public var inlinePayloadByteCountMax: Int
  /// When a group is complete.
  public var groupPolicy: GroupPolicy
  /// Told, on the writer's thread, of each reader that looks at one commit for more than 10 s or is more than 10,000
  /// commits behind, once each; it must not block. Default: nobody.
  public var reportLongReader: (@Sendable (LongReader) -> Void)?

  /// Sizes and paces of the index; nil: none is kept, and reads scan.
  public var index: LogIndexSettings?

  /// 64 GiB at first, 4,096 events and 8 MiB a group, nice 10.
  public static let standard = LMDBLogSettings()

  /// Settings by their parts.
  public init(
    mapByteCount: Int = 64 << 30, mapByteCountMax: Int = 1 << 46, groupAppendCountMax: Int = 4_096,
    groupByteCountMax: Int = 8 << 20, niceValue: Int32 = 10, inlinePayloadByteCountMax: Int = 64 << 10,
    groupPolicy: GroupPolicy = GroupPolicy(), index: LogIndexSettings? = .standard,
    reportLongReader: (@Sendable (LongReader) -> Void)? = nil
  ) {
    self.mapByteCount = mapByteCount
    self.mapByteCountMax = mapByteCountMax
    self.inlinePayloadByteCountMax = max(1 << 10, inlinePayloadByteCountMax)
    self.groupPolicy = groupPolicy
    self.index = index
    self.reportLongReader = reportLongReader
    self.groupAppendCountMax = groupAppendCountMax
    self.groupByteCountMax = groupByteCountMax
    self.niceValue = niceValue
  }

  /// What LMDB is given.
  var mapByteCountRounded: Int { Self.rounded(mapByteCount) }

  /// What LMDB is given at the most.
  var mapByteCountMaxRounded: Int { max(Self.rounded(mapByteCountMax), mapByteCountRounded) }

  private static func rounded(_ byteCount: Int) -> Int {
    let unit = 1 << 20
    return (min(max(byteCount, unit), 1 << 46) + unit - 1) / unit * unit
  }
}
