import Dispatch
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization

/// Appends of every shape, in rounds: lone events, many batches at once, a large batch, a batch of no events. Each
/// round waits for all its batches.
struct Workload {
  private struct Submission {
    var author: Int
    var batch: LogBatch
    var epoch: UInt64
    var sequence: UInt64
  }

  private let log: LMDBLog
  private var random: SeededGenerator
  private var authors: [Author] = []
  private static let agents: [AgentID] = ["ana", "bob", "cy", "dee"]

  init(_ log: LMDBLog, epoch: UInt64, seed: UInt64) throws {
    self.log = log
    random = SeededGenerator(seed: seed, name: "\(epoch)")
    for agent in Self.agents { authors.append(try Author(agent, epoch: epoch, in: log)) }
  }

  /// Works until the rounds are over.
  ///
  /// - Parameter triesAgain: whether what was refused is submitted once more; asked with how often it was already.
  mutating func run(roundCount: Int, triesAgain: (Int) -> Bool) throws {
    for round in 0..<roundCount {
      var refused = submit(try nextRound(isFirst: round == 0))
      var tryCount = 1
      while !refused.isEmpty {
        guard triesAgain(tryCount) else { return say("end") }
        refused = submit(refused)
        tryCount += 1
      }
    }
    say("done")
  }

  /// - Parameter isFirst: one small event then, which is acknowledged before anything else was made durable along with
  ///   a larger one.
  private mutating func nextRound(isFirst: Bool) throws -> [Submission] {
    func sizes(_ count: Int, _ range: ClosedRange<Int>) -> [Int] {
      (0..<count).map { _ in Int.random(in: range, using: &random) }
    }
    let counts: [Int] =
      switch isFirst ? 0 : random.next() % 8 {
      case 0, 1, 2: [1]
      case 3, 4: sizes(4, 1...6)
      case 5: sizes(12, 1...3)
      case 6: [40]
      default: [0]
      }
    let begin = Int.random(in: 0..<authors.count, using: &random)
    return try counts.indices.compactMap { index in
      let author = (begin + index) % authors.count
      // An agent without events has no cursor either.
      guard counts[index] > 0 || authors[author].sequence > 0 else { return nil }
      let batch = try authors[author].batch(counts[index])
      return Submission(
        author: author, batch: batch, epoch: authors[author].epoch, sequence: authors[author].sequence)
    }
  }

  /// Submits all at once and waits; returns what was refused, in its order.
  private func submit(_ submissions: [Submission]) -> [Submission] {
    let refused = Mutex<[Int]>([])
    let group = DispatchGroup()
    for (index, submission) in submissions.enumerated() {
      let name = "\(authors[submission.author].agent) \(submission.epoch) \(submission.sequence)"
      let count = UInt64(submission.batch.appends.count)
      say("try \(name)")
      group.enter()
      log.submit(submission.batch) { result in
        switch result {
        case .success(let receipt):
          if count > 0 { say("ack \(name) \(receipt.first.rawValue + count - 1)") }
        case .failure(let error):
          say("fail \(name) \(error)")
          refused.withLock { $0.append(index) }
        }
        group.leave()
      }
    }
    group.wait()
    return refused.withLock { $0.sorted().map { submissions[$0] } }
  }
}

/// `work DIR EPOCH SEED ROUNDS`: what the log refuses four times ends the work. A batch may share the failure of the group
/// that it was planned behind.
func work(_ directory: String, epoch: UInt64, seed: UInt64, roundCount: Int) throws {
  let log = try openLog(directory)
  var workload = try Workload(log, epoch: epoch, seed: seed)
  try workload.run(roundCount: roundCount) { $0 < 4 }
  log.close()
}

/// `strain DIR EPOCH SEED`: works without end; where the log refuses, prints `full` and waits for a line of input.
func strain(_ directory: String, epoch: UInt64, seed: UInt64) throws {
  let log = try openLog(directory)
  var workload = try Workload(log, epoch: epoch, seed: seed)
  try workload.run(roundCount: .max) { _ in
    say("full")
    return readLine() != nil
  }
  log.close()
}
