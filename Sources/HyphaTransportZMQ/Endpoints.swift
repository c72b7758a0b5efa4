public import HyphaCore

/// Where one node's four sockets are: one for control messages and one for each channel.
///
/// | address | control | persistent | alert | realtime |
/// |---|---|---|---|---|
/// | `.tcp(host, port)` | `port` | `port + 1` | `port + 2` | `port + 3` |
/// | `.local` | `DIR/<node>.control` | `DIR/<node>.persistent` | `DIR/<node>.alert` | `DIR/<node>.realtime` |
///
/// Computed without a look at the network or the disk.
public struct Endpoints: Sendable, Hashable {
  /// What a socket is for.
  public enum Role: Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// Control messages.
    case control
    /// Frames of one channel.
    case channel(Channel)

    /// Every role, in the order of the ports.
    public static var allCases: [Role] { [.control] + Channel.allCases.map(Role.channel) }

    /// The last part of the socket's file name.
    public var description: String {
      switch self {
      case .control: "control"
      case .channel(let channel): channel.description
      }
    }
  }

  /// The longest path of a Unix-domain socket in bytes: `sun_path` of unix(7) without its final zero.
  public static let pathByteCountMax = 107

  /// The node whose sockets these are.
  public let node: NodeID
  /// Whether the host is an IPv6 address.
  public let isIPv6: Bool
  /// Whether the sockets are files of this machine.
  public let isLocal: Bool
  private let urls: [String]

  /// The endpoints of `node` at `address`.
  ///
  /// - Parameter runtimeDirectory: where Unix-domain sockets are, as an absolute path.
  /// - Throws: ``HyphaError/Code/transportFailed`` when the address leaves no room for the four.
  public init(_ node: NodeID, at address: NodeAddress, runtimeDirectory: String) throws {
    self.node = node
    switch address {
    case .local:
      isIPv6 = false
      isLocal = true
      urls = try Self.localURLs(node, in: runtimeDirectory)
    case .tcp(let host, let port):
      let numeric = Self.numeric(host)
      isIPv6 = numeric.hasPrefix("[")
      isLocal = false
      urls = try Self.tcpURLs(node, host: numeric, port: port)
    }
  }

  /// The endpoint as libzmq takes it: `tcp://127.0.0.1:7410`.
  public subscript(role: Role) -> String {
    switch role {
    case .control: urls[0]
    case .channel(let channel): urls[1 + Int(channel.rawValue)]
    }
  }

  /// The socket's file, where it is one.
  func path(of role: Role) -> String? { isLocal ? String(self[role].dropFirst("ipc://".count)) : nil }

  /// The endpoint as errors name it: `tcp://127.0.0.1:7412 (alert of node ops)`.
  public func description(of role: Role) -> String { "\(self[role]) (\(role) of node \(node))" }

  private static func localURLs(_ node: NodeID, in directory: String) throws -> [String] {
    guard directory.hasPrefix("/") else {
      throw HyphaError(
        .transportFailed, "the runtime directory '\(directory)' is not an absolute path",
        remedy: "give it from / on")
    }
    let base = directory.hasSuffix("/") ? String(directory.dropLast()) : directory
    let names = Role.allCases.map { "/\(node).\($0)" }
    let nameByteCountMax = names.map(\.utf8.count).max() ?? 0
    guard base.utf8.count + nameByteCountMax <= pathByteCountMax else {
      throw HyphaError(
        .transportFailed,
        "the socket paths of node \(node) in \(base) have up to \(base.utf8.count + nameByteCountMax) bytes,"
          + " the system allows \(pathByteCountMax)",
        remedy: "use a runtime directory of at most \(pathByteCountMax - nameByteCountMax) bytes")
    }
    return names.map { "ipc://\(base)\($0)" }
  }

  private static func tcpURLs(_ node: NodeID, host: String, port: UInt16) throws -> [String] {
    guard port > 0, port <= UInt16.max - 3 else {
      throw HyphaError(
        .transportFailed, "node \(node) needs four consecutive ports, \(host):\(port) does not begin four",
        remedy: "give a port from 1 to \(UInt16.max - 3) in the topology file")
    }
    guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ";") }) else {
      throw HyphaError(
        .transportFailed, "the host '\(host)' of node \(node) is no host",
        remedy: "give an address such as 127.0.0.1 in the topology file")
    }
    return (UInt16(0)..<4).map { "tcp://\(host):\(port + $0)" }
  }

  /// libzmq binds to numbers alone, and wants brackets around IPv6.
  private static func numeric(_ host: String) -> String {
    if host == "localhost" { return "127.0.0.1" }
    return host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host
  }
}
