public import HyphaCore
public import HyphaLog
public import HyphaTopology
import HyphaTransport
import Synchronization

/// Revisions of the topology file on one node: what it runs under, and what operators want to apply.
extension Node {
  /// What a node is to run under, as its log has it: the newest revision that it knows, or the file.
  public struct Current: Sendable {
    /// Without moves (``Node/placed(_:by:)``).
    public let topology: Topology
    /// The file that it is from; nil where there is none.
    public let file: TopologyText?
    /// What is to be said to the operator.
    public let note: String?
  }

  /// What a node is to run under that was started with a topology file.
  ///
  /// - Parameters:
  ///   - text: the file that `filed` is from; nil where there is none, and then there are no revisions.
  ///   - followsLog: whether the node is to run under what its log has where the file is another one.
  /// - Throws: ``HyphaError/Code/invalidTopology`` where the log has a newer revision and the file is none that it knows; what
  ///   reading the log and the files throws.
  public static func current(
    _ filed: Topology, _ text: TopologyText?, by log: any EventLog, followsLog: Bool = false
  ) throws -> Current {
    guard let text else { return Current(topology: filed, file: nil, note: nil) }
    let revisions = try MoveReading(log).revisions
    guard let newest = revisions.newest else {
      guard followsLog, let kept = try KeptFile.read(in: log), kept.text != text.text,
        case let known = try text.read(kept.text), known.hash != filed.hash
      else { return Current(topology: filed, file: text, note: nil) }
      return Current(
        topology: known, file: TopologyText(kept.text, read: text.read),
        note:
          "the topology file has changed and was not applied: this node runs under the one that it began with"
      )
    }
    switch try revisions.taking(filed, followsLog: followsLog, read: text.read) {
    case .runs(let topology, let isOther):
      return Current(
        topology: topology, file: TopologyText(newest.file, read: text.read),
        note: isOther
          ? "this node runs under revision \(newest.revision) of the topology file, and was started with another one: start it with the newest"
          : nil)
    case .differs(let known):
      let all = DeploymentOutline(known).differences(from: DeploymentOutline(filed))
      throw HyphaError(
        .invalidTopology,
        "the log of node '\(log.identity.node)' is under revision \(newest.revision) of the topology file, and the file is none that it knows: "
          + all.prefix(3).joined(separator: ", "),
        remedy:
          "see what would change with 'hypha topology plan', and apply it to the running deployment with 'hypha topology apply'; or start the node with --as-logged"
      )
    }
  }

  /// How long two nodes may follow different topologies before operators are told: while a file is applied they do for a moment.
  private static let unlikePatience = Duration.seconds(5)

  /// Whether operators are told of a refusal now.
  func tells(_ kind: RefusalKind, of node: NodeID) -> Bool {
    guard kind == .topology, configuration.file != nil else { return true }
    let now = now()
    return desks.moves.state.withLock { state in
      let since = state.unlike[node] ?? now
      state.unlike[node] = since
      return now.since(since) >= Self.unlikePatience
    }
  }

  /// The node's file for its log to keep.
  func keptFile() throws -> [AgentID: [UInt8]] {
    guard let file = configuration.file else { return [:] }
    return try KeptFile(text: file.text, revision: topology.revision).snapshot(in: log)
  }

  /// Asks for another topology file to be applied, on an operator's authority. When the call returns the wish is on its way into
  /// the log; the answer, ``TopologyRevised`` or ``RevisionRefused``, is an event that has this one as its cause.
  ///
  /// - Parameters:
  ///   - revision: the newest that the operator knows.
  ///   - lost: the nodes that leave and that nobody is to wait for.
  /// - Throws: ``HyphaError/Code/usage`` for a file that no record has room for.
  public func apply(
    _ file: String, after revision: UInt32, by principal: AgentID, note: String?, lost: [NodeID] = []
  ) throws -> EventID {
    guard file.utf8.count <= RevisionEvents.byteCountMax else {
      throw HyphaError(
        .usage, "the topology file has \(file.utf8.count) bytes",
        remedy: "keep it to \(RevisionEvents.byteCountMax); leave comments out")
    }
    let authority = Authority(principal: principal, grant: "operator", policyVersion: topology.version)
    return state(
      own: RevisionAsked(file: file, after: revision, note: note, lost: lost), because: nil,
      authority: authority)
  }

