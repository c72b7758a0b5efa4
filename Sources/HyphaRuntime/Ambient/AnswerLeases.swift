import HyphaCore
import HyphaTopology

/// Who is told of an answer: which nodes have a copy of it that their agents may still be given. Pure.
///
/// A node whose agent asked with a bound gets the answer, and each other answer as long as that copy is within the bound: a *lease*.
/// When it is over the node's agents ask again. So nobody is told whose agents ask no more.
///
/// The nodes of a question's *audience*, whose agents use its copies again and again, are told of each answer that agents of one of them
/// have asked for with a bound, unless their copy is young still: so one ask renews the copies of all. Who asks for fresh answers
/// alone renews none. They are told as long as they are its audience.
struct AnswerLeases: Sendable {
  private struct Lease {
    /// When the node was told last, and until when it is told of changes.
    var toldAt: Timestamp
    var until: Timestamp
    /// How old an answer its agents took when they asked last.
    var bound: Duration
  }

  private struct Told {
    var answer: UInt64
    var leases: [NodeID: Lease] = [:]
  }

  /// The most nodes that are told of one question's answers, and the most copies a second; who gets none asks.
  static let nodeCountMax = 64
  static let copiesPerSecondMax = 1_024
  /// How long a copy is taken to be on its way, at the most: nobody gets the same one again meanwhile.
  static let wayMax = Duration.milliseconds(250)

  /// Up to which part of its bound the copy of one of the audience is young: who uses few copies gets no more than two in that time
  /// without asking.
  static let youngDivisor = 2

  private var told: [QuestionKey: Told] = [:]
  private var numbers: [AgentID: UInt64] = [:]
  private var second: (began: Timestamp, copies: Int) = (.zero, 0)

  /// The nodes that are to have an answer.
  ///
  /// - Parameters:
  ///   - answer: its number (``QuestionKey/hash(_:)``).
  ///   - node: where the asker is.
  ///   - bound: how old an answer it takes; nil where it takes none but a fresh one.
  ///   - audience: the nodes that are to have each answer that one of them has asked for with a bound.
  mutating func tell(
    _ key: QuestionKey, answer: UInt64, askedFrom node: NodeID, bound: Duration?, audience: Set<NodeID> = [],
    now: Timestamp
  ) -> [NodeID] {
    var state = told[key] ?? Told(answer: answer)
    state.leases = state.leases.filter { $0.value.until > now || audience.contains($0.key) }
    var nodes: Set<NodeID> = []
    if state.answer != answer { nodes = Set(state.leases.keys) }
    state.answer = answer
    if let bound, bound > .zero, state.leases[node] != nil || state.leases.count < Self.nodeCountMax {
      let isOnItsWay = state.leases[node].map { now.since($0.toldAt) < min(bound / 4, Self.wayMax) } ?? false
      if !isOnItsWay { nodes.insert(node) }
      let until = max(now.adding(bound.wholeMicroseconds), state.leases[node]?.until ?? .zero)
      state.leases[node] = Lease(toldAt: state.leases[node]?.toldAt ?? .zero, until: until, bound: bound)
      for other in audience where other != node && audience.contains(node) {
        // One that has not asked since this began to answer asks first, and says how old an answer may be.
        guard let lease = state.leases[other] else { continue }
        if now.since(lease.toldAt) >= lease.bound / Self.youngDivisor { nodes.insert(other) }
        state.leases[other]?.until = max(lease.until, now.adding(lease.bound.wholeMicroseconds))
      }
    }
    if now.since(second.began) >= .seconds(1) { second = (now, 0) }
    // The asker first: it waits.
    let inOrder = nodes.sorted { ($0 == node ? 0 : 1, $0) < ($1 == node ? 0 : 1, $1) }
    let told = Array(inOrder.prefix(max(0, Self.copiesPerSecondMax - second.copies)))
    second.copies += told.count
    for node in told { state.leases[node]?.toldAt = now }
    self.told[key] = state
    return told
  }

  /// The number of the next copy of an agent's answers.
  mutating func number(of answerer: AgentID) -> UInt64 {
    numbers[answerer, default: 0] += 1
    return numbers[answerer] ?? 1
  }

  /// Forgets questions.
  mutating func drop(where isGone: (QuestionKey) -> Bool) {
    told = told.filter { !isGone($0.key) }
  }
}
