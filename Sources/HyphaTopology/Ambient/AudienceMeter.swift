public import HyphaCore
import Synchronization

/// Counts how often an agent tells the same agents the same thing, one by one, in one call. Any thread.
///
/// Bounded by ``capacity``: a newcomer takes the place of the one that was told least often since the last report but one.
public final class AudienceMeter: Sendable {
  private struct Key: Hashable {
    let author: AgentID
    let type: EventTypeName
    let members: [AgentID]
  }

  private struct State {
    var times: [Key: (now: Int, before: Int)] = [:]
  }

  /// The fewest and the most agents that are told the same for it to count.
  public static let memberCounts = 3...64
  /// The most audiences that are counted, and that are in one report.
  public static let capacity = 64
  public static let countMax = 8

  private let state = Mutex(State())

  public init() {}

  /// Takes note that an event of a type was told to some agents, each by itself.
  public func told(_ members: Set<AgentID>, _ type: EventTypeName, by author: AgentID) {
    guard Self.memberCounts.contains(members.count) else { return }
    let key = Key(author: author, type: type, members: members.sorted())
    state.withLock { state in
      if state.times[key] == nil, state.times.count >= Self.capacity {
        let least = state.times.min { ($0.value.now + $0.value.before) < ($1.value.now + $1.value.before) }
        if let least { state.times[least.key] = nil }
      }
      state.times[key, default: (0, 0)].now += 1
    }
  }

  /// What was counted since the last report, most first.
  public func report() -> [QuestionsReported.Audience] {
    let times = state.withLock { state in
      defer { state.times = state.times.filter { $0.value.now > 0 }.mapValues { (0, $0.now) } }
      return state.times.filter { $0.value.now > 0 }
    }
    let all = times.map { key, times in
      QuestionsReported.Audience(
        author: key.author, type: key.type, members: key.members, times: times.now)
    }
    return Array(
      all.sorted {
        ($1.times * $1.members.count, $0.author, $0.type.text) < (
          $0.times * $0.members.count, $1.author, $1.type.text
        )
      }.prefix(Self.countMax))
  }
}