  /// Answers what operators want to apply, on the node that orders revisions.
  func answerRevisions() {
    guard mayOrder else { return }
    typealias Next = (asked: RevisionAsked, cause: Cause, reading: MoveReading)
    while true {
      let next = desks.moves.state.withLock { state -> Next? in
        guard !state.isRevised,
          let (asked, cause) = state.reading.unansweredRevisions.first(where: {
            !state.given.contains($0.cause.event)
          })
        else { return nil }
        state.given.insert(cause.event)
        // Nothing else is ordered until the answer is there.
        state.isRevised = true
        return (asked, cause, state.reading)
      }
      guard let next else { return }
      var moves = next.reading.moves
      for order in desks.moves.state.withLock({ $0.ordered }) { moves.take(order, at: .zero) }
      switch answer(to: next.asked, next.reading, moves) {
      case nil:
        // Later.
        return desks.moves.state.withLock { state in
          state.given.remove(next.cause.event)
          state.isRevised = false
        }
      case .revised(let order): return _ = state(own: order, because: next.cause)
      case .refused(let refusal):
        state(own: refusal, because: next.cause)
        desks.moves.state.withLock { $0.isRevised = false }
        answerMoves()
      }
    }
  }

  /// The answer to a wish; nil where it has to wait.
  private func answer(to asked: RevisionAsked, _ reading: MoveReading, _ moves: AgentMoves)
    -> Revisions.Answer?
  {
    guard let file = configuration.file else {
      return .refused(RevisionRefused(reasons: ["node '\(routes.node)' was started without a topology file"]))
    }
    do {
      let (known, heard) = desks.topology.state.withLock { ($0.live.version, $0.heardTerm) }
      let version = max(
        known, desks.topology.seat.withLock { $0?.version ?? 0 },
        heard > SeatTerm.of(known) ? SeatTerm.firstVersion(of: heard) : 0)
      let answer = reading.revisions.answer(
        to: asked, now: (file.text, try file.read(file.text)), new: try file.read(asked.file),
        running: topology, moves: moves, departures: reading.departures, version: version,
        isKnownToAll: nodesBehind.isEmpty)
      guard case .revised(let order) = answer else { return answer }
      if let reason = obstacle(toGivingUp: asked.lost ?? []) {
        return .refused(RevisionRefused(reasons: [reason]))
      }
      // Nobody orders before that one does.
      switch order.seat == routes.node ? .up : standing(of: order.seat) {
      case .up: return answer
      case .unknown: return nil
      case .down, .left, .suspected:
        return .refused(
          RevisionRefused(reasons: [
            "node '\(order.seat)' is to order moves and files in the place of '\(routes.node)', and is not there; start it first"
          ]))
      }
    } catch {
      return .refused(RevisionRefused(reasons: ["the file cannot be read: \(error)"]))
    }
  }

  /// Why nodes cannot be given up: who has ordered before and leaves is the only one that tells of the file by which it leaves to nodes
  /// that do not follow it yet.
  private func obstacle(toGivingUp lost: [NodeID]) -> String? {
    guard let node = lost.first(where: topology.hasOrdered), let other = nodesBehind.first else { return nil }
    return
      "node '\(node)' cannot be given up: node '\(other)' has not been heard under revision \(topology.revision), of which '\(node)' alone can tell it; start both, or give up '\(other)', too"
  }

  /// The nodes that stay, and that have not been heard under the file that this one runs under.
  private var nodesBehind: [NodeID] {
    topology.stayingNodes.map(\.id).filter { $0 != routes.node && !server.isAlike($0) }
  }
}
