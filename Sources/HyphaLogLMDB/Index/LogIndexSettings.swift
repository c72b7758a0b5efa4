/// Sizes and paces of a log's index.
public struct LogIndexSettings: Hashable, Sendable {
  /// How many positions a run covers before it is merged: 1 to 65,536. Up to twice as many at the end of a busy log are
  /// not indexed yet and are scanned by each read, at some millions a second.
  public var runSpanCount: Int
  /// How many such runs become one: 2 to 16. A lookup tries each run that there is.
  public var mergeCount: Int
  /// The largest run that is made by merging, in bytes.
  public var mergedByteCountMax: Int
  /// How long nothing must have been appended until the rest is indexed too.
  public var idleDelay: Duration
  /// How long the rest may wait for that at most.
  public var restDelayMax: Duration
  /// The size of the map to begin with, and the most that it may grow to.
  public var mapByteCount: Int
  public var mapByteCountMax: Int
  /// The nice value of the index's thread, 0 to 19.
  public var niceValue: Int32

  /// 65,536 positions a run, 16 of them merged, 64 MiB; the rest after 50 ms, at most 1 s; 1 GiB to 256 GiB; nice 10.
  public static let standard = LogIndexSettings()

  /// Settings by their parts; what is out of range becomes the nearest that is not.
  public init(
    runSpanCount: Int = 65_536, mergeCount: Int = 16, mergedByteCountMax: Int = 64 << 20,
    idleDelay: Duration = .milliseconds(50), restDelayMax: Duration = .seconds(1),
    mapByteCount: Int = 1 << 30, mapByteCountMax: Int = 256 << 30, niceValue: Int32 = 10
  ) {
    self.runSpanCount = min(max(runSpanCount, 1), TermPosting.offsetCountMax)
    self.mergeCount = min(max(mergeCount, 2), RunMerger.sourceCountMax)
    self.mergedByteCountMax = mergedByteCountMax
    self.idleDelay = idleDelay
    self.restDelayMax = restDelayMax
    self.mapByteCount = mapByteCount
    self.mapByteCountMax = mapByteCountMax
    self.niceValue = niceValue
  }
}
