/// Measures Hypha's log beside the bare parts that bound it: LMDB called directly, and a plain file.
///
/// Ours and the bare parts take turns in short slices; a figure is the median over all rounds, a ratio the median
/// of the ratios within a round. So the drift of the machine weighs on both alike.
public struct LogBench: Sendable {
  /// What can be measured alone.
  public enum Part: String, CaseIterable, Sendable {
    case append, index, lone, scan, lookup, follow, open, verify, replay, export
  }

  /// What is measured, and for how long.
  public struct Settings: Sendable {
    /// How long each comparison lasts.
    public var duration: Duration
    /// The only part that is wanted; nil for all.
    public var only: Part?
    /// A new directory to measure in, whose parent exists; it is removed at the end.
    public var directory: String
    /// Whether only enough is done to see that everything runs.
    public var isQuick: Bool
    /// The command, with its first words, that runs ``LogBenchChild``; nil leaves out what needs another process.
    public var childCommand: [String]?

    /// Settings by their parts.
    public init(
      duration: Duration, only: Part? = nil, directory: String, isQuick: Bool, childCommand: [String]? = nil
    ) {
      self.duration = duration
      self.only = only
      self.directory = directory
      self.isQuick = isQuick
      self.childCommand = childCommand
    }
  }

  let settings: Settings
  /// Told what is measured now.
  let progress: @Sendable (String) -> Void

  /// A bench; `progress` is told in a few words what it measures now, on the bench's own task.
  public init(_ settings: Settings, progress: @escaping @Sendable (String) -> Void = { _ in }) {
    self.settings = settings
    self.progress = progress
  }

  /// Measures, and hands over each row as soon as there is one.
  ///
  /// It takes the whole machine: what else runs there shows in the figures. Cancelling the task ends it after the
  /// slice that runs.
  ///
  /// - Throws: ``HyphaError/Code/failed`` when a part fails or the log does not hold what was appended;
  ///   ``HyphaError/Code/fileUnavailable`` when the directory may not be used.
  public func run(_ take: @Sendable (BenchRow) throws -> Void) async throws {
    try Disk.makeDirectory(settings.directory)
    defer { Disk.remove(settings.directory) }
    for part in Part.allCases where settings.only == nil || settings.only == part {
      let rows =
        switch part {
        case .append: try await appendRows(take)
        case .index: try await indexRows()
        case .lone: try await loneRows()
        case .scan: try await scanRows()
        case .lookup: try await lookupRows()
        case .follow: try await followRows()
        case .open: try await openRows()
        case .verify: try await verifyRows()
        case .replay: try await replayRows()
        case .export: try await exportRows()
        }
      for row in rows { try take(row) }
    }
  }

  // MARK: What the benches share

  /// Calls `body` with a new directory that is removed after it.
  func withDirectory<Result>(_ name: String, _ body: (String) async throws -> Result) async throws -> Result {
    let path = "\(settings.directory)/\(name)"
    try Disk.makeDirectory(path)
    defer { Disk.remove(path) }
    return try await body(path)
  }

  /// Lets the parts take turns for as long as the settings say; each is given the end of its slice.
  func compare(_ text: String, _ parts: [(UInt64) async throws -> Slice]) async throws -> Comparison {
    try await Turns(duration: settings.duration, progress: progress).compare(text, parts)
  }
}
