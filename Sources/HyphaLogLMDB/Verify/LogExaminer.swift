import HyphaCore
import HyphaLog

/// Reads a log from end to end and checks everything that it promises.
///
/// Hashing takes most of the time, and each block's hashes need nothing but the link before it. So the blocks of a
/// chunk are hashed on the cores that are free, while one goes through their entries in order.
struct LogExaminer {
  private let store: LogStore
  private let payloads: PayloadStore
  private var check: EntryCheck
  /// The payloads that no entry which was read refers to.
  private var loose: PayloadList
  /// The first position that was not looked at.
  private var next = Position(rawValue: 1)
  /// The chain's link before `next`; nil where that is not known.
  private var link: Digest?
  /// How many bytes were read.
  private var byteCount: UInt64 = 0
  private var commitNumber: UInt64 = 0

  /// The bytes of a chunk, which takes some milliseconds, and for as long as it does the log keeps its old pages.
  private static let chunkByteCount = 4 << 20
  /// How often the end is looked for again when the log was written meanwhile. Then its entries are checked, and its
  /// tables of heads are not.
  private static let catchUpCountMax = 100

  /// Reads the log in `directory`; `progress` is called after each chunk.
  ///
  /// A log that cannot be opened is read from the bytes of its file.
  static func verify(
    _ directory: String, linksAt positions: [Position], progress: (LogProgress) throws -> Void
  ) throws -> LogVerification {
    let (store, end): (LogStore, CommitHead)
    do {
      store = try LogOpening.openForReading(DataDirectory(path: directory))
      end = try store.view().head
    } catch let error as HyphaError where error.code == .logInvalid && error.remedy == LogFailure.restore {
      guard let raw = try RawVerification(directory, because: error, progress) else { throw error }
      return raw.result
    }
    var examiner = try LogExaminer(store, payloads: PayloadStore(in: directory))
    do {
      try examiner.run(through: end, progress)
    } catch let error as HyphaError where error.code == .logInvalid {
      let place = examiner.next > examiner.check.verification.head ? nil : examiner.next
      examiner.check.verification.find(error.problem, at: place, .damaged)
    }
    for position in positions {
      do {
        examiner.check.verification.links[position] = try store.view().chainLink(at: position)
      } catch let error as HyphaError where error.code == .logInvalid {
        // What is damaged is a finding already, but for what was written meanwhile.
        if examiner.check.verification.isSound {
          examiner.check.verification.find(error.problem, at: position, .damaged)
        }
        examiner.check.verification.links[position] = .quarantined(end: position)
      }
    }
    return examiner.check.verification
  }

  private init(_ store: LogStore, payloads: PayloadStore) throws {
    self.store = store
    self.payloads = payloads
    loose = try PayloadList(of: payloads)
    check = EntryCheck(gaps: [])
    link = HashChain(of: store.identity).head
    check.verification.id = store.identity.id
    check.verification.node = store.identity.node
  }

  private mutating func run(through end: CommitHead, _ progress: (LogProgress) throws -> Void) throws {
    var end = end
    check.verification.head = end.position
    try progress(LogProgress(position: .start, head: end.position, byteCount: 0, entryCount: 0))
    var catchUpCount = 0
    while true {
      let view = try store.view()
      try examineChunk(view, through: end.position)
      try progress(
        LogProgress(
          position: Position(rawValue: next.rawValue - 1), head: end.position, byteCount: byteCount,
          entryCount: check.verification.entryCount))
      guard next > end.position else { continue }
      compare(with: end)
      if view.head.position == end.position {
        for gap in check.unstatedPrunes {
          check.verification.find(
            "\(gap.range.words) are gone as if they were pruned, and no event \(LogPruned.eventType) says so",
            at: gap.range.lowerBound, .altered)
        }
        try checkEnd(view)
        break
      }
      guard catchUpCount < Self.catchUpCountMax else { break }
      catchUpCount += 1
      end = view.head
      check.verification.head = end.position
    }
    for finding in try TableCheck.findings(in: store) { check.verification.find(finding, at: nil, .damaged) }
    // Rows and blocks are whole; what LMDB takes for free is not seen from them.
    guard check.verification.isSound else { return }
    try store.environment.checkPages(whole: true)
    // Where something is wrong, what refers to them may be lost.
    check.verification.loosePayloads = loose.rest
  }
}

