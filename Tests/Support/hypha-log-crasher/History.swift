import HyphaCore
import HyphaLog

/// What a workload said of itself up to some moment.
///
///   try AGENT EPOCH SEQUENCE             it is about to submit the agent's events up to this one
///   ack AGENT EPOCH SEQUENCE POSITION    they were acknowledged; the last one stands there
///   fail AGENT EPOCH SEQUENCE ERROR      they were refused
struct History {
  struct Activation: Hashable {
    var agent: AgentID
    var epoch: UInt64
  }

  struct Acknowledged: Equatable {
    var activation: Activation
    var sequence: UInt64
  }

  private(set) var tried: [Activation: UInt64] = [:]
  private(set) var acknowledged: [UInt64: Acknowledged] = [:]
  private(set) var head: UInt64 = 0

  mutating func take(_ line: some StringProtocol) {
    let words = line.split(separator: " ")
    guard words.count >= 4, let agent = try? AgentID(String(words[1])), let epoch = UInt64(words[2]),
      let sequence = UInt64(words[3])
    else { return }
    let activation = Activation(agent: agent, epoch: epoch)
    switch words[0] {
    case "try": tried[activation] = max(tried[activation] ?? 0, sequence)
    case "ack":
      guard words.count == 5, let position = UInt64(words[4]) else { return }
      acknowledged[position] = Acknowledged(activation: activation, sequence: sequence)
      head = max(head, position)
    default: break
    }
  }

  /// The first number that no activation has had.
  var nextEpoch: UInt64 { (tried.keys.map(\.epoch).max() ?? 0) + 1 }
}

/// What a log has, or lacks, against its history.
struct Wrong: Error {
  let what: String
}

/// What a log says of its own accord about damage.
struct Found: Error {
  let what: String
}

extension LogReader {
  /// Holds the log against what was appended: all that was acknowledged is there, in its place and as it was;
  /// nothing is there that was not submitted; cursors and snapshots are those of the last events.
  ///
  /// - Throws: ``Found`` or an error of Hypha's where the log itself finds damage; ``Wrong`` where it does not, and
  ///   should have.
  func hold(against history: History) throws {
    let verification = try verify()
    guard verification.isSound else { throw Found(what: verification.findings[0]) }
    var authors: [AgentID: Author] = [:]
    var count: UInt64 = 0
    try scan { entry in
      let header = entry.record.header
      var author = authors[header.agent] ?? Author(header.agent)
      if header.epoch > author.epoch { author.begin(epoch: header.epoch) }
      guard try author.next() == entry.record else {
        throw Wrong(what: "position \(entry.position) has not the next event of \(header.agent)")
      }
      authors[header.agent] = author
      count += 1
      let activation = History.Activation(agent: header.agent, epoch: header.epoch)
      guard header.sequence <= history.tried[activation] ?? 0 else {
        throw Wrong(what: "position \(entry.position) was never submitted")
      }
      let found = History.Acknowledged(activation: activation, sequence: header.sequence)
      if let acknowledged = history.acknowledged[count], acknowledged != found {
        throw Wrong(what: "position \(entry.position) was acknowledged for another event")
      }
      return true
    }
    guard count >= history.head, try head().rawValue == count else {
      throw Wrong(what: "\(count) events are left of \(history.head) acknowledged")
    }
    let cursors = try cursors()
    for author in authors.values {
      guard cursors[author.cursorKey] == author.cursor else {
        throw Wrong(what: "the cursor of \(author.agent) is not that of its last event")
      }
      guard try snapshot(of: author.agent) == author.snapshot else {
        throw Wrong(what: "the snapshot of \(author.agent) is not that of its last event")
      }
    }
    guard cursors.count == authors.count else { throw Wrong(what: "there are \(cursors.count) cursors") }
  }
}
