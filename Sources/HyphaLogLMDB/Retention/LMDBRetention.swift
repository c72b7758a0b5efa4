import Glibc
public import HyphaCore
public import HyphaLog

/// Making room in logs on LMDB, and copies of their data directories.
public struct LMDBRetention: LogRetention {
  private let settings: LMDBLogSettings

  /// Opens logs with these settings where they must be written.
  public init(settings: LMDBLogSettings = .standard) { self.settings = settings }

  public func planPrune(
    of directory: String, _ policy: RetentionPolicy, guards: [PruneGuard], sparing spared: Set<Position>,
    places: [CursorKey: Cursor], now: Timestamp
  ) throws -> PrunePlan {
    try LogOpening.openForReading(DataDirectory(path: directory))
      .planPrune(policy, guards: guards, sparing: spared, places: places, now: now)
  }

  public func prune(
    _ directory: String, _ plan: PrunePlan, principal: AgentID, time: any TimeSource,
    progress: @escaping @Sendable (Position) -> Void
  ) async throws -> PruneReport {
    let log = try open(directory, time: time)
    defer { log.close() }
    return try await log.prune(plan, principal: principal, time: time, progress: progress)
  }

  public func prune(
    _ log: any EventLog, _ plan: PrunePlan, principal: AgentID, time: any TimeSource,
    progress: @escaping @Sendable (Position) -> Void
  ) async throws -> PruneReport {
    guard let log = log as? LMDBLog else {
      throw HyphaError(
        .usage, "this log is not on LMDB, and cannot be pruned here",
        remedy: "prune it with its own backend")
    }
    return try await log.prune(plan, principal: principal, time: time, progress: progress)
  }

  /// Opens a log that is there for writing; whose it is, it says itself.
  private func open(_ directory: String, time: some TimeSource) throws -> LMDBLog {
    let node = try LogOpening.openForReading(DataDirectory(path: directory)).identity.node
    return try LMDBLog(directory: directory, node: node, settings: settings, time: time)
  }

  public func compact(
    _ directory: String, progress: @escaping CopyProgress, verify: CopyVerification? = nil
  ) throws -> CompactReport {
    try LogCompaction.run(
      DataDirectory(path: directory), progress: progress,
      verify: verify ?? {
        try Self.confirmIsSound($0, "the log in \($0)", remedy: "run 'hypha log salvage \($0) --output NEW'")
      })
  }

  public func backUp(
    _ directory: String, to output: String, withKey: Bool, progress: @escaping CopyProgress,
    verify: CopyVerification? = nil
  ) throws -> CopyReport {
    guard try FileTree.names(in: output)?.isEmpty ?? true else {
      throw HyphaError(
        .fileUnavailable, "\(output) is not empty", remedy: "give a directory that is not there yet")
    }
    let copy = try DirectoryCopy(from: directory, to: output)
    let report = try copy.make(withKey: withKey, progress: progress)
    try copy.confirm(
      verify ?? {
        try Self.confirmIsSound(
          $0, "the log in \(directory)", remedy: "keep the backups that there are, and run 'hypha log verify'"
        )
      })
    try copy.adopt()
    return report
  }

  public func restore(
    _ backup: String, to directory: String, replaces: Bool, progress: @escaping CopyProgress,
    verify: CopyVerification? = nil
  ) throws -> RestoreReport {
    let isEmpty = try FileTree.names(in: directory)?.isEmpty ?? true
    guard isEmpty || replaces else {
      throw HyphaError(
        .fileUnavailable, "\(directory) is not empty",
        remedy: "give an empty directory, or --replace to move this one aside")
    }
    if !isEmpty { try confirmIsNodes(directory) }
    // A node that runs keeps its directory.
    let lock = isEmpty ? nil : try WriterLock(DataDirectory(path: directory))
    defer { withExtendedLifetime(lock) {} }
    let copy = try DirectoryCopy(from: backup, to: directory)
    let report = try copy.make(withKey: true, progress: progress)
    try copy.confirm(
      verify ?? {
        try Self.confirmIsSound(
          $0, "the backup \(backup)", remedy: "run 'hypha log verify \(backup)', and use another backup")
      })
    guard !isEmpty else {
      let hasKey = access(NodeKey.path(in: copy.partial), F_OK) == 0
      try copy.adopt()
      return RestoreReport(copy: report, movedAside: nil, hasKey: hasKey)
    }
    let hasKey: Bool
    do { hasKey = try copy.takeKey(ofReplaced: directory) } catch {
      copy.discard()
      throw error
    }
    let aside = Self.freeName(FileTree.trimmed(directory) + ".replaced")
    try copy.adopt(movingAside: aside)
    return RestoreReport(copy: report, movedAside: aside, hasKey: hasKey)
  }

  /// What is moved aside is a node's, or was: a deployment, or anything else, stays where it is.
  private func confirmIsNodes(_ directory: String) throws {
    let names = try FileTree.names(in: directory) ?? []
    guard Set(names).isDisjoint(with: ["log", "log.new", "index", "payloads", "node.key"]) else { return }
    let nodes = names.map { "\(directory)/\($0)" }.filter { (try? DataDirectory(path: $0).hasLog()) == true }
    throw HyphaError(
      .fileUnavailable, "\(directory) is no node's data directory, and is not moved aside",
      remedy: nodes.isEmpty
        ? "give an empty directory, or a node's" : "give that of a node, such as \(nodes[0])")
  }

  /// Reads a copy from end to end in this process, before anything takes it for a log.
  private static func confirmIsSound(_ copy: String, _ source: String, remedy: String) throws {
    let found = try LMDBLogInspection().verify(copy, linksAt: []) { _ in }
    guard let problem = found.findings.first else { return }
    throw HyphaError(.logInvalid, "\(source) is damaged: \(problem)", remedy: remedy)
  }

  private static func freeName(_ wanted: String) -> String {
    var (name, number) = (wanted, 1)
    while access(name, F_OK) == 0 {
      number += 1
      name = "\(wanted)-\(number)"
    }
    return name
  }

  public func loosePayloads(of directory: String) throws -> LoosePayloads {
    let store = try LogOpening.openForReading(DataDirectory(path: directory))
    var loose = try PayloadList(of: store.payloads)
    guard !loose.isEmpty else { return LoosePayloads() }
    for reference in try store.payloadReferences() { loose.remove(reference) }
    return loose.rest
  }

  public func readers(of directory: String) throws -> [LogReaderMark] {
    let store = try LogOpening.openForReading(DataDirectory(path: directory))
    return try withExtendedLifetime(store) { try store.environment.readers() }
  }
}