// MARK: A chunk

extension LogExaminer {
  private mutating func examineChunk(_ view: LogView, through end: Position) throws {
    if view.head.commitNumber != commitNumber {
      commitNumber = view.head.commitNumber
      check.update(gaps: try gaps(view))
    }
    let jobs = try collect(view, through: end)
    guard let last = jobs.last?.block.rawBytes else { return }
    // Blocks lie one behind the other, mostly: what comes next is on its way from the disk while these are hashed.
    if let address = last.baseAddress {
      view.transaction.pages.fetch(behind: address + last.count, byteCount: 2 * Self.chunkByteCount)
    }
    // The entries depend on each other: one thread goes through them, and helps with the hashes afterwards.
    let hashing = BlockHashing(jobs)
    for job in jobs { walk(job.block) }
    for (job, proof) in zip(jobs, hashing.finish()) { judge(job, proof) }
  }

  /// What is gone; nothing where the table of gaps is damaged, which is a finding of its own.
  private func gaps(_ view: LogView) throws -> [LogGap] {
    do { return try view.gaps() } catch let error as HyphaError where error.code == .logInvalid { return [] }
  }

  /// The next blocks, which follow each other or gaps. What cannot be read is passed over.
  private mutating func collect(_ view: LogView, through end: Position) throws -> [BlockHashing.Job] {
    var jobs: [BlockHashing.Job] = []
    var chunkByteCount = 0
    let walk = try BlockWalk(view)
    var (place, broken) = try walk.first(at: next)
    while next <= end, chunkByteCount < Self.chunkByteCount {
      guard let found = place else {
        pass(next...end, because: broken)
        break
      }
      let last = try BlockLayout.position(ofKey: found.key)
      chunkByteCount += found.value.count
      byteCount += UInt64(found.value.count)
      do {
        let block = try BlockView(found.value, last: last)
        if block.first > next {
          pass(next...Position(rawValue: block.first.rawValue - 1), because: broken)
        } else if let broken {
          check.verification.find(broken.problem, at: next, .damaged)
        }
        if block.first == next {
          jobs.append(BlockHashing.Job(block: block, link: link))
        } else {
          check.verification.find("the block that ends here begins before the one before it ends", at: last)
        }
        link = block.link
      } catch let error as HyphaError {
        if let broken { check.verification.find(broken.problem, at: next, .damaged) }
        check.verification.find(error.problem, at: next, .damaged)
        check.pass(next...last)
        link = nil
      }
      next = last.next
      (place, broken) = try walk.next(at: next)
    }
    return jobs
  }

  /// Goes on behind positions that no block has. They must be known to be gone, or it is a finding: that they are missing,
  /// or that they cannot be read because of what is `broken`.
  private mutating func pass(_ range: ClosedRange<Position>, because broken: HyphaError? = nil) {
    next = range.lowerBound
    while next <= range.upperBound {
      if let gap = check.gap(at: next) {
        next = gap.range.upperBound.next
        link = gap.anchor
      } else {
        let begin = next
        let gap = check.gaps.first { $0.range.lowerBound > begin }
        next = min(gap?.range.lowerBound ?? range.upperBound.next, range.upperBound.next)
        let lost = begin...Position(rawValue: next.rawValue - 1)
        check.verification.find(
          broken.map { "\($0.problem); \(lost.words) cannot be read" }
            ?? (lost.isOne ? "the entry is missing" : "the \(lost.words) are missing"),
          at: begin, .damaged)
        check.pass(lost)
        link = nil
      }
    }
  }

  /// Goes through the entries of a block in order.
  private mutating func walk(_ block: BlockView) {
    check.verification.blockCount += 1
    for number in block.first.rawValue...block.last.rawValue {
      let position = Position(rawValue: number)
      do {
        let stored = block.stored(at: position)
        if let payload = stored.payload { loose.remove(payload.digest) }
        if stored.isDetached, stored.isBound {
          try walkDetached(stored)
        } else {
          try block.withEntry(at: position, payloads: payloads) { check.check($0) }
        }
      } catch {
        if check.gap(at: position) != nil { continue }
        check.pass(position...position)
        let problem = (error as? HyphaError)?.problem ?? "\(error)"
        check.verification.find(problem, at: position, .damaged)
      }
    }
  }

