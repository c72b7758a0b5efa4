import Glibc
import HyphaCore
import HyphaLog

/// Makes a new log of what is whole in a damaged one's files.
struct Salvager {
  private let file: RawFile
  private let place: DataDirectory
  private let oldPayloads, payloads: PayloadStore
  private let tables: RowsByTable
  private let identity: LogIdentity
  private var report: SalvageReport
  /// Event ids of records without a place, with their place in `looseRecords`; those that are kept are taken out.
  private var looseRecords: [EventID: (offset: Int, byteCount: Int)] = [:]
  private var payloadsKept: [StoredPayload] = []

  /// A commit of the new log has so many bytes of blocks.
  private static let commitByteCount = 32 << 20

  /// As ``LogInspection/salvage(_:to:tables:owner:loose:progress:)`` says.
  static func salvage(
    _ directory: String, to output: String, tables: SalvagedTables, owner: StatedOwner,
    loose: (LooseRecord) throws -> Void, progress: (UInt64, UInt64) throws -> Void
  ) throws -> SalvageReport {
    let place = DataDirectory(path: output)
    let quiet = try WriterAbsence(DataDirectory(path: directory))
    defer { withExtendedLifetime(quiet) {} }
    let file = try RawFile(DataDirectory.dataFile(in: DataDirectory(path: directory).log))
    try confirmNoLog(place)
    let scan = try BlockScan(file, progress: progress)
    let tables = tables.checked
    // What LMDB gives is all of one commit, or lacks something; what the pages say is known to be of one commit.
    let raw = tables.problem == nil ? nil : RawTables(scan, in: file)
    let rows = RowsByTable(
      raw?.tables ?? tables.withoutUnprovenAgents,
      areHeadsWhole: raw?.areHeadsWhole ?? (tables.problem == nil))
    let identity = try SalvageIdentity(directory, rows, scan, file, stated: owner)
    let wasThere = try FileTree.names(in: output) != nil
    do {
      try place.create()
      let lock = try WriterLock(place)
      try confirmNoLog(place)
      var salvager = Salvager(
        file, scan, place, payloads: PayloadStore(in: directory), tables: rows, identity: identity.identity)
      salvager.report.notes = identity.notes + (raw?.notes ?? [])
      try withExtendedLifetime(lock) {
        try salvager.run(scan)
        try salvager.takeKey(from: directory)
      }
      try salvager.tellLoose(loose)
      return salvager.report
    } catch {
      if !wasThere { FileTree.remove(output) }
      throw error
    }
  }

  private static func confirmNoLog(_ place: DataDirectory) throws {
    guard try !place.hasLog() else {
      throw HyphaError(
        .fileUnavailable, "\(place.path) holds a log already", remedy: "give a directory that holds none")
    }
  }

  private init(
    _ file: RawFile, _ scan: BlockScan, _ place: DataDirectory, payloads: PayloadStore, tables: RowsByTable,
    identity: LogIdentity
  ) {
    self.file = file
    self.place = place
    self.tables = tables
    oldPayloads = payloads
    self.payloads = PayloadStore(in: place.path)
    self.identity = identity
    report = SalvageReport(id: identity.id, node: identity.node)
    for record in scan.records {
      let bytes = file.bytes(at: record.offset, count: 32)
      let id = bytes.withUnsafeBytes { EventID(high: Self.big($0, 16), low: Self.big($0, 24)) }
      looseRecords[id] = record
    }
  }

