public import HyphaCore

/// What a node says of itself before it is told anything.
public struct Greeting: Sendable, Hashable {
  /// The versions of the protocol that this program speaks: sockets, frames, records and control messages together. Version 2 has
  /// packed frames on the realtime channel.
  public static let spokenVersions: ClosedRange<UInt8> = 1...2
  /// The longest version of a program in bytes.
  public static let programByteCountMax = 63

  /// Who it is.
  public var node: NodeID
  /// The protocol versions that it speaks; none is 0.
  public var versions: ClosedRange<UInt8>
  /// The version of its program, for people.
  public var program: String
  /// The version of the topology that it follows.
  public var topologyVersion: UInt32
  /// The fingerprint of that topology.
  public var topologyHash: UInt64

  /// A greeting of its parts; what exceeds ``programByteCountMax`` is cut off.
  public init(
    node: NodeID, versions: ClosedRange<UInt8> = Greeting.spokenVersions, program: String = HyphaVersion.text,
    topologyVersion: UInt32, topologyHash: UInt64
  ) {
    self.node = node
    self.versions = versions
    self.program = program.prefix(bytes: Self.programByteCountMax)
    self.topologyVersion = topologyVersion
    self.topologyHash = topologyHash
  }

  /// This node's answer to the greeting of a peer that the transport knows as `peer`: the highest version that both speak,
  /// or what does not fit and what to do about it.
  ///
  /// - Parameter accepts: whether a node that follows another version or fingerprint of the topology is answered all the same.
  public func answer(
    to other: Greeting, from peer: NodeID, accepts: (UInt32, UInt64) -> Bool = { _, _ in false }
  ) -> ControlMessage {
    guard other.node == peer else {
      return .refused(
        .unauthorized, reason: "node '\(peer)' greets as '\(other.node)'; start it as the node that it is")
    }
    let lowest = max(versions.lowerBound, other.versions.lowerBound)
    let highest = min(versions.upperBound, other.versions.upperBound)
    guard lowest <= highest else {
      let older = versions.upperBound < other.versions.upperBound ? self : other
      return .refused(
        .protocolVersion,
        reason: "\(described) and \(other.described) have none in common; upgrade node '\(older.node)'")
    }
    guard
      other.topologyVersion == topologyVersion && other.topologyHash == topologyHash
        || accepts(other.topologyVersion, other.topologyHash)
    else {
      return .refused(
        .topology,
        reason: "\(topologyDescribed), \(other.topologyDescribed); start both from one topology file")
    }
    return .welcome(node: node, version: highest, program: program, topologyVersion: topologyVersion)
  }

  private var described: String {
    let range =
      versions.count == 1 ? "\(versions.lowerBound)" : "\(versions.lowerBound) to \(versions.upperBound)"
    return "node '\(node)' (\(program.shown(20))) speaks protocol version \(range)"
  }

  private var topologyDescribed: String {
    "node '\(node)' follows topology version \(topologyVersion) (\(String(topologyHash, radix: 16)))"
  }
}

/// What kind of reason a refusal has, for programs. Kinds that a program does not know are like ``other``.
public struct RefusalKind: RawRepresentable, Sendable, Hashable {
  public var rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// What the reason says, and no more.
  public static let other = RefusalKind(rawValue: 0)
  /// The node does not know who asks; as after its restart.
  public static let greetFirst = RefusalKind(rawValue: 1)
  /// There is no version of the protocol that both speak.
  public static let protocolVersion = RefusalKind(rawValue: 2)
  /// The two follow different topologies.
  public static let topology = RefusalKind(rawValue: 3)
  /// The topology does not give that to the node that asks.
  public static let unauthorized = RefusalKind(rawValue: 4)
}
