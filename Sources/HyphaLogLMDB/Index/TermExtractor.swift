import HyphaCore
import HyphaLog

/// Takes the terms of records, event after event, remembering hashes that were just needed. For one thread.
///
/// | term | of | role |
/// |---|---|---|
/// | id | the event's id | itself, or beginning where it began its conversation |
/// | id | its cause, where it has one | below |
/// | id | its conversation, unless that is its own id | conversation |
/// | agent, stream, lane, type | its agent, … | itself |
/// | channel | its channel, unless persistent | itself |
/// | subject | the whole subject | itself |
/// | subject | its first one, two and three tokens, where it has more | below |
///
/// Ids of all three meanings share a term, so an event, its effects and its conversation mostly cost one row.
final class TermExtractor {
  /// The most postings of one event.
  static let postingCountMax = 3 + 5 + 1 + LogTerm.subjectPrefixTokenCountMax

  private let hash: TermHash
  private let channelHashes: [UInt64]
  private let names = TextCache()
  private let subjects = TextCache()
  private let ids: UnsafeMutablePointer<(id: EventID, hash: UInt64)>
  private static let idCountLog2: UInt64 = 10

  init(hash: TermHash) {
    self.hash = hash
    channelHashes = Channel.allCases.map { hash.channel($0) }
    ids = .allocate(capacity: 1 << Int(Self.idCountLog2))
    ids.initialize(repeating: (.none, hash.of(EventID.none)), count: 1 << Int(Self.idCountLog2))
  }

  deinit { ids.deallocate() }

  /// Adds the postings of `record`, which stands `offset` behind the first position of `buffer`.
  func add(_ record: RecordView, offset: UInt16, to buffer: PostingBuffer) {
    buffer.reserve(Self.postingCountMax)
    addIDs(of: record, offset: offset, to: buffer)
    let channel = record.channel
    let agent = name(record.agent)
    let type = name(record.type)
    let addressee = record.addressee
    let target = addressee.isEmpty ? type : name(addressee)
    buffer.add(.init(hash: TermHash.mix(agent, .agent), offset: offset, role: .itself))
    let stream = TermHash.stream(agent: agent, epoch: record.epoch, channel: channel)
    buffer.add(.init(hash: stream, offset: offset, role: .itself))
    let lane = TermHash.lane(
      agent: agent, channel: channel, target: target, isAddressed: !addressee.isEmpty)
    buffer.add(.init(hash: lane, offset: offset, role: .itself))
    buffer.add(.init(hash: TermHash.mix(type, .type), offset: offset, role: .itself))
    if channel != .persistent {
      buffer.add(.init(hash: channelHashes[Int(channel.rawValue)], offset: offset, role: .itself))
    }
    addSubject(record.subject, offset: offset, to: buffer)
  }

  @inline(__always)
  private func addIDs(of record: RecordView, offset: UInt16, to buffer: PostingBuffer) {
    let (id, causation, correlation) = (record.id, record.causation, record.correlation)
    let begins = id == correlation
    buffer.add(.init(hash: self.id(id), offset: offset, role: begins ? .beginning : .itself))
    if causation != .none { buffer.add(.init(hash: self.id(causation), offset: offset, role: .below)) }
    if !begins { buffer.add(.init(hash: self.id(correlation), offset: offset, role: .conversation)) }
  }

  @inline(__always)
  private func id(_ id: EventID) -> UInt64 {
    let spread = (id.low ^ id.high) &* 0x9E37_79B9_7F4A_7C15
    let slot = Int(truncatingIfNeeded: spread &>> (64 - Self.idCountLog2))
    if ids[slot].id == id { return ids[slot].hash }
    let found = hash.of(id)
    ids[slot] = (id, found)
    return found
  }

  @inline(__always)
  private func name(_ text: UnsafeRawBufferPointer) -> UInt64 {
    names.values(of: text) { hashes in
      hashes[0] = hash.of(text)
      return 1
    }[0]
  }

