import HyphaCore

/// The newest entries of lanes, or of streams, as a walk over a log meets them.
///
/// Each entry links to the one before it, so most are found by that link, without hashing a name: a note of the link's
/// position says whose newest entry it was, and is held against the name. Names lie one behind the other in one array.
struct NewestEntries {
  /// What tells one lane, or one stream, from the others. Not to outlive the bytes.
  struct Name {
    var channel: UInt8
    var epoch: UInt64
    var agent: UnsafeRawBufferPointer
    /// Beside the agent's own, whether it is an addressee's.
    var isAddressed: Bool
    var other: UnsafeRawBufferPointer
  }

  struct End {
    var position: Position
    var point: LanePoint
    /// The highest of the sequences that were met.
    var sequenceMax: UInt64
    /// Whether none that is gone can be higher.
    var isSequenceMaxKnown: Bool
    var count: UInt64
  }

  /// What a link led to.
  enum Before {
    /// The newest entry.
    case entry(End)
    /// Nothing, and there is nothing.
    case none
    /// Nothing here.
    case elsewhere
    /// Nothing, though there is something.
    case second
  }

  /// A name as it is kept.
  private struct Kept {
    var channel: UInt8
    var isAddressed: Bool
    var epoch: UInt64
    var offset: Int
    var agentByteCount: Int
    var otherByteCount: Int
  }

  private var ends: [End] = []
  private var names: [Kept] = []
  private var nameBytes: [UInt8] = []
  private var numbers = SlotTable()
  /// Whose newest entry stood at a position, by its low bits; a later one takes the place.
  private var notes = [UInt32](repeating: .max, count: 1 << 16)

  var count: Int { ends.count }

  /// Where each ends, by the position of its newest entry.
  var byPosition: [Position: End] {
    Dictionary(ends.map { ($0.position, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Takes the next entry of a name, which links to `link`, and says what that led to.
  ///
  /// - Parameter isHighest: whether its sequence is higher than any before it, as is that of what a node's own agents state.
  mutating func advance(
    from link: Position, to position: Position, point: LanePoint, isHighest: Bool, of name: Name
  ) -> Before {
    guard let number = noted(link, name) ?? found(name) else {
      notes[Self.place(of: position)] = UInt32(truncatingIfNeeded: ends.count)
      ends.append(
        End(
          position: position, point: point, sequenceMax: point.sequence,
          isSequenceMaxKnown: isHighest || link == .start, count: 1))
      return link == .start ? .none : .elsewhere
    }
    notes[Self.place(of: position)] = UInt32(truncatingIfNeeded: number)
    let before = ends[number]
    ends[number] = End(
      position: position, point: point, sequenceMax: max(before.sequenceMax, point.sequence),
      isSequenceMaxKnown: isHighest || before.isSequenceMaxKnown && link == before.position,
      count: before.count + 1)
    if link == before.position { return .entry(before) }
    // Its newest entries may be among those that are gone; then the link is beyond what is known.
    return link > before.position ? .elsewhere : .second
  }

  private static func place(of position: Position) -> Int { Int(position.rawValue & 0xFFFF) }

  /// The number of `name` where its newest entry stands at `link`, and is noted there.
  private func noted(_ link: Position, _ name: Name) -> Int? {
    let number = Int(notes[Self.place(of: link)])
    guard number < ends.count, ends[number].position == link, isKept(name, at: number) else { return nil }
    return number
  }

  /// The number of `name`; nil where it is new, which it is from now on not.
  private mutating func found(_ name: Name) -> Int? {
    var hasher = Hasher()
    hasher.combine(name.channel)
    hasher.combine(name.isAddressed)
    hasher.combine(name.epoch)
    hasher.combine(bytes: name.agent)
    hasher.combine(bytes: name.other)
    let hash = hasher.finalize()
    if let number = numbers.number(of: hash, where: { isKept(name, at: $0) }) { return number }
    numbers.add(hash)
    names.append(
      Kept(
        channel: name.channel, isAddressed: name.isAddressed, epoch: name.epoch, offset: nameBytes.count,
        agentByteCount: name.agent.count, otherByteCount: name.other.count))
    nameBytes.append(contentsOf: name.agent)
    nameBytes.append(contentsOf: name.other)
    return nil
  }

  private func isKept(_ name: Name, at number: Int) -> Bool {
    let kept = names[number]
    guard kept.channel == name.channel, kept.isAddressed == name.isAddressed, kept.epoch == name.epoch,
      kept.agentByteCount == name.agent.count, kept.otherByteCount == name.other.count
    else { return false }
    return nameBytes.withUnsafeBytes { bytes in
      let agent = bytes[kept.offset..<kept.offset + kept.agentByteCount]
      let other = bytes[agent.endIndex..<agent.endIndex + kept.otherByteCount]
      return agent.elementsEqual(name.agent) && other.elementsEqual(name.other)
    }
  }
}
