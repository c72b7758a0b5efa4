internal import CSodium
public import HyphaCore
public import HyphaTransport

/// Signs with a node's own key and checks signatures with those of the topology.
public struct LinkNotary: Notary {
  private static let signatureByteCount = 64
  private let security: LinkSecurity
  private let keys = LinkKeys()

  /// The notary of the node that `security` is of.
  public init(_ security: LinkSecurity) { self.security = security }

  public func digest(of bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
    crypto_hash_sha256(&digest, bytes, UInt64(bytes.count))
    return digest
  }

  public func sign(_ statement: [UInt8]) -> [UInt8] {
    keys.withSigningKey(of: security.own.secret) { _, signing in
      var signature = [UInt8](repeating: 0, count: Self.signatureByteCount)
      crypto_sign_ed25519_detached(&signature, nil, statement, UInt64(statement.count), signing)
      return signature
    }
  }

  public func hasSigned(_ node: NodeID, _ statement: [UInt8], _ signature: [UInt8]) -> Bool {
    guard let key = security.keys[node], signature.count == Self.signatureByteCount else { return false }
    return crypto_sign_ed25519_verify_detached(signature, statement, UInt64(statement.count), key.bytes) == 0
  }
}