  @inline(__always)
  private func addSubject(_ text: UnsafeRawBufferPointer, offset: UInt16, to buffer: PostingBuffer) {
    let hashes = subjects.values(of: text) { hashes in
      hashes[0] = TermHash.mix(hash.of(text), .subject)
      var count = 1
      for place in 0..<text.count where text[place] == UInt8(ascii: ".") {
        guard count <= LogTerm.subjectPrefixTokenCountMax else { break }
        hashes[count] = TermHash.mix(hash.of(UnsafeRawBufferPointer(rebasing: text[..<place])), .subject)
        count += 1
      }
      return count
    }
    buffer.add(.init(hash: hashes[0], offset: offset, role: .itself))
    for hash in hashes.dropFirst() { buffer.add(.init(hash: hash, offset: offset, role: .below)) }
  }
}

/// The hashes of texts that were met lately, each in the one slot that its bytes lead to.
///
/// The slot is found without the key: texts made to share one are hashed anew each time, which costs what it would cost
/// without a cache. Texts of more than 48 bytes are not kept.
private final class TextCache {
  static let valueCountMax = 1 + LogTerm.subjectPrefixTokenCountMax
  private static let textByteCountMax = 48
  private static let slotCountLog2: UInt64 = 10
  /// Count of text, count of values, text, values.
  private static let slotByteCount = 96
  private let slots: UnsafeMutableRawPointer
  /// Where the values of a text are that is not kept.
  private let passing: UnsafeMutablePointer<UInt64>

  init() {
    let byteCount = Self.slotByteCount << Int(Self.slotCountLog2)
    slots = .allocate(byteCount: byteCount, alignment: 8)
    slots.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    passing = .allocate(capacity: Self.valueCountMax)
  }

  deinit {
    slots.deallocate()
    passing.deallocate()
  }

  /// The hashes of `text`, good until the next call; where they are not known, `make` gives them and says how many.
  @inline(__always)
  func values(
    of text: UnsafeRawBufferPointer, make: (UnsafeMutablePointer<UInt64>) -> Int
  ) -> UnsafeBufferPointer<UInt64> {
    guard let start = text.baseAddress, text.count <= Self.textByteCountMax else {
      return UnsafeBufferPointer(start: passing, count: make(passing))
    }
    let slot = slots + Self.slotByteCount &* slotIndex(start, text.count)
    let values = (slot + 16 + Self.textByteCountMax).assumingMemoryBound(to: UInt64.self)
    let stated = slot.load(as: UInt64.self)
    if Int(truncatingIfNeeded: stated & 0xFF) == text.count, Self.areEqual(slot + 16, start, text.count) {
      return UnsafeBufferPointer(start: values, count: Int(truncatingIfNeeded: stated &>> 8))
    }
    let count = make(values)
    (slot + 16).copyMemory(from: start, byteCount: text.count)
    slot.storeBytes(of: UInt64(count) << 8 | UInt64(text.count), as: UInt64.self)
    return UnsafeBufferPointer(start: values, count: count)
  }

  @inline(__always)
  private func slotIndex(_ text: UnsafeRawPointer, _ count: Int) -> Int {
    var hash = UInt64(count)
    var place = 0
    while place &+ 8 <= count {
      hash = (hash ^ text.loadUnaligned(fromByteOffset: place, as: UInt64.self)) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash &>> 29
      place &+= 8
    }
    while place < count {
      hash = (hash ^ UInt64(text.load(fromByteOffset: place, as: UInt8.self))) &* 0x9E37_79B9_7F4A_7C15
      place &+= 1
    }
    return Int(truncatingIfNeeded: hash &>> (64 - Self.slotCountLog2))
  }

  @inline(__always)
  private static func areEqual(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ count: Int) -> Bool {
    var place = 0
    while place &+ 8 <= count {
      guard
        left.loadUnaligned(fromByteOffset: place, as: UInt64.self)
          == right.loadUnaligned(fromByteOffset: place, as: UInt64.self)
      else { return false }
      place &+= 8
    }
    while place < count {
      guard
        left.load(fromByteOffset: place, as: UInt8.self) == right.load(fromByteOffset: place, as: UInt8.self)
      else { return false }
      place &+= 1
    }
    return true
  }
}
