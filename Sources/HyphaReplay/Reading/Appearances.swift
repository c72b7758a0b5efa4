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
    let name: [UInt8]
    var seen: [Seen]
  }

  /// Lanes by the hash of their name; nearly always one each.
  private var lanes: [Int: [Lane]] = [:]

  /// Whether the event, which now appears in `log`, has not appeared in another one before.
  ///
  /// - Parameter isStated: whether it is an event of the log's own node.
  mutating func isFirst(_ record: RecordView, in log: Int, isStated: Bool) -> Bool {
    let (hash, sequence, id) = (Self.hash(of: record), record.sequence, record.id)
    guard let index = lanes[hash]?.firstIndex(where: { Self.isName($0.name, of: record) }) else {
      let seen = Seen(sequence, id, in: log, isStated: isStated)
      lanes[hash, default: []].append(Lane(name: Self.name(of: record), seen: [seen]))
      return true
    }
    return Self.note(sequence, id, in: log, isStated: isStated, among: &lanes[hash, default: []][index].seen)
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

  private static func target(of record: RecordView) -> UnsafeRawBufferPointer {
    record.addressee.isEmpty ? record.type : record.addressee
  }

  private static func hash(of record: RecordView) -> Int {
    var hasher = Hasher()
    hasher.combine(record.epoch)
    hasher.combine(record.channel.rawValue)
    hasher.combine(bytes: record.agent)
    hasher.combine(bytes: target(of: record))
    return hasher.finalize()
  }

  /// Channel, kind of target, length of the agent's name, epoch, agent, target: no two lanes and epochs have the same.
  private static func name(of record: RecordView) -> [UInt8] {
    var name = [record.channel.rawValue, record.addressee.isEmpty ? 0 : 1, UInt8(record.agent.count)]
    withUnsafeBytes(of: record.epoch) { name.append(contentsOf: $0) }
    name.append(contentsOf: record.agent)
    name.append(contentsOf: target(of: record))
    return name
  }

  private static func isName(_ name: [UInt8], of record: RecordView) -> Bool {
    let (agent, target) = (record.agent, target(of: record))
    guard name.count == 11 + agent.count + target.count, name[0] == record.channel.rawValue,
      name[1] == (record.addressee.isEmpty ? 0 : 1), Int(name[2]) == agent.count
    else { return false }
    return name.withUnsafeBytes { name in
      name.loadUnaligned(fromByteOffset: 3, as: UInt64.self) == record.epoch
        && name[11..<11 + agent.count].elementsEqual(agent)
        && name[(11 + agent.count)...].elementsEqual(target)
    }
  }
}
