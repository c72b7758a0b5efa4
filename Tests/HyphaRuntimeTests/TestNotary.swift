import HyphaCore
import HyphaTransport
import Synchronization

/// Hashes and signs without a library (FNV-1a): good enough against faults, and not against people.
final class TestNotary: Notary {
  private let node: NodeID
  private let count = Mutex(0)

  init(_ node: NodeID) { self.node = node }

  /// How many statements it has signed.
  var signedCount: Int { count.withLock { $0 } }

  func digest(of bytes: [UInt8]) -> [UInt8] {
    let hash = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    return (0..<32).map { UInt8(truncatingIfNeeded: hash >> UInt64($0 % 8 * 8)) }
  }

  func sign(_ statement: [UInt8]) -> [UInt8] {
    count.withLock { $0 += 1 }
    return signature(of: node, statement)
  }

  func hasSigned(_ node: NodeID, _ statement: [UInt8], _ signature: [UInt8]) -> Bool {
    signature == self.signature(of: node, statement)
  }

  private func signature(of node: NodeID, _ statement: [UInt8]) -> [UInt8] {
    let digest = digest(of: Array(node.text.utf8) + statement)
    return digest + digest
  }
}
