import HyphaCore

/// Addresses as topology files and environment variables have them.
extension NodeAddress {
  /// The highest first port of four in a row.
  static let portMax: UInt16 = 65532
  /// The longest host name, as the domain name system has it.
  private static let hostByteCountMax = 253

  /// The address as a topology file has it: `local` or `tcp://HOST:PORT`.
  var fileText: String {
    switch self {
    case .local: "local"
    case .tcp(let host, let port):
      host.contains(":") && !host.hasPrefix("[") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)"
    }
  }

  /// The address that `text` spells: `local`, or a host and the first of four ports. A host is a name, an IPv4 address, or
  /// an IPv6 address in brackets. One to listen at may stand for all addresses of its machine, and cannot be a name.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for any other form, and for a port that leaves no room for four.
  init(fileText text: String, listens: Bool = false) throws {
    if text == "local", !listens {
      self = .local
      return
    }
    guard text.hasPrefix("tcp://"), let colon = text.lastIndex(of: ":"),
      case let host = text[..<colon].dropFirst(6), Self.isHost(host)
    else {
      throw HyphaError(
        .invalidTopology,
        "the address \(quoted(text)) is \(listens ? "not" : "neither 'local' nor") of the form tcp://HOST:PORT",
        remedy: listens ? "write tcp://0.0.0.0:7410" : "write tcp://127.0.0.1:7410, or leave the address out")
    }
    let digits = text[text.index(after: colon)...]
    guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let port = UInt16(digits), (1...Self.portMax).contains(port)
    else {
      throw HyphaError(
        .invalidTopology, "the address \(quoted(text)) has no port from 1 to \(Self.portMax)",
        remedy: "a node takes four ports in a row; write the first")
    }
    self = .tcp(host: String(host), port: port)
    if isWildcard, !listens {
      throw HyphaError(
        .invalidTopology,
        "the address \(quoted(text)) stands for every address of its machine, and nobody can connect "
          + "to that", remedy: "write the address that others use, and beside it 'listen: \(text)'")
    }
    if isNamed, listens {
      throw HyphaError(
        .invalidTopology, "a node cannot listen at the name of \(quoted(text))",
        remedy: "write a numeric address of its machine, or tcp://0.0.0.0:\(port) for all of them")
    }
  }

  private static func isHost(_ host: Substring) -> Bool {
    guard !host.isEmpty, host.utf8.count <= hostByteCountMax else { return false }
    if host == "*" { return true }
    if host.hasPrefix("["), host.hasSuffix("]") {
      let inner = host.dropFirst().dropLast()
      return inner.contains(":") && inner.allSatisfy { $0.isASCII && $0.isHexDigit || $0 == ":" || $0 == "." }
    }
    return host.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }

  /// The ports that a node at this address takes, with the host that they are on.
  var ports: (host: String, range: ClosedRange<Int>)? {
    guard case .tcp(let host, let port) = self else { return nil }
    return (host == "localhost" ? "127.0.0.1" : host, Int(port)...(Int(port) + 3))
  }
}
