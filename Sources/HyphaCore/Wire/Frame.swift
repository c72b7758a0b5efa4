/// What travels over a link: a link header that each hop rewrites, then a run of records of one lane.
public struct Frame: Hashable, Sendable {
  /// The agent of the tree that is to take the frame next.
  public var via: AgentID
  /// The version of the topology under which the sender routed it.
  public var topologyVersion: UInt32
  /// How many edges of the tree the records have crossed, this link included.
  public var hops: UInt8
  /// How much of a realtime event's time to live is left; nil means without end.
  public var remaining: Duration?
  /// The records, at least one, all of one lane, in lane order.
  public var records: [Record]

  /// A frame by its parts.
  public init(
    via: AgentID, topologyVersion: UInt32, hops: UInt8, remaining: Duration? = nil, records: [Record]
  ) {
    self.via = via
    self.topologyVersion = topologyVersion
    self.hops = hops
    self.remaining = remaining
    self.records = records
  }

  /// The bytes as ``WireFormat`` lays them out; they begin with the topic that subscribers filter on.
  ///
  /// - Parameter isPacked: whether the records are packed, as protocol version 2 has it; of the realtime channel alone.
  public func encoded(isPacked: Bool = false) -> [UInt8] {
    WireFormat.encodeFrame(self, isPacked: isPacked)
  }

  /// Decodes and verifies a frame.
  ///
  /// - Throws: ``HyphaError/Code/invalidFrame``, ``HyphaError/Code/invalidRecord`` or, beyond `limits`,
  ///   ``HyphaError/Code/tooLarge``.
  public init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws {
    var names = RecordNamesCache()
    try self.init(decoding: bytes, limits: limits, names: &names)
  }

  /// Decodes and verifies a frame whose records' names may have been met before.
  ///
  /// - Parameter versionMax: the highest version of frames that the reader takes.
  public init(
    decoding bytes: [UInt8], limits: WireLimits, versionMax: UInt8 = Frame.versionMax,
    names: inout RecordNamesCache
  ) throws {
    self = try bytes.withUnsafeBytes {
      try WireFormat.decodeFrame($0, in: bytes, limits: limits, versionMax: versionMax, names: &names)
    }
  }

  /// The highest version of frames that this program knows: with packed records.
  public static let versionMax = WireFormat.packedFrameVersion

  /// The topic prefix under which everything for `via` travels, for a subscription.
  public static func topicPrefix(via: AgentID) -> [UInt8] { Array("\(via)/".utf8) }
}
