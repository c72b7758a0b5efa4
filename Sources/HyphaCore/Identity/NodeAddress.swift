/// Where a node's sockets are.
public enum NodeAddress: Sendable, Hashable {
  /// Unix-domain sockets in a private directory of this machine.
  case local
  /// Four consecutive TCP ports on a host: control, persistent, alert, realtime.
  case tcp(host: String, port: UInt16)
}

extension NodeAddress {
  /// Whether only this machine reaches it, whoever reads the address: Unix-domain sockets, `localhost`, `127.0.0.0/8`
  /// and `::1`. What is not clear counts as reached by others.
  public var isLoopback: Bool {
    guard case .tcp(let host, _) = self else { return true }
    return host == "localhost" || Self.isIPv6(host) && Self.bare(host) == "::1"
      || Self.isIPv4(host) && host.hasPrefix("127.")
  }

  /// Whether it stands for every address of its machine: one can listen there, and nobody can connect to it.
  public var isWildcard: Bool {
    guard case .tcp(let host, _) = self else { return false }
    return ["*", "0.0.0.0", "::", "0:0:0:0:0:0:0:0"].contains(Self.bare(host))
  }

  /// Whether its host is a name that has to be looked up.
  public var isNamed: Bool {
    guard case .tcp(let host, _) = self else { return false }
    return host != "localhost" && host != "*" && !Self.isIPv4(host) && !Self.isIPv6(host)
  }

  /// Four numbers as people write them: with zeros before them they would be read as octal, or looked up as a name.
  private static func isIPv4(_ host: String) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { part in UInt8(part).map { "\($0)" == part } ?? false }
  }

  private static func isIPv6(_ host: String) -> Bool { host.contains(":") }

  private static func bare(_ host: String) -> String {
    host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
  }
}
