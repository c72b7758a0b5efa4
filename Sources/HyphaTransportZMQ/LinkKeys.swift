internal import CSodium
internal import CZeroMQ
public import HyphaCore
public import HyphaTransport

/// Makes nodes' keys with libsodium: an Ed25519 pair of a random seed. CurveZMQ's pair follows from it, by the map between
/// the two forms of the curve, so that a node has one key to keep and one to be known by.
public struct LinkKeys: LinkKeyMaking {
  /// Keys by libsodium.
  public init() {
    // Once in a process; more often does no harm.
    _ = sodium_init()
  }

  public func makePair() throws -> LinkKeyPair {
    var seed = [UInt8](repeating: 0, count: LinkKey.byteCount)
    defer { Self.wipe(&seed) }
    randombytes_buf(&seed, seed.count)
    guard zmq_has("curve") == 1, let secret = LinkSecret(bytes: seed) else {
      throw HyphaError(
        .transportFailed, "the ZeroMQ library knows no CURVE", remedy: "install one that was built with it")
    }
    return LinkKeyPair(key: key(of: secret), secret: secret)
  }

  public func key(of secret: LinkSecret) -> LinkKey { withSigningKey(of: secret) { key, _ in key } }

  public func curveKey(of key: LinkKey) throws -> [UInt8] {
    var curve = [UInt8](repeating: 0, count: LinkKey.byteCount)
    guard crypto_sign_ed25519_pk_to_curve25519(&curve, key.bytes) == 0 else {
      throw HyphaError(
        .invalidName, "the public key \(key) is no point of the curve",
        remedy: "copy the whole line that 'hypha keys show' prints")
    }
    return curve
  }

  /// Calls `body` with the private key of CurveZMQ, which is wiped after it.
  package func withCurveSecret<Result>(of secret: LinkSecret, _ body: ([UInt8]) throws -> Result) rethrows
    -> Result
  {
    try withSigningKey(of: secret) { _, signing in
      var curve = [UInt8](repeating: 0, count: LinkKey.byteCount)
      defer { Self.wipe(&curve) }
      crypto_sign_ed25519_sk_to_curve25519(&curve, signing)
      return try body(curve)
    }
  }

  /// Calls `body` with the Ed25519 pair of a seed; its private half is wiped after it.
  func withSigningKey<Result>(of secret: LinkSecret, _ body: (LinkKey, [UInt8]) throws -> Result) rethrows
    -> Result
  {
    var seed = secret.bytes
    var key = [UInt8](repeating: 0, count: LinkKey.byteCount)
    var signing = [UInt8](repeating: 0, count: 2 * LinkKey.byteCount)
    defer {
      Self.wipe(&seed)
      Self.wipe(&signing)
    }
    crypto_sign_ed25519_seed_keypair(&key, &signing, seed)
    guard let key = LinkKey(bytes: key) else { preconditionFailure("a public key has 32 bytes") }
    return try body(key, signing)
  }

  private static func wipe(_ bytes: inout [UInt8]) { sodium_memzero(&bytes, bytes.count) }
}
