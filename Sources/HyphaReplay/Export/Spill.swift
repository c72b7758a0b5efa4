import Foundation
import HyphaCore

/// Fragments of text that are put together by key through files without a name, which are gone with the process.
///
/// Keys are spread over parts. Memory is that of one part when it is read, at most ``Limits/partByteCountMax``, and 1 MiB of what is
/// not written yet: what is no more than that comes to no disk. A part that has become larger is spread once more, and one key's
/// fragments are passed on without being held, however many they are.
final class Spill {
  /// What fragments are put together by.
  struct Key: Hashable {
    var name: String
    /// The trace that it is, where it was imported as one.
    var trace: UInt64?
    /// What tells the traces of one log from those of another.
    var origin: UInt64 = 0
  }

  /// What comes of the keys, one after the other: its begin, its heads, its other fragments, both in the order of coming, its end.
  enum Step {
    case begin(Key, hasHeads: Bool)
    case head(UnsafeRawBufferPointer)
    case fragment(UnsafeRawBufferPointer)
    case end(Key)
  }

  let partCount: Int
  /// How many fragments were added.
  private(set) var fragmentCount = 0
  private var parts: [SpillPart]
  private let directory: String
  private let level: UInt64
  private let bufferByteCount: Int

  /// What is held at most.
  struct Limits {
    /// More than this of a part is not loaded, unless it cannot be divided.
    var partByteCountMax = 4 << 20
    /// What of all parts is not written yet.
    var bufferByteCountMax = 1 << 20
    /// Names and pairs of late, by those who would otherwise add them again and again.
    var nameCountMax = 16_384
  }

  /// Into so many a part is divided, so often at most.
  private static let (division, levelMax): (Int, UInt64) = (16, 8)
  private let limits: Limits

  /// - Parameters:
  ///   - directory: where files may be made; they are when something is to be written to them.
  ///   - level: how often it was divided.
  init(partCount: Int, in directory: String, level: UInt64 = 0, limits: Limits = Limits()) {
    (self.partCount, self.directory, self.level, self.limits) = (partCount, directory, level, limits)
    parts = (0..<partCount).map { _ in SpillPart() }
    bufferByteCount = limits.bufferByteCountMax / partCount
  }

  /// Parts for about so many fragments.
  static func partCount(for expectedCount: UInt64) -> Int { Int(min(max(expectedCount / 10_000, 1), 256)) }

  /// Adds a fragment to a key.
  ///
  /// - Parameter part: where the key belongs, the same for all its fragments; nil by its name.
  /// - Throws: ``HyphaError/Code/fileUnavailable`` when a file cannot be made or written.
  func add(
    _ key: Key, part: Int? = nil, isHead: Bool = false, _ fragment: some RandomAccessCollection<UInt8>
  ) throws {
    fragmentCount += 1
    var random = SeededGenerator(seed: SeededGenerator.fingerprint(of: key.name) &+ level)
    let part = parts[part ?? Int(random.next() % UInt64(partCount))]
    part.append(key, isHead: isHead, fragment)
    if part.waiting.count >= bufferByteCount { try part.flush(in: directory) }
  }

  /// Calls `body` with each key and its fragments, part by part, keys in the order of coming or sorted by name, and empties it.
  func visit(sorted: Bool = false, _ pace: inout FinishPace, _ body: (Step) throws -> Void) throws {
    for part in parts {
      if part.isOfOneKey {
        try stream(part, &pace, body)
      } else if part.byteCount > limits.partByteCountMax, level < Self.levelMax {
        try divide(part, &pace).visit(sorted: sorted, &pace, body)
      } else {
        try load(part, sorted: sorted, &pace, body)
      }
      try part.clear()
    }
  }

  /// One key's fragments, twice: heads first.
  private func stream(_ part: SpillPart, _ pace: inout FinishPace, _ body: (Step) throws -> Void) throws {
    guard let key = part.firstKey else { return }
    try body(.begin(key, hasHeads: part.hasHeads))
    for wantsHeads in [true, false] {
      try part.forEach { _, isHead, fragment in
        try pace.step()
        if isHead == wantsHeads { try body(isHead ? .head(fragment) : .fragment(fragment)) }
      }
    }
    try body(.end(key))
  }

  private func load(
    _ part: SpillPart, sorted: Bool, _ pace: inout FinishPace, _ body: (Step) throws -> Void
  ) throws {
    var (keys, places): ([Key], [Key: Int]) = ([], [:])
    var fragments: [(heads: [UnsafeRawBufferPointer], others: [UnsafeRawBufferPointer])] = []
    let bytes = try part.bytes()
    try bytes.withUnsafeBytes { bytes in
      try SpillPart.forEach(in: bytes) { key, isHead, fragment in
        try pace.step()
        let place = places[key] ?? keys.count
        if place == keys.count {
          keys.append(key)
          places[key] = place
          fragments.append(([], []))
        }
        if isHead {
          fragments[place].heads.append(fragment)
        } else {
          fragments[place].others.append(fragment)
        }
      }
      for key in sorted ? keys.sorted(by: { $0.name < $1.name }) : keys {
        guard let place = places[key] else { continue }
        let found = fragments[place]
        try body(.begin(key, hasHeads: !found.heads.isEmpty))
        for head in found.heads {
          try pace.step()
          try body(.head(head))
        }
        for fragment in found.others {
          try pace.step()
          try body(.fragment(fragment))
        }
        try body(.end(key))
      }
    }
  }