  private static func big(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

// MARK: The work

extension Salvager {
  private mutating func run(_ scan: BlockScan) throws {
    let begin = HashChain(of: identity).head
    let rebuilt = BlockRebuild(scan, in: file, begin: begin, known: tables.gaps).blocks
    let found = scan.blocks + rebuilt
    let (head, doubt) = SalvagePlan.chooseHead(scan, found, tables, in: file)
    if let doubt { report.notes.append(doubt) }
    let plan = SalvagePlan(
      found, in: file, head: head.position, link: head.link == .zero ? nil : head.link, begin: begin,
      known: tables.gaps)
    let rebuiltCount = plan.blocks.count { $0.header != nil }
    if rebuiltCount > 0 {
      report.notes.append(
        "the headers of \(rebuiltCount) blocks were damaged, and made anew from their entries")
    }
    try place.removeNewLog()
    try place.createNewLog()
    let settings = LMDBLogSettings()
    let mode = Environment.Mode.creating(
      mapByteCount: settings.mapByteCountRounded, mapByteCountMax: settings.mapByteCountMaxRounded)
    var environment: Environment? = try Environment(log: place.newLog, mode: mode)
    defer { environment?.close() }
    if let environment { try write(plan, head: head, to: environment) }
    environment?.close()
    environment = nil
    try place.adoptNewLog()
    try finish()
  }

  /// Fills the new log.
  private mutating func write(_ plan: SalvagePlan, head: CommitHead, to environment: Environment) throws {
    var gaps = plan.gaps
    var head = head
    var rest = plan.blocks[...]
    while !rest.isEmpty {
      var bytes: [(block: FoundBlock, bytes: [UInt8])] = []
      var sum = 0
      while let block = rest.first, sum < Self.commitByteCount || bytes.isEmpty {
        guard var content = block.bytes(in: file) else { break }
        gaps += try clean(&content, block, &head)
        bytes.append((block, content))
        sum += content.count
        rest = rest.dropFirst()
      }
      try environment.write { transaction in
        for (block, content) in bytes {
          try BlockLayout.withKey(Position(rawValue: block.last)) { key in
            try transaction.append(byteCount: content.count, at: key, in: environment.blocks) { value in
              content.withUnsafeBytes { value.copyMemory(from: $0) }
            }
          }
        }
      }
    }
    gaps.sort { $0.range.lowerBound < $1.range.lowerBound }
    if head.link == .zero, let link = plan.blocks.last?.link(in: file) { head.link = link }
    try writeTables(gaps, head, to: environment)
    tell(gaps, head, blockCount: plan.blocks.count)
  }

  /// Wipes what is damaged in a block, and returns the positions. The entries' headers stay as they are, since the
  /// chain's link is made of them.
  private mutating func clean(_ block: inout [UInt8], _ found: FoundBlock, _ head: inout CommitHead) throws
    -> [LogGap]
  {
    var gaps: [LogGap] = []
    try block.withUnsafeMutableBytes { block in
      for (index, number) in (found.first...found.last).enumerated() {
        let entry = StoredEntry(index, of: UnsafeRawBufferPointer(block), at: Position(rawValue: number))
        if let reason = try keep(entry, isWhole: found.isWhole) {
          let range = entry.position...entry.position
          gaps.append(
            tables.gaps.first { $0.range == range }
              ?? LogGap(range: range, kind: .quarantined(reason: reason), anchor: nil))
          // Where its header does not say where the record is, no reader takes anything for it.
          guard entry.isBound, let stored = entry.stored else { continue }
          // A record that is stored lies in its block, so both have an address.
          let offset = stored.baseAddress! - UnsafeRawPointer(block.baseAddress!)
          UnsafeMutableRawBufferPointer(rebasing: block[offset..<offset + stored.count])
            .initializeMemory(as: UInt8.self, repeating: 0)
        } else {
          report.entryCount += 1
          let time = Timestamp(
            rawValue: UInt64(littleEndian: entry.header.loadUnaligned(as: UInt64.self)))
          // Only where the head is lost, its time is not known.
          if head.time < time { head.time = time }
        }
      }
    }
    return gaps
  }

  /// Nil where an entry can be kept, else why not. A payload beside the log is taken along.
  private mutating func keep(_ entry: StoredEntry, isWhole: Bool) throws -> String? {
    guard isWhole || BlockScan.isWhole(entry), let stored = entry.stored else {
      return "its bytes were damaged"
    }
    if entry.isDetached {
      do {
        let detached = try DetachedRecord(checking: stored)
        let record = try oldPayloads.record(of: detached)
        guard record.withUnsafeBytes({ Digest.of($0) }) == entry.leaf else { return "its payload is another" }
        payloadsKept.append(
          try record.withUnsafeBytes {
            try payloads.put(UnsafeRawBufferPointer(rebasing: $0[detached.front.count...]))
          })
        report.payloadCount += 1
      } catch let error as HyphaError where error.code == .logInvalid || error.code == .invalidRecord {
        return error.problem
      }
      return nil
    }
    if !looseRecords.isEmpty {
      looseRecords[EventID(high: Self.big(stored, 16), low: Self.big(stored, 24))] = nil
    }
    return nil
  }
}

// MARK: Tables

extension Salvager {
  private mutating func writeTables(
    _ gaps: [LogGap], _ head: CommitHead, to environment: Environment
  ) throws {
    var next = head
    // Heads of lanes and streams follow from the entries, but for what is gone.
    let hasHeads = tables.areHeadsWhole && head.headsThrough <= head.position
    if !hasHeads { next.headsThrough = .start }
    let rows = tables.rows.filter { row in
      row.table == "snapshots" || (row.table == "state" && Self.isKept(row.keyBytes, hasHeads: hasHeads))
    }
    try environment.write { transaction in
      let version = TableLayout.bytes(of: TableLayout.formatVersion)
      try transaction.putSealed(version, at: TableLayout.formatKey, in: environment.state)
      try transaction.putSealed(
        TableLayout.value(of: identity), at: TableLayout.identityKey, in: environment.state)
      for row in rows {
        guard let table = environment.table(named: row.table) else { continue }
        try transaction.put(row.valueBytes, at: row.keyBytes, in: table)
      }
      for gap in gaps {
        let key = BlockLayout.withKey(gap.range.upperBound) { Array($0) }
        try transaction.putSealed(TableLayout.value(of: gap), at: key, in: environment.gaps)
      }
      next.commitNumber = transaction.commitNumber
      try transaction.putHead(next, in: environment.state)
    }
    let kinds = rows.filter { $0.table == "state" }.map { $0.keyBytes.first }
    report.cursorCount = UInt64(kinds.count { $0 == TableLayout.Kind.cursor.rawValue })
    report.keyCount = UInt64(kinds.count { $0 == TableLayout.Kind.idempotencyKey.rawValue })
    report.snapshotCount = UInt64(rows.count { $0.table == "snapshots" })
    if let problem = tables.problem {
      report.notes.append(
        "not all consumers' places, snapshots and idempotency keys could be read: \(problem)")
    }
  }

  private static func isKept(_ key: [UInt8], hasHeads: Bool) -> Bool {
    switch key.first.flatMap(TableLayout.Kind.init) {
    case .cursor?, .idempotencyKey?: true
    case .lane?, .stream?: hasHeads
    case nil: false
    }
  }

  private mutating func tell(_ gaps: [LogGap], _ head: CommitHead, blockCount: Int) {
    report.head = head.position
    report.blockCount = UInt64(blockCount)
    for gap in gaps {
      let (first, last) = (gap.range.lowerBound, gap.range.upperBound)
      let count = last.rawValue - first.rawValue + 1
      guard case .quarantined(let reason) = gap.kind else {
        report.prunedCount += count
        continue
      }
      report.quarantinedCount += count
      report.quarantined.append(SalvageReport.Quarantined(first: first, last: last, reason: reason))
    }
  }

  /// Writes the heads of lanes and streams down, so that the next one who opens the log need not read it all.
  private func finish() throws {
    let mode = Environment.Mode.writing(
      mapByteCount: LMDBLogSettings().mapByteCountRounded,
      mapByteCountMax: LMDBLogSettings().mapByteCountMaxRounded)
    let store = try LogStore(
      EnvironmentRegistry.lease(log: place.log, mode: mode), payloads: payloads)
    let head = try store.checkTail()
    guard head.headsThrough < head.position else { return }
    try Committer(store: store, head: head, settings: .standard, time: NoTime()).finish()
  }

  /// Nothing is appended, so nobody asks for the time.
  private struct NoTime: TimeSource {
    func microseconds() -> UInt64 { 0 }
  }

  /// The node goes on to sign with its key.
  private mutating func takeKey(from directory: String) throws {
    do {
      guard let key = try NodeKey.load(from: directory) else { return }
      try key.store(in: place.path)
    } catch let error as HyphaError where [.logInvalid, .fileUnavailable].contains(error.code) {
      report.notes.append("the node's key was not taken along: \(error.problem)")
    }
  }

  private mutating func tellLoose(_ body: (LooseRecord) throws -> Void) throws {
    for (offset, byteCount) in looseRecords.values.sorted(by: { $0.offset < $1.offset }) {
      let record = try? file.bytes(at: offset, count: byteCount).withUnsafeBytes {
        try Record(RecordView(checking: $0, limits: BlockLayout.limits))
      }
      guard let record else { continue }
      report.looseCount += 1
      try body(LooseRecord(offset: UInt64(offset), record: record))
    }
  }
}

/// Says that no process writes a log, which is not touched for that. Holds as long as this object lives.
private final class WriterAbsence {
  private let descriptor: Int32

  init(_ place: DataDirectory) throws {
    descriptor = Glibc.open(place.writerLock, O_RDONLY | O_CLOEXEC)
    // Where there is no such file, nobody has ever written.
    guard descriptor >= 0, flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
    // Its end closes the file, also when this throws; a second close would hit what another thread has opened meanwhile.
    throw HyphaError(
      .logLocked,
      "the log in \(place.path) is open for writing by \(WriterLock.holder(of: descriptor))",
      remedy: "stop that process first")
  }

  deinit { if descriptor >= 0 { _ = Glibc.close(descriptor) } }
}

extension SalvagedTables {
  /// The rows that are whole. One that is not is a problem like one that could not be read: others were committed with it.
  fileprivate var checked: SalvagedTables {
    var checked = SalvagedTables(problem: problem)
    for row in rows {
      do {
        try row.keyBytes.withUnsafeBytes { key in
          _ = try row.valueBytes.withUnsafeBytes { try TableCheck.check(key, $0, of: row.table) }
        }
        checked.rows.append(row)
      } catch {
        checked.problem = checked.problem ?? (error as? HyphaError)?.problem ?? "\(error)"
      }
    }
    return checked
  }

  /// The rows but for agents' places and snapshots: those that were read may be of one commit without the others that
  /// were committed with them.
  fileprivate var withoutUnprovenAgents: SalvagedTables {
    guard problem != nil else { return self }
    let consumer = TableLayout.Kind.cursor.rawValue
    let rest = rows.filter {
      $0.table != "snapshots" && !($0.table == "state" && $0.keyBytes.first == consumer)
    }
    return SalvagedTables(rows: rest, problem: problem)
  }
}

/// The rows of the small tables that could be read, with what salvage asks of them.
struct RowsByTable {
  let rows: [SalvagedRow]
  let problem: String?
  /// Whether the heads of all lanes and streams are there.
  let areHeadsWhole: Bool
  /// What was gone already.
  let gaps: [LogGap]

  init(_ tables: SalvagedTables, areHeadsWhole: Bool) {
    rows = tables.rows
    self.areHeadsWhole = areHeadsWhole
    problem = tables.problem
    gaps = Self.gaps(in: rows)
  }

  /// The sealed value of a key in the table `state`.
  func state(_ key: [UInt8]) -> [UInt8]? {
    rows.first { $0.table == "state" && $0.keyBytes == key }?.valueBytes
  }

  private static func gaps(in rows: [SalvagedRow]) -> [LogGap] {
    rows.filter { $0.table == "gaps" }.compactMap { row in
      row.keyBytes.withUnsafeBytes { key in
        row.valueBytes.withUnsafeBytes { value in
          guard let last = try? BlockLayout.position(ofKey: key),
            var reader = try? TableLayout.unseal(value, key: key, table: "gaps")
          else { return nil }
          return try? TableLayout.gap(endingAt: last, &reader)
        }
      }
    }
  }

  /// The highest position that any row names.
  var positionMax: UInt64 {
    rows.compactMap { row -> UInt64? in
      guard row.table == "state" else { return nil }
      return row.keyBytes.withUnsafeBytes { key in
        row.valueBytes.withUnsafeBytes { value in
          guard var reader = try? TableLayout.unseal(value, key: key, table: "state") else { return nil }
          switch key.first.flatMap(TableLayout.Kind.init) {
          case .cursor?: return (try? TableLayout.cursor(&reader))?.position.rawValue
          case .lane?: return (try? TableLayout.laneHead(&reader))?.position.rawValue
          case .stream?: return (try? TableLayout.streamHead(&reader))?.position.rawValue
          default: return nil
          }
        }
      }
    }.max() ?? 0
  }
}
