import HyphaCore
import HyphaTransport
import Synchronization

/// Which versions of the protocol other nodes speak, by their newest greetings: a node gets nothing that it does not know.
final class PeerVersions: Sendable {
  /// The version of the protocol from which a node takes packed frames on the realtime channel.
  static let packed: UInt8 = 2

  /// The highest version of frames that this node takes.
  let frameVersionMax: UInt8
  private let own: ClosedRange<UInt8>
  private let packing = Mutex<Set<NodeID>>([])
  private let changeCount = Atomic<UInt64>(0)

  /// No other node has greeted.
  init(own: ClosedRange<UInt8>) {
    self.own = own
    frameVersionMax = own.upperBound >= Self.packed ? Frame.versionMax : Frame.versionMax - 1
  }

  /// A node has greeted, whether it fits or not: it may take frames of this one all the same.
  func greeted(_ node: NodeID, _ versions: ClosedRange<UInt8>) {
    note(node, own.overlaps(versions) && min(own.upperBound, versions.upperBound) >= Self.packed)
  }

  /// A node stops: what it speaks when it comes back it says then.
  func forget(_ node: NodeID) { note(node, false) }

  private func note(_ node: NodeID, _ isPacked: Bool) {
    packing.withLock { packing in
      guard packing.contains(node) != isPacked else { return }
      if isPacked { packing.insert(node) } else { packing.remove(node) }
      changeCount.wrappingAdd(1, ordering: .releasing)
    }
  }

  /// Whether a node takes packed frames.
  func takesPacked(_ node: NodeID) -> Bool { packing.withLock { $0.contains(node) } }

  /// How often any answer of ``takesPacked(_:)`` has changed.
  var generation: UInt64 { changeCount.load(ordering: .acquiring) }
}
