import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// Runs as bytes: what is laid out is found again, what is merged adds up, and what is damaged is never believed.
struct IndexRunTests {
  /// What a run should hold: for each term its postings.
  typealias Model = [UInt64: [UInt32]]

  /// A run of random postings with terms that many, few and single events have.
  static func sample(
    first: UInt64, spanCount: Int, termCount: Int, _ generator: inout SeededGenerator
  ) -> (model: Model, bytes: [UInt8]) {
    let buffer = PostingBuffer()
    var model: Model = [:]
    for offset in 0..<spanCount {
      buffer.reserve(4)
      for rank in 0..<Int(generator.next() % 4) {
        // The first ranks share terms, some of them frequent; those of the third are used once.
        let name = rank == 2 ? generator.next() : generator.next() % UInt64(termCount) >> UInt64(rank * 3)
        let hash = (name &+ 1) &* 0x9E37_79B9_7F4A_7C15
        let role = TermRole(rawValue: UInt8(generator.next() % 4)) ?? .itself
        let posting = TermPosting(hash: hash, offset: UInt16(offset), role: role)
        if model[posting.term]?.contains(posting.posting) == true { continue }
        buffer.add(posting)
        model[posting.term, default: []].append(posting.posting)
      }
    }
    for term in model.keys { model[term]?.sort() }
    let writer = RunWriter()
    buffer.withSorted(from: 0) {
      writer.collect($0, first: Position(rawValue: first), spanCount: spanCount, base: 0)
    }
    return (model, bytes(of: writer))
  }

