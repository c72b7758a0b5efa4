// Whichever module is loaded first has `stat` and `timespec`, and Dispatch does not show them.
import CLMDB
import Dispatch
import HyphaLog
import Synchronization

/// The blocks of a chunk, hashed by as many threads as take part.
///
/// `@unchecked Sendable`: the blocks' bytes are only read, and lie in the map until ``finish()`` has returned, for
/// which its caller keeps the read transaction.
final class BlockHashing: @unchecked Sendable {
  /// A block with the chain's link before it; nil where that is not known.
  struct Job {
    let block: BlockView
    let link: Digest?
  }

  let jobs: [Job]
  private let takenCount = Atomic<Int>(0)
  private let proofs: Mutex<[BlockProof?]>
  private let helpers = DispatchGroup()

  /// A thread takes so many blocks at once.
  private static let blocksPerTurn = 16

  /// Begins to hash on another thread.
  init(_ jobs: [Job]) {
    self.jobs = jobs
    proofs = Mutex(Array(repeating: nil, count: jobs.count))
    DispatchQueue.global(qos: .userInitiated).async(group: helpers) { self.hash() }
  }

  /// Hashes what is left, waits for the other thread, and returns what was found, in the order of the jobs.
  func finish() -> [BlockProof] {
    hash()
    helpers.wait()
    return proofs.withLock { $0.compactMap { $0 } }
  }

  private func hash() {
    while true {
      let begin = takenCount.add(Self.blocksPerTurn, ordering: .relaxed).oldValue
      guard begin < jobs.count else { return }
      let range = begin..<min(begin + Self.blocksPerTurn, jobs.count)
      let found = jobs[range].map { BlockProof($0.block, after: $0.link) }
      proofs.withLock { proofs in
        for (number, proof) in zip(range, found) { proofs[number] = proof }
      }
    }
  }
}
