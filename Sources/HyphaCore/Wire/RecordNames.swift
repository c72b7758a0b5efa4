/// The names and texts of records, decoded once for all that have the same.
///
/// Most records of a lane differ from the one before them in numbers and payload alone; such neighbours share
/// this object, and comparing a few dozen bytes finds that out.
public final class RecordNames: Sendable {
  /// The lane: who stated it, on which channel, for whom.
  public let lane: Lane
  /// The one agent that it is for, or nil where it is published to the type's subscribers.
  public let addressee: AgentID?
  /// The event type's stable name.
  public let type: EventTypeName
  /// What it is about.
  public let subject: Subject
  /// On whose authority.
  public let authority: Authority
  /// Where the payload of such a record begins.
  public let payloadOffset: Int

  /// What of a record's bytes these names were decoded from: numbers and lengths, and the texts.
  private let shape: Shape
  private let texts: [UInt8]

  /// The parts of a record's fixed front that go with its names.
  private struct Shape: Equatable {
    private let policyVersion: UInt32
    private let lengths: UInt32
    private let grantLength: UInt8
    private let channel: UInt8
    private let agentLength: UInt8

    init(_ record: UnsafeRawBufferPointer) {
      policyVersion = record.littleEndian(at: 104)
      lengths = record.littleEndian(at: 110)
      grantLength = record[114]
      channel = record[13]
      agentLength = record[15]
    }
  }

  init(_ header: RecordHeader, as record: UnsafeRawBufferPointer) {
    lane = header.lane
    addressee = header.addressee
    type = header.type
    subject = header.subject
    authority = header.authority
    payloadOffset = RecordView.payloadOffset(in: record)
    shape = Shape(record)
    texts = Array(record[WireFormat.recordHeaderByteCount..<payloadOffset])
  }

  /// Whether a checked record has these names.
  func fit(_ record: UnsafeRawBufferPointer) -> Bool {
    guard record.count >= payloadOffset, shape == Shape(record) else { return false }
    return texts.withUnsafeBytes {
      $0.hasBytes(
        of: UnsafeRawBufferPointer(rebasing: record[WireFormat.recordHeaderByteCount..<payloadOffset]))
    }
  }
}

/// Names that were met lately, so that a record that comes alone need not have its own decoded. Bounded; a place
/// is taken by what came last.
public struct RecordNamesCache: Sendable {
  private static let placeCount = 256
  private var places: [RecordNames?] = []
  private var newest: RecordNames?

  /// A cache that knows none.
  public init() {}

  /// The names of a checked record.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord`` when a name breaks its grammar or a text is not UTF-8.
  mutating func names(of view: RecordView) throws(HyphaError) -> RecordNames {
    if let newest, newest.fit(view.bytes) { return newest }
    if places.isEmpty { places = [RecordNames?](repeating: nil, count: Self.placeCount) }
    let texts = UnsafeRawBufferPointer(
      rebasing: view.bytes[WireFormat.recordHeaderByteCount..<view.payloadOffset])
    let place = Int(checksumCRC32C(texts)) % Self.placeCount
    if let known = places[place], known.fit(view.bytes) {
      newest = known
      return known
    }
    let names = try view.names()
    places[place] = names
    newest = names
    return names
  }
}