  static func bytes(of writer: RunWriter) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xAA, count: writer.byteCount)
    bytes.withUnsafeMutableBytes { writer.write(into: $0) }
    return bytes
  }

  static func postings(_ run: RunView, _ term: UInt64, in offsets: Range<UInt32>? = nil) throws -> [UInt32] {
    guard let list = try run.list(of: term) else { return [] }
    var found: [UInt32] = []
    for role in UInt8(0)..<4 {
      _ = try list.forEach(in: offsets ?? 0..<UInt32(run.spanCount), roles: TermRoles(rawValue: 1 << role)) {
        found.append($0 << 2 | UInt32(role))
      }
    }
    return found.sorted()
  }

  @Test(arguments: [1, 7, 300, 20_000])
  func `a run gives back the postings of every term and of no other`(spanCount: Int) throws {
    let seed = SeededGenerator.seed
    var generator = SeededGenerator(seed: seed)
    let (model, bytes) = Self.sample(first: 5, spanCount: spanCount, termCount: 900, &generator)
    try bytes.withUnsafeBytes { bytes in
      let run = try RunView(bytes, last: Position(rawValue: UInt64(4 + spanCount)))
      #expect(run.rowCount == model.count, "HYPHA_SEED=\(seed)")
      for (term, postings) in model {
        #expect(try Self.postings(run, term) == postings, "HYPHA_SEED=\(seed)")
        let low = UInt32(generator.next() % UInt64(spanCount))
        let range = low..<low + 1 + UInt32(generator.next() % UInt64(spanCount))
        #expect(
          try Self.postings(run, term, in: range) == postings.filter { range.contains($0 >> 2) },
          "HYPHA_SEED=\(seed)")
        #expect(try Self.postings(run, term + 1) == model[term + 1] ?? [], "HYPHA_SEED=\(seed)")
      }
      _ = try run.checked()
    }
  }

  @Test func `merged runs hold what their sources do`() throws {
    let seed = SeededGenerator.seed
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<12 {
      var model: Model = [:]
      var sources: [[UInt8]] = []
      var spanCount = 0
      for _ in 0..<1 + Int(generator.next() % 16) {
        let span = 1 + Int(generator.next() % 3_000)
        let (part, bytes) = Self.sample(
          first: UInt64(1 + spanCount), spanCount: span, termCount: 400, &generator)
        for (term, postings) in part {
          model[term, default: []] += postings.map { $0 + UInt32(spanCount) << 2 }
        }
        sources.append(bytes)
        spanCount += span
      }
      let merged = try Self.merge(sources)
      try merged.withUnsafeBytes { bytes in
        let run = try RunView(bytes, last: Position(rawValue: UInt64(spanCount)))
        #expect(run.rowCount == model.count, "HYPHA_SEED=\(seed)")
        for (term, postings) in model {
          #expect(try Self.postings(run, term) == postings, "HYPHA_SEED=\(seed)")
          let low = UInt32(generator.next() % UInt64(spanCount))
          #expect(
            try Self.postings(run, term, in: low..<low + 50)
              == postings.filter { (low..<low + 50).contains($0 >> 2) }, "HYPHA_SEED=\(seed)")
        }
      }
      // What was merged can be merged again.
      let half = Int(generator.next() % UInt64(sources.count + 1))
      if half > 0, half < sources.count {
        let again = try Self.merge([Self.merge(Array(sources[..<half])), Self.merge(Array(sources[half...]))])
        #expect(try Self.sameContents(again, merged, spanCount: spanCount), "HYPHA_SEED=\(seed)")
      }
    }
  }

  static func merge(_ sources: [[UInt8]]) throws -> [UInt8] {
    let writer = RunWriter()
    let buffers = sources.map { source in
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 8)
      buffer.copyBytes(from: source)
      return buffer
    }
    defer { for buffer in buffers { buffer.deallocate() } }
    let views = try buffers.map { buffer in
      guard buffer.count >= 20 else { throw HyphaError(.logInvalid, "no header") }
      let first = buffer.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      let span = buffer.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
      return try RunView(UnsafeRawBufferPointer(buffer), last: Position(rawValue: first &+ UInt64(span) &- 1))
    }
    try RunMerger.merge(views, into: writer)
    return bytes(of: writer)
  }

  static func sameContents(_ left: [UInt8], _ right: [UInt8], spanCount: Int) throws -> Bool {
    try left.withUnsafeBytes { left in
      try right.withUnsafeBytes { right in
        let last = Position(rawValue: UInt64(spanCount))
        let (left, right) = (try RunView(left, last: last), try RunView(right, last: last))
        guard left.rowCount == right.rowCount else { return false }
        return try (0..<left.rowCount).allSatisfy { row in
          let term = left.term(at: row)
          return try right.term(at: row) == term && postings(left, term) == postings(right, term)
        }
      }
    }
  }

  @Test func `a damaged run gives right answers or none`() throws {
    let seed = SeededGenerator.seed
    var generator = SeededGenerator(seed: seed)
    let spanCount = 3_000
    let (model, sound) = Self.sample(first: 1, spanCount: spanCount, termCount: 200, &generator)
    let terms = model.keys.sorted()
    var refusedCount = 0
    for _ in 0..<800 {
      var bytes = sound
      for _ in 0...generator.next() % 3 {
        bytes[Int(generator.next() % UInt64(bytes.count))] ^= UInt8(1 + generator.next() % 255)
      }
      if generator.chance(0.1) { bytes.removeLast(Int(generator.next() % UInt64(bytes.count))) }
      if bytes == sound { continue }
      bytes.withUnsafeBytes { bytes in
        do {
          let run = try RunView(bytes, last: Position(rawValue: UInt64(spanCount)))
          for _ in 0..<20 {
            let term = terms[Int(generator.next() % UInt64(terms.count))] + generator.next() % 2
            let found = try Self.postings(run, term)
            #expect(found == model[term] ?? [], "HYPHA_SEED=\(seed)")
          }
        } catch {
          refusedCount += 1
        }
      }
      #expect(throws: HyphaError.self, "HYPHA_SEED=\(seed)") { _ = try Self.merge([bytes]) }
    }
    #expect(refusedCount > 100)
  }

  @Test(arguments: [UInt8(0), 0x3F])
  func `damaged rows cannot hide a term from the search`(_ filling: UInt8) throws {
    var generator = SeededGenerator(seed: 11)
    let spanCount = 3_000
    let (model, sound) = Self.sample(first: 1, spanCount: spanCount, termCount: 200, &generator)
    let rowBlockCount = model.count * RunLayout.rowByteCount / RunLayout.blockByteCount
    #expect(rowBlockCount > 3)
    for block in 0..<rowBlockCount {
      var bytes = sound
      let start = RunLayout.headerByteCount + block * RunLayout.blockByteCount
      for place in start..<start + RunLayout.blockByteCount { bytes[place] = filling }
      try bytes.withUnsafeBytes { bytes in
        let run = try RunView(bytes, last: Position(rawValue: UInt64(spanCount)))
        for (term, postings) in model {
          guard let found = try? Self.postings(run, term) else { continue }
          #expect(found == postings)
        }
      }
    }
  }

  @Test func `bytes that are checked but senseless never trap`() throws {
    let seed = SeededGenerator.seed
    var generator = SeededGenerator(seed: seed)
    let spanCount = 1_500
    let (model, sound) = Self.sample(first: 1, spanCount: spanCount, termCount: 100, &generator)
    let terms = model.keys.sorted()
    for _ in 0..<600 {
      var bytes = sound
      for _ in 0...generator.next() % 4 {
        bytes[32 + Int(generator.next() % UInt64(bytes.count - 32))] = UInt8(
          truncatingIfNeeded: generator.next())
      }
      Self.seal(&bytes)
      bytes.withUnsafeBytes { bytes in
        guard let run = try? RunView(bytes, last: Position(rawValue: UInt64(spanCount))) else { return }
        for term in terms.prefix(60) { _ = try? Self.postings(run, term) }
      }
      if let merged = try? Self.merge([bytes]) { _ = try? Self.merge([merged]) }
    }
  }

  /// Makes the checks of altered rows and lists right.
  static func seal(_ bytes: inout [UInt8]) {
    let first = Position(
      rawValue: bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self) })
    let (rows, lists) = bytes.withUnsafeBytes {
      (
        Int($0.loadUnaligned(fromByteOffset: 20, as: UInt32.self)),
        Int($0.loadUnaligned(fromByteOffset: 24, as: UInt32.self))
      )
    }
    let end = 32 + rows * 10 + lists
    for (number, start) in stride(from: 32, to: end, by: 1024).enumerated() {
      let check = bytes.withUnsafeBytes {
        RunLayout.check(ofBlock: number, .init(rebasing: $0[start..<min(start + 1024, end)]), first: first)
      }
      withUnsafeBytes(of: check.littleEndian) {
        bytes.replaceSubrange(end + 4 * number..<end + 4 * number + 4, with: $0)
      }
    }
  }

  @Test func `a run of terms that share their upper bits is sorted as well`() {
    var keys = (0..<5_000).map { offset in
      TermPosting(hash: (1 << 63) | UInt64(offset % 3) << 18, offset: UInt16(offset), role: .itself).rawValue
    }
    var scratch = keys
    let expected = keys.sorted()
    let sorted = keys.withUnsafeMutableBufferPointer { keys in
      scratch.withUnsafeMutableBufferPointer { scratch in
        Array(
          UnsafeBufferPointer(
            start: RadixSort.sort(keys.baseAddress!, scratch.baseAddress!, count: keys.count),
            count: keys.count))
      }
    }
    #expect(sorted == expected)
  }
}
