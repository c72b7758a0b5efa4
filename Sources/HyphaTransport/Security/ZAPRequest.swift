public import HyphaCore

/// A question of ZeroMQ's authentication protocol (ZAP 1.0, rfc.zeromq.org/spec/27): may a peer that has proved to have
/// the private key behind a public one come in?
///
/// libzmq asks it over an inproc socket when a peer's handshake gets so far; the key and the address are the peer's.
public struct ZAPRequest: Sendable, Hashable {
  /// The most parts that a request of libzmq has.
  public static let partCountMax = 7

  /// What the answer has to repeat.
  public let id: [UInt8]
  /// The peer's address, without its port.
  public let address: String
  /// The peer's public key of CURVE.
  public let key: [UInt8]

  /// A request of its parts, an IPC or NULL peer's excluded.
  ///
  /// - Throws: ``HyphaError/Code/invalidFrame`` where they are no request for CURVE.
  public init(parts: [[UInt8]]) throws {
    guard parts.count == Self.partCountMax, parts[0] == Array("1.0".utf8) else {
      throw HyphaError(.invalidFrame, "a ZAP request is not of version 1.0 with one credential")
    }
    guard parts[5] == Array("CURVE".utf8), parts[6].count == LinkKey.byteCount else {
      throw HyphaError(.invalidFrame, "a ZAP request is not about a CURVE key")
    }
    guard parts[1].count <= 255, parts[3].count <= 255,
      let address = String(validating: parts[3], as: UTF8.self)
    else { throw HyphaError(.invalidFrame, "a ZAP request has a bad id or address") }
    id = parts[1]
    self.address = address
    key = parts[6]
  }

  /// The answer's parts: the node that the peer is from now on, or that it may not come in.
  public func answer(_ node: NodeID?) -> [[UInt8]] {
    let (code, text) = node == nil ? ("400", "unknown key") : ("200", "OK")
    return [Array("1.0".utf8), id, Array(code.utf8), Array(text.utf8), Array((node?.text ?? "").utf8), []]
  }

  /// The answer to what is no request: an error of this end, which lets nobody in.
  public static func failure(id: [UInt8]) -> [[UInt8]] {
    [Array("1.0".utf8), id, Array("500".utf8), Array("no CURVE request".utf8), [], []]
  }
}
