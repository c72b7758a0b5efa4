internal import CZeroMQ
public import HyphaCore
public import HyphaTransport

/// Makes link keys with libzmq.
public struct LinkKeys: LinkKeyMaking {
  public init() {}

  public func makePair() throws -> LinkKeyPair {
    var (key, secret) = (Self.room, Self.room)
    defer { Self.wipe(&secret) }
    guard zmq_curve_keypair(&key, &secret) == 0 else { throw Self.failure("zmq_curve_keypair") }
    return LinkKeyPair(key: try LinkKey(Self.text(key)), secret: try LinkSecret(Self.text(secret)))
  }

  public func key(of secret: LinkSecret) throws -> LinkKey {
    var key = Self.room
    guard secret.withText({ zmq_curve_public(&key, $0) }) == 0 else { throw Self.failure("zmq_curve_public") }
    return try LinkKey(Self.text(key))
  }

  /// A key's text and its final zero.
  private static var room: [CChar] { [CChar](repeating: 0, count: LinkKey.textByteCount + 1) }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func wipe(_ characters: inout [CChar]) {
    characters.withUnsafeMutableBytes { hypha_wipe($0.baseAddress, $0.count) }
  }

  private static func failure(_ call: String) -> HyphaError {
    HyphaError(
      .transportFailed, "the ZeroMQ library makes no keys", remedy: "install one that was built with CURVE",
      cause: "\(call): \(String(cString: zmq_strerror(zmq_errno())))")
  }
}
