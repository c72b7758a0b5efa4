import HyphaCore

/// What a log says of its chain at one position.
public enum ChainLink: Hashable, Sendable, Codable {
  /// A block ends there, or a prune did: this is its link, or the anchor.
  case link(Digest)
  /// Everything up to `end` is pruned, and the position lies before it: its link is gone.
  case pruned(end: Position)
  /// The position lies in a range that was damaged, up to `end`: its link is lost.
  case quarantined(end: Position)
  /// No block ends there.
  case none
}

/// Compares a log with a head that somebody kept of it: the check that a node cannot pass by writing its own history
/// again.
///
/// It decides alone; who asks has verified the head's signature, and reads the log.
public enum WitnessCheck {
  /// What a kept head says of the log.
  public enum Finding: Hashable, Sendable {
    /// Everything up to the head's position is what it was when the head was signed.
    case agrees
    /// The log ends before the head: its end was cut off after that, or it was restored from an older copy.
    case behind(head: Position)
    /// The log's history up to the head's position is not the one that was signed. `found` is the link that stands
    /// there now, or nil where no block ends there any more.
    case altered(found: Digest?)
    /// The head is that of another log.
    case otherLog(LogIdentity)
    /// The head was signed with another key than the one that is trusted, so it proves nothing.
    case otherKey(NodePublicKey)
    /// The log is pruned beyond the head's position, up to `end`: the two cannot be compared.
    case pruned(end: Position)
    /// The log is damaged at the head's position, up to `end`: the two cannot be compared.
    case quarantined(end: Position)
  }

  /// Compares `kept` with the log `log`, whose newest entry is at `head`. `link` looks up the log's chain; it is asked
  /// at most once, for the kept head's position.
  ///
  /// - Parameter key: the key that is trusted to sign for the log's node.
  /// - Throws: what `link` throws.
  public static func compare(
    _ kept: SignedHead, log: LogIdentity, key: NodePublicKey, head: Position,
    link: (Position) throws -> ChainLink
  ) rethrows -> Finding {
    guard kept.head.log == log else { return .otherLog(kept.head.log) }
    guard kept.key == key else { return .otherKey(kept.key) }
    guard kept.head.position <= head else { return .behind(head: head) }
    switch try link(kept.head.position) {
    case .link(let found): return found == kept.head.chain ? .agrees : .altered(found: found)
    case .pruned(let end): return .pruned(end: end)
    case .quarantined(let end): return .quarantined(end: end)
    case .none: return .altered(found: nil)
    }
  }
}

extension WitnessCheck.Finding: CustomStringConvertible {
  /// Whether the log is known to hold what was signed.
  public var agrees: Bool { self == .agrees }

  /// What was found and what to do, on one line.
  public var description: String {
    switch self {
    case .agrees: "the chain up to there is the one that was signed"
    case .behind(let head):
      "the log ends at position \(head), before the signed head: its end was cut off, or it was restored from an "
        + "older copy; restore a later copy"
    case .altered(let found):
      "the log was altered at or before the signed head's position ("
        + (found.map { "its chain is \($0) there" } ?? "no block ends there")
        + "); keep the directory as evidence, and restore a copy that agrees"
    case .otherLog(let log):
      "the signed head is that of log \(log.id) of node \(log.node); give a head of this log"
    case .otherKey(let key):
      "the signed head was signed with the key \(key), which is not trusted; ask the node's operator for its key"
    case .pruned(let end):
      "the log is pruned up to position \(end), beyond the signed head; give a later head"
    case .quarantined(let end):
      "the log is damaged up to position \(end), at the signed head too; give a later head, or one before the damage"
    }
  }
}
