import HyphaCore
import HyphaTransport

/// Which incarnation of each node is the newest that a node has heard of, and whether it is itself the newest of its own. Pure.
///
/// Invariants, for any sequence of calls:
/// 1. the newest that is known of a node never goes back, and comes from that node: over its own link, with its signature
///    where nodes have keys;
/// 2. a node is superseded only by a newer incarnation of itself, so of any number that hear of each other the newest is left;
/// 3. who is superseded stays so, and says nothing of itself any more.
struct Incarnations: Sendable {
  /// What became of what a node has said of itself.
  enum Heard: Equatable {
    /// It is the newest that is known.
    case known
    /// It was not known, and is to be kept.
    case new
    /// There is a newer one, which the one that said so must hear of.
    case older(than: Incarnation)
    /// It is not that node's word.
    case refused
  }

  /// This node's own; nil before it has begun.
  private(set) var own: Incarnation?
  /// The newest that is known of each node, this one included.
  private(set) var newest: [NodeID: Incarnation] = [:]
  /// The newer one of this node; nil as long as none was heard of.
  private(set) var superseder: Incarnation?
  private var toldAt: Timestamp?

  /// How often a node says what it is. That costs two hundred bytes for each other node.
  static let interval = Duration.seconds(1)

  /// A node that has not begun.
  ///
  /// - Parameter newest: what its log has kept.
  init(newest: [Incarnation] = []) {
    for incarnation in newest { self.newest[incarnation.node] = incarnation }
  }

  /// Begins an incarnation of the node itself.
  mutating func begin(_ incarnation: Incarnation) {
    own = incarnation
    newest[incarnation.node] = incarnation
  }

  /// What another node is to hear now: what this one is, and the newest that it has heard of that one, which whoever has its
  /// address may not be. Nothing where it is not time.
  mutating func due(now: Timestamp, for nodes: [NodeID]) -> [(node: NodeID, Incarnation)] {
    guard let own, superseder == nil, toldAt.map({ now.since($0) >= Self.interval }) ?? true else {
      return []
    }
    toldAt = now
    return nodes.flatMap { node in [own, newest[node]].compactMap { $0.map { (node, $0) } } }
  }

  /// Takes what another node says of itself.
  mutating func heard(
    _ incarnation: Incarnation, from node: NodeID, isSigned: (Incarnation) -> Bool
  ) -> Heard {
    guard incarnation.node == node, node != own?.node else { return .refused }
    if let known = newest[node] {
      if incarnation == known { return .known }
      if incarnation < known { return .older(than: known) }
    }
    guard isSigned(incarnation) else { return .refused }
    newest[node] = incarnation
    return .new
  }

  /// Takes what another node has heard of this one. Returns whether this one is superseded by it now.
  mutating func told(_ incarnation: Incarnation, isSigned: (Incarnation) -> Bool) -> Bool {
    guard let own, superseder == nil, incarnation.node == own.node, incarnation > own, isSigned(incarnation)
    else { return false }
    superseder = incarnation
    return true
  }
}

// MARK: As bytes

extension Incarnations {
  /// The name under which a log keeps them, beside the snapshots of agents.
  static let owner: AgentID = "hypha.incarnations"

  /// What a log keeps of them: each as in its control message.
  var snapshot: [UInt8] {
    get throws {
      let all = newest.values.sorted().map { Base64Bytes(ControlMessage.incarnation($0).encoded()) }
      return Array(try JSON.encode(all))
    }
  }

  /// What a log has kept; nothing where that was written by a version that this one does not read.
  init(decoding bytes: [UInt8]?) {
    let kept = bytes.flatMap { try? JSON.decode([Base64Bytes].self, from: $0) } ?? []
    self.init(
      newest: kept.compactMap {
        guard case .incarnation(let incarnation)? = try? ControlMessage(decoding: $0.bytes) else {
          return nil
        }
        return incarnation
      })
  }
}