  /// Checks an entry whose payload lies beside the log, and the payload.
  private mutating func walkDetached(_ stored: StoredEntry) throws {
    try stored.withRecord(payloads) { record in
      if Digest.of(record) != stored.leaf { return foundOther(at: stored.position) }
      check.check(try stored.view(of: record))
      check.verification.payloadCount += 1
      byteCount += UInt64(record.count)
    }
  }

  /// Takes down what hashing a block has shown, unless checksums have shown it or it is accounted for.
  private mutating func judge(_ job: BlockHashing.Job, _ proof: BlockProof) {
    let block = job.block
    // Bytes that were lost do not match their checksum either.
    let altered = proof.otherRecords.filter { position in
      block.stored(at: position).isBound
        && (try? block.withEntry(at: position, payloads: payloads) { _ in }) != nil
    }
    for position in altered { foundOther(at: position) }
    // Then the link says nothing new.
    guard altered.isEmpty else { return }
    if job.link == nil {
      check.verification.unprovenCount += 1
    } else if !proof.isLinked {
      let positions = (block.first.rawValue...block.last.rawValue).lazy.map { Position(rawValue: $0) }
      if positions.allSatisfy({ block.stored(at: $0).isBound }) {
        check.verification.find(
          "the chain's link at the block's end, position \(block.last), does not follow from what stands before it",
          at: block.first, .altered)
      } else {
        check.verification.unprovenCount += 1
      }
    }
  }

  private mutating func foundOther(at position: Position) {
    check.verification.find(
      "its record is not the one that the log took: its hash is another", at: position, .altered)
  }
}

// MARK: The end

extension LogExaminer {
  /// Compares what the newest commit says of itself with the entries.
  private mutating func compare(with head: CommitHead) {
    if let link, link != head.link {
      check.verification.find("the newest link of the chain is not the head's", at: head.position, .altered)
    }
    // Where the newest block could not be read, there is no link, and the time is that of an older one.
    if link != nil, check.gap(at: head.position) == nil, !check.isLost(head.position),
      check.verification.entryCount > 0, check.lastTime != head.time
    {
      check.verification.find("the newest entry's time is not the head's", at: head.position)
    }
  }

  /// Checks that nothing comes after the head, and that the heads are those of the entries.
  private mutating func checkEnd(_ view: LogView) throws {
    let cursor = try view.transaction.cursor(in: view.environment.blocks)
    do {
      if let last = try cursor.last(), try BlockLayout.position(ofKey: last.key) > view.head.position {
        check.verification.find("the table blocks goes on beyond the head", at: view.head.position)
      }
    } catch let error as HyphaError where error.code == .logInvalid && !check.verification.isSound {
      // What is broken was found with its position.
    }
    // Heads that are not in the table yet are read from the entries, which must be whole for that.
    guard check.verification.isSound else { return }
    let heads = HeadTable()
    check.compare(lanes: try heads.laneHeads(view), streams: try heads.streamHeads(view))
  }
}

extension LogView {
  /// What the log says of its chain at a position.
  func chainLink(at position: Position) throws -> ChainLink {
    if position == .start { return .none }
    let gap = try gap(at: position)
    if let gap, gap.range.upperBound == position, let anchor = gap.anchor { return .link(anchor) }
    if let gap, gap.kind == .pruned { return .pruned(end: gap.range.upperBound) }
    let cursor = try transaction.cursor(in: environment.blocks)
    if let found = try BlockLayout.withKey(position, { try cursor.seek($0) }) {
      let block = try BlockView(found.value, last: BlockLayout.position(ofKey: found.key))
      if block.last == position { return .link(block.link) }
    }
    return gap.map { .quarantined(end: $0.range.upperBound) } ?? .none
  }
}

extension ClosedRange<Position> {
  fileprivate var isOne: Bool { lowerBound == upperBound }

  /// The positions, for people.
  var words: String { isOne ? "position \(lowerBound)" : "positions \(lowerBound) to \(upperBound)" }
}
