internal import CZeroMQ
internal import HyphaCore
internal import HyphaTransport

/// Lets the nodes of the deployment in, by their keys, and nobody else: the ZAP handler of one libzmq context.
///
/// libzmq asks it when a peer has proved to have the private key behind the public one that it names; from then on
/// each of the peer's messages carries the name that is given here. It is opened before any endpoint is and closed
/// after all of them: libzmq lets everybody in where there is no handler.
final class Authenticator {
  /// Where libzmq looks for the handler (ZAP 1.0).
  private static let endpoint = "inproc://zeromq.zap.01"

  let socket: Socket
  /// The nodes by their public keys of CURVE.
  private let nodes: [[UInt8]: NodeID]

  init(_ security: LinkSecurity, _ context: SocketContext) throws {
    let keys = LinkKeys()
    nodes = Dictionary(
      try security.keys.map { (try keys.curveKey(of: $0.value), $0.key) }, uniquingKeysWith: min)
    socket = try context.socket(ZMQ_REP, name: "the authenticator")
    try socket.set(ZMQ_LINGER, 0)
    try socket.bind(Self.endpoint)
  }

  /// Answers at most `countMax` questions. Returns why peers were refused.
  func answer(upTo countMax: Int) -> [String] {
    var refusals: [String] = []
    guard socket.isReadable else { return refusals }
    for _ in 0..<countMax {
      guard let (parts, _) = socket.receiveNamed(partCountMax: ZAPRequest.partCountMax) else { break }
      do {
        let request = try ZAPRequest(parts: parts)
        let node = nodes[request.key]
        if node == nil {
          refusals.append(
            "a peer at \(request.address.shown(64)) was refused: its CURVE key \(Z85.encode(request.key) ?? "") is no node's of the topology"
          )
        }
        _ = socket.send(parts: request.answer(node))
      } catch {
        refusals.append("a peer was refused: \(error)")
        _ = socket.send(parts: ZAPRequest.failure(id: parts.count > 1 ? parts[1] : []))
      }
    }
    return refusals
  }
}
