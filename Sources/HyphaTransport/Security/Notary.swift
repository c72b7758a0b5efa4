public import HyphaCore

/// Signs what this node states, and checks what other nodes have signed (Ed25519), each with the key that the topology
/// gives it. Any thread.
public protocol Notary: Sendable {
  /// The SHA-256 of `bytes`: 32 bytes.
  func digest(of bytes: [UInt8]) -> [UInt8]
  /// This node's signature of a statement: 64 bytes. Takes some 50 µs.
  func sign(_ statement: [UInt8]) -> [UInt8]
  /// Whether `signature` is that of `node` under `statement`. Takes some 60 µs.
  func hasSigned(_ node: NodeID, _ statement: [UInt8], _ signature: [UInt8]) -> Bool
}
