import HyphaCore
import HyphaLog

/// What of a log that cannot be opened is there, read from the bytes of its file as salvage reads them: which entries are
/// whole, and which positions are lost.
struct RawVerification {
  private(set) var result = LogVerification()

  /// Searches the file.
  ///
  /// - Parameters:
  ///   - error: why the log cannot be opened, which is the first finding.
  ///   - progress: is called with the bytes that were searched.
  /// - Throws: ``HyphaError/Code/fileUnavailable`` when the file cannot be read; what `progress` throws.
  /// - Returns: nil where there is no block, so that nothing can be said but `error`.
  init?(
    _ directory: String, because error: HyphaError, _ progress: (LogProgress) throws -> Void
  ) throws {
    let file = try RawFile(DataDirectory.dataFile(in: DataDirectory(path: directory).log))
    let scan = try BlockScan(file) { done, _ in
      try progress(LogProgress(position: .start, head: .start, byteCount: done, entryCount: 0))
    }
    guard !scan.blocks.isEmpty else { return nil }
    let rows = RowsByTable(RawTables(scan, in: file)?.tables ?? SalvagedTables(), areHeadsWhole: false)
    let identity = SalvageIdentity.known(rows, scan)
    let (head, doubt) = SalvagePlan.chooseHead(scan, scan.blocks, rows, in: file)
    let plan = SalvagePlan(
      scan.blocks, in: file, head: head.position, link: head.link == .zero ? nil : head.link,
      begin: identity.map { HashChain(of: $0).head } ?? .zero, known: rows.gaps)
    (result.id, result.node, result.head) = (identity?.id, identity?.node, head.position)
    for gap in plan.gaps { take(gap, isKnown: rows.gaps.contains(gap)) }
    for block in plan.blocks { take(block, in: file, known: rows.gaps) }
    result.find(error.problem, at: nil, .damaged)
    if let doubt { result.find(doubt, at: head.position.next, .damaged) }
  }

  private mutating func take(_ gap: LogGap, isKnown: Bool) {
    let (first, last) = (gap.range.lowerBound, gap.range.upperBound)
    let count = last.rawValue - first.rawValue + 1
    switch gap.kind {
    case .pruned: result.prunedCount += count
    case .quarantined where isKnown: result.quarantinedCount += count
    case .quarantined(let reason):
      result.find("\(gap.range.words) cannot be read: \(reason)", at: first, .damaged)
    }
  }

  private mutating func take(_ block: FoundBlock, in file: RawFile, known: [LogGap]) {
    guard let bytes = block.bytes(in: file) else { return }
    result.blockCount += 1
    bytes.withUnsafeBytes { bytes in
      for (index, number) in (block.first...block.last).enumerated() {
        let entry = StoredEntry(index, of: bytes, at: Position(rawValue: number))
        if block.isWhole || BlockScan.isWhole(entry) {
          result.entryCount += 1
          result.recordByteCount += UInt64(entry.stored?.count ?? 0)
        } else if let gap = known.first(where: { $0.range.contains(entry.position) }) {
          if gap.kind != .pruned { result.quarantinedCount += 1 }
        } else {
          result.find("its bytes are damaged", at: entry.position, .damaged)
        }
      }
    }
  }
}