  /// A part spread over smaller ones: traces by their places, so that they keep their order, all else by name.
  private func divide(_ part: SpillPart, _ pace: inout FinishPace) throws -> Spill {
    let smaller = Spill(
      partCount: Self.division, in: directory, level: level + 1, limits: limits)
    let places = part.traces.map {
      (first: $0.lowerBound, width: ($0.upperBound - $0.lowerBound) / UInt64(Self.division) + 1)
    }
    try part.forEach { key, isHead, fragment in
      try pace.pause()
      let place = places.flatMap { places in key.trace.map { Int(($0 - places.first) / places.width) } }
      try smaller.add(key, part: place, isHead: isHead, fragment)
    }
    return smaller
  }
}

/// One file of a spill, and what is not written to it yet.
final class SpillPart {
  private(set) var waiting: [UInt8] = []
  private(set) var byteCount = 0
  private(set) var hasHeads = false
  private(set) var firstKey: Spill.Key?
  private(set) var isOfOneKey = true
  /// From the first place of a trace to the last.
  private(set) var traces: ClosedRange<UInt64>?
  private var file: FileHandle?

  /// Before a fragment stand the length of its key's name and its own, its trace and that one's origin, and what it is.
  private static let headerByteCount = 25

  func append(_ key: Spill.Key, isHead: Bool, _ fragment: some RandomAccessCollection<UInt8>) {
    if let firstKey { isOfOneKey = isOfOneKey && firstKey == key } else { firstKey = key }
    hasHeads = hasHeads || isHead
    if let trace = key.trace {
      traces = min(traces?.lowerBound ?? trace, trace)...max(traces?.upperBound ?? trace, trace)
    }
    let count = waiting.count
    for count in [key.name.utf8.count, fragment.count] {
      withUnsafeBytes(of: UInt32(count)) { waiting.append(contentsOf: $0) }
    }
    for number in [key.trace ?? 0, key.origin] {
      withUnsafeBytes(of: number) { waiting.append(contentsOf: $0) }
    }
    waiting.append((key.trace == nil ? 0 : 2) | (isHead ? 1 : 0))
    waiting.append(contentsOf: key.name.utf8)
    waiting.append(contentsOf: fragment)
    byteCount += waiting.count - count
  }

  func flush(in directory: String) throws {
    let file = try self.file ?? Self.makeFile(in: directory)
    self.file = file
    try Self.checked { try file.write(contentsOf: waiting) }
    waiting.removeAll(keepingCapacity: true)
  }

  private static func makeFile(in directory: String) throws -> FileHandle {
    let path = "\(directory)/.\(UUID().uuidString).spill"
    guard FileManager.default.createFile(atPath: path, contents: nil),
      let file = FileHandle(forUpdatingAtPath: path)
    else {
      throw HyphaError(
        .fileUnavailable, "no file can be made in \(directory)",
        remedy: "export to a directory that can be written", cause: String(cString: strerror(errno)))
    }
    unlink(path)
    return file
  }

  /// All of it.
  func bytes() throws -> [UInt8] {
    guard let file else { return waiting }
    var all: [UInt8] = []
    all.reserveCapacity(byteCount)
    try Self.checked { try file.seek(toOffset: 0) }
    while let piece = try Self.checked({ try file.read(upToCount: 1 << 20) }), !piece.isEmpty { all += piece }
    all += waiting
    return all
  }

  /// Calls `body` with each fragment, of which it holds a megabyte and one more at a time.
  func forEach(_ body: (Spill.Key, _ isHead: Bool, UnsafeRawBufferPointer) throws -> Void) throws {
    var rest: [UInt8] = []
    if let file {
      try Self.checked { try file.seek(toOffset: 0) }
      while let piece = try Self.checked({ try file.read(upToCount: 1 << 20) }), !piece.isEmpty {
        rest += piece
        let done = try rest.withUnsafeBytes { try Self.forEach(in: $0, body) }
        rest.removeFirst(done)
      }
    }
    _ = try (rest + waiting).withUnsafeBytes { try Self.forEach(in: $0, body) }
  }

  /// Calls `body` with each whole fragment in `bytes`, and returns how many bytes those are.
  @discardableResult
  static func forEach(
    in bytes: UnsafeRawBufferPointer,
    _ body: (Spill.Key, _ isHead: Bool, UnsafeRawBufferPointer) throws -> Void
  ) throws -> Int {
    var place = 0
    while place + headerByteCount <= bytes.count {
      let nameCount = Int(bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
      let count = Int(bytes.loadUnaligned(fromByteOffset: place + 4, as: UInt32.self))
      let trace = bytes.loadUnaligned(fromByteOffset: place + 8, as: UInt64.self)
      let origin = bytes.loadUnaligned(fromByteOffset: place + 16, as: UInt64.self)
      let kind = bytes[place + 24]
      let start = place + headerByteCount
      guard start + nameCount + count <= bytes.count else { break }
      let key = Spill.Key(
        name: String(decoding: bytes[start..<start + nameCount], as: UTF8.self),
        trace: kind & 2 == 0 ? nil : trace, origin: origin)
      place = start + nameCount + count
      try body(key, kind & 1 == 1, UnsafeRawBufferPointer(rebasing: bytes[start + nameCount..<place]))
    }
    return place
  }

  /// Gives the disk back what it has.
  func clear() throws {
    waiting = []
    if let file { try Self.checked { try file.truncate(atOffset: 0) } }
  }

  private static func checked<Value>(_ body: () throws -> Value) throws -> Value {
    do { return try body() } catch {
      throw HyphaError(
        .fileUnavailable, "a temporary file cannot be used", remedy: "make room on the disk of the output",
        cause: "\(error)")
    }
  }
}
