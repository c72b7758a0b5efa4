public import HyphaCore
import Synchronization

/// Counts the questions that a node's agents answer, and those that they are answered from copies. Any thread.
///
/// Bounded, and of constant cost for an ask: a *space-saving* sketch (Metwally, Agrawal, El Abbadi 2005) of ``capacity`` counters,
/// where a newcomer takes the place of the least of eight and its rank, so that what is asked often stays. What is reported
/// was counted for that question alone: never more than there was.
public final class QuestionMeter: Sendable {
  fileprivate struct Counter {
    var line: QuestionsReported.Line
    /// How often it was asked, or more by as much as those were whose place it took. Halves now and then.
    var rank: Int
    /// The number of the newest answer, and when it was made.
    var answer: (hash: UInt64, at: Timestamp)?
  }

  fileprivate struct State {
    var places: [QuestionKey: Int] = [:]
    var counters: [Counter] = []
    var draw: UInt64 = 0x9E37_79B9_7F4A_7C15
    var reportCount = 0
  }

  /// The most questions that are counted.
  public static let capacity = 512
  /// The most questions of a report.
  public static let lineCountMax = 64
  /// How much of a question is shown to operators.
  public static let sampleByteCountMax = 120
  /// After how many reports ranks halve.
  static let reportsPerHalf = 64

  private let state = Mutex(State())

  /// A meter that has counted nothing.
  public init() {}

  /// Takes note of an answer.
  ///
  /// - Parameters:
  ///   - answer: the number of the answer; nil for one that may not be copied, and is worth no copy then.
  ///   - bound: how old an answer the asker would have taken; nil for none but a fresh one.
  public func answered(
    _ key: QuestionKey, sample: () -> String, answer: UInt64?, at time: Timestamp, bound: Duration?
  ) {
    state.withLock { state in
      state.change(key) { counter in
        counter.line.asks += 1
        if counter.line.sample == nil { counter.line.sample = sample() }
        guard let answer else {
          counter.answer = nil
          return
        }
        defer { counter.answer = (answer, time) }
        guard let before = counter.answer else { return }
        guard before.hash == answer else {
          counter.line.changes += 1
          return
        }
        counter.line.unchanged += 1
        if let bound, time.since(before.at) <= bound { counter.line.repeats += 1 }
      }
    }
  }

  /// Takes note that an agent here has had an answer from a copy.
  public func answeredLocally(_ key: QuestionKey) {
    state.withLock { $0.change(key) { $0.line.local += 1 } }
  }

  /// Takes note of copies that were stated.
  public func stated(_ key: QuestionKey, copies: Int) {
    state.withLock { $0.change(key) { $0.line.stated += copies } }
  }

  /// What was counted since it was last in a report, most first; what has no room stays counted.
  public func lines() -> [QuestionsReported.Line] {
    state.withLock { state in
      state.reportCount += 1
      if state.reportCount % Self.reportsPerHalf == 0 {
        for place in state.counters.indices { state.counters[place].rank /= 2 }
      }
      let due = state.counters.indices.filter { state.counters[$0].line.weight > 0 }.sorted {
        let (first, second) = (state.counters[$0].line, state.counters[$1].line)
        return first.weight == second.weight ? first.key < second.key : first.weight > second.weight
      }
      return due.prefix(Self.lineCountMax).map { place in
        defer { state.counters[place].line = .init(state.counters[place].line.key) }
        return state.counters[place].line
      }
    }
  }
}

extension QuestionMeter.State {
  fileprivate mutating func change(_ key: QuestionKey, _ body: (inout QuestionMeter.Counter) -> Void) {
    let place = place(of: key)
    counters[place].rank += 1
    body(&counters[place])
  }

  private mutating func place(of key: QuestionKey) -> Int {
    if let known = places[key] { return known }
    guard counters.count >= QuestionMeter.capacity else {
      counters.append(.init(line: .init(key), rank: 0))
      places[key] = counters.count - 1
      return counters.count - 1
    }
    var least = next()
    for _ in 1..<8 {
      let other = next()
      if counters[other].rank < counters[least].rank { least = other }
    }
    places[counters[least].line.key] = nil
    counters[least] = .init(line: .init(key), rank: counters[least].rank)
    places[key] = least
    return least
  }

  /// The next of the generator that chooses among counters (an xorshift of a fixed seed).
  private mutating func next() -> Int {
    draw ^= draw << 13
    draw ^= draw >> 7
    draw ^= draw << 17
    return Int(draw % UInt64(counters.count))
  }
}
