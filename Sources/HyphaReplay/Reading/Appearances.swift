import Glibc
import HyphaCore

/// Tells the first appearance of an event among the entries of several logs from its copies. Pure.
///
/// A log has each lane's events in ascending order and leaves none out between two that it has. So of each lane and
/// epoch one range for each log says which of its events were seen there: some hundred bytes, however many they are.
///
/// Lanes of different origins may have one name: those of recordings that were imported, and those of the agent as which
/// each log states its prunes. They are told apart by the ids of their events where they first meet: copies of an event have
/// its time, so in the order of times they come one right after the other; and of two entries that their nodes have stated
/// themselves none is a copy.
struct Appearances {
  /// The events of one lane that were seen in one log.
  private struct Seen {
    let log: Int
    /// Whether they are events of the log's own node.
    let isStated: Bool
    let first: UInt64
    let firstID: EventID
    var last: UInt64
    var lastID: EventID
    /// Which others, by their places up to 63, are known to have other events under the same numbers.
    var strangers: UInt64 = 0

    init(_ sequence: UInt64, _ id: EventID, in log: Int, isStated: Bool) {
      (self.log, self.isStated) = (log, isStated)
      (first, last) = (sequence, sequence)
      (firstID, lastID) = (id, id)
    }

    mutating func note(_ sequence: UInt64, _ id: EventID) {
      if sequence >= last { (last, lastID) = (sequence, id) }
    }

    /// Whether it has an event of this number.
    func has(_ sequence: UInt64) -> Bool { first <= sequence && sequence <= last }

    /// The id of the event with this number, where it is still known.
    func id(of sequence: UInt64) -> EventID? {
      sequence == last ? lastID : sequence == first ? firstID : nil
    }
  }

  private struct Lane {
    /// The lane's name, and the hash of it.
    let (hash, name): (Int, Name)
    var seen: [Seen]
  }

  /// A lane and its epoch: channel, kind of target, epoch, then agent and target, which lie side by side in a record.
  private struct Name {
    let (channel, isAddressed, agentByteCount, epoch): (Channel, Bool, Int, UInt64)
    let text: [UInt8]
  }

  private var lanes: [Lane] = []
  /// The places of lanes by their hashes, with free ones between them; a power of 2 of them, at most half of them taken.
  private var table: [Int32] = Array(repeating: -1, count: 64)

  /// Whether the event, which now appears in `log`, has not appeared in another one before.
  ///
  /// - Parameter isStated: whether it is an event of the log's own node.
  mutating func isFirst(_ record: RecordView, in log: Int, isStated: Bool) -> Bool {
    let (text, sequence, id) = (Self.text(of: record), record.sequence, record.id)
    let hash = Self.hash(of: record, text)
    var slot = hash & (table.count - 1)
    while case let place = Int(table[slot]), place >= 0 {
      if lanes[place].hash == hash, Self.isName(lanes[place].name, of: record, text) {
        return Self.note(sequence, id, in: log, isStated: isStated, among: &lanes[place].seen)
      }
      slot = (slot + 1) & (table.count - 1)
    }
    table[slot] = Int32(lanes.count)
    let name = Name(
      channel: record.channel, isAddressed: !record.addressee.isEmpty, agentByteCount: record.agent.count,
      epoch: record.epoch, text: Array(text))
    lanes.append(
      Lane(hash: hash, name: name, seen: [Seen(sequence, id, in: log, isStated: isStated)]))
    if lanes.count * 2 > table.count { grow() }
    return true
  }

  private mutating func grow() {
    table = Array(repeating: -1, count: table.count * 2)
    for (place, lane) in lanes.enumerated() {
      var slot = lane.hash & (table.count - 1)
      while table[slot] >= 0 { slot = (slot + 1) & (table.count - 1) }
      table[slot] = Int32(place)
    }
  }

  private static func note(
    _ sequence: UInt64, _ id: EventID, in log: Int, isStated: Bool, among seen: inout [Seen]
  ) -> Bool {
    let own: Int
    if let known = seen.firstIndex(where: { $0.log == log && $0.isStated == isStated }) {
      own = known
      seen[own].note(sequence, id)
    } else {
      own = seen.count
      seen.append(Seen(sequence, id, in: log, isStated: isStated))
    }
    var isFirst = true
    for other in seen.indices where seen[other].log != log && seen[other].has(sequence) {
      if isStated && seen[other].isStated || seen[own].strangers >> other & 1 == 1 { continue }
      if let known = seen[other].id(of: sequence), known != id {
        if own < 64, other < 64 {
          seen[own].strangers |= 1 << other
          seen[other].strangers |= 1 << own
        }
      } else {
        isFirst = false
      }
    }
    return isFirst
  }

  /// The agent's name and the target's.
  private static func text(of record: RecordView) -> UnsafeRawBufferPointer {
    let target = record.addressee.isEmpty ? record.type : record.addressee
    return UnsafeRawBufferPointer(
      start: record.agent.baseAddress, count: record.agent.count + target.count)
  }

  private static func hash(of record: RecordView, _ text: UnsafeRawBufferPointer) -> Int {
    var hasher = Hasher()
    hasher.combine(record.epoch << 8 | UInt64(record.channel.rawValue))
    hasher.combine(bytes: text)
    return hasher.finalize()
  }

  private static func isName(_ name: Name, of record: RecordView, _ text: UnsafeRawBufferPointer) -> Bool {
    name.epoch == record.epoch && name.channel == record.channel
      && name.isAddressed == !record.addressee.isEmpty && name.agentByteCount == record.agent.count
      && name.text.count == text.count
      && (text.baseAddress.map { memcmp(name.text, $0, text.count) == 0 } ?? true)
  }
}
