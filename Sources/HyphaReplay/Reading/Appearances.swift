import HyphaCore

/// Tells the first appearance of an event among the entries of several logs from its copies. Pure.
///
/// A log has each lane's events in ascending order and leaves none out between two that it has. So of each lane and
/// epoch one range for each log says which of its events were seen there: some hundred bytes, however many they are.
struct Appearances {
  private struct Seen {
    var log: Int
    var first: UInt64
    var last: UInt64
  }

  private struct Lane {
    let name: [UInt8]
    var seen: [Seen]
  }

  /// Lanes by the hash of their name; nearly always one each.
  private var lanes: [Int: [Lane]] = [:]

  /// Whether the event, which now appears in `log`, has not appeared in another one before.
  mutating func isFirst(_ record: RecordView, in log: Int) -> Bool {
    let (hash, sequence) = (Self.hash(of: record), record.sequence)
    let index = lanes[hash]?.firstIndex { Self.isName($0.name, of: record) }
    guard let index else {
      let seen = Seen(log: log, first: sequence, last: sequence)
      lanes[hash, default: []].append(Lane(name: Self.name(of: record), seen: [seen]))
      return true
    }
    return Self.note(sequence, in: log, among: &lanes[hash, default: []][index].seen)
  }

  private static func note(_ sequence: UInt64, in log: Int, among seen: inout [Seen]) -> Bool {
    var isFirst = true
    var isNoted = false
    for index in seen.indices {
      if seen[index].log == log {
        seen[index].last = max(seen[index].last, sequence)
        isNoted = true
      } else if seen[index].first <= sequence, sequence <= seen[index].last {
        isFirst = false
      }
    }
    if !isNoted { seen.append(Seen(log: log, first: sequence, last: sequence)) }
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
