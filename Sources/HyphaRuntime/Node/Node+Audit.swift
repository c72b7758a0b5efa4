import HyphaCore
import HyphaTransport
import Synchronization

/// Having what came by way of others confirmed by its origin.
extension Node {
  /// Asks what is due.
  func auditRelays() {
    guard let auditor else { return }
    do {
      for (node, question) in try auditor.questions(now: now()) {
        transport.request(question.encoded(), of: node)
      }
    } catch {
      note(error)
    }
  }

  /// Takes what an origin has signed, and tells the operator where it is not what this node has.
  func takeVoucher(_ voucher: RunVoucher, from node: NodeID) throws {
    for finding in try auditor?.take(voucher, from: node, now: now()) ?? [] {
      switch finding {
      case .contradicted(let own):
        let lane = own.run.lane
        couriers[lane.channel]?.courier.withLock { $0.distrust(lane, now: now()) }
        note(
          "what came of lane \(lane) after \(own.run.after) up to \(own.run.through) is not what node "
            + "'\(voucher.origin)' stated: a node between has changed it, or one that served its copy. It is in this log up to position "
            + "\(own.position); the lane is fetched from its origin alone from now on. Remove that node, and run this "
            + "one with a new log")
      case .disowned(let own):
        note(
          "node '\(voucher.origin)' does not confirm events of lane \(own.run.lane) after \(own.run.after) up to "
            + "\(own.run.through) that came by way of others: it lost them, or never stated them, or not for this node, "
            + "or cannot read them; its own notes say which")
      }
    }
  }
}
