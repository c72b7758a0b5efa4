import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// Peers keep each other's signed heads.
extension Node {
  /// Signs the log's head now and then, for the logs of all other nodes. The first time of all makes the node's key.
  func lookAfterHeads() {
    do {
      let now = now()
      guard try heads.withLock({ try $0.isDue(now: now, head: log.head()) }),
        let signed = try log.signedHead()
      else { return }
      if topology.presentNodes.count > 1 { state(own: LogHeadSigned(signed), because: nil) }
    } catch {
      note(error)
    }
  }
}
