import HyphaCore
import HyphaTransport

/// What libFuzzer calls with each input: hostile bytes on the wire are an error or a value, never a trap, and a value
/// is written as the bytes that it was read from.
///
/// The first byte says what the others are: a record, a frame, a control message or the parts of a ZAP request; and whether
/// their checksums are put right first, without which hardly an input would come past them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ input: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  guard let first = input?.pointee else { return 0 }
  var bytes = Array(UnsafeBufferPointer(start: input, count: count).dropFirst())
  if first & 8 != 0 {
    checkAuthentication(bytes)
    return 0
  }
  let mends = first & 4 == 0
  switch first & 3 {
  case 0, 3:
    if mends { mendRecord(&bytes, at: 0) }
    checkRecord(bytes)
  case 1:
    if mends { mendFrame(&bytes) }
    checkFrame(bytes)
  default:
    if mends { mendControlMessage(&bytes) }
    checkControlMessage(bytes)
  }
  return 0
}

/// Both readers of a record take the same bytes, and see the same in them.
private func checkRecord(_ bytes: [UInt8]) {
  let record = value { try Record(decoding: bytes) }
  bytes.withUnsafeBytes { bytes in
    let view = value { try RecordView(checking: bytes) }
    let header = view.flatMap { view in value { try view.header() } }
    guard let record else { return expect(header == nil, "a view takes what a record does not") }
    expect(header == record.header, "a view's header is not the record's")
    expect(view.map { Array($0.payload) } == Array(record.payload), "a view's payload is not the record's")
    expect(view.flatMap { view in value { try Record(view) } } == record, "a view makes another record")
  }
  guard let record else { return }
  let again = value { try Record(record.header, payload: record.payload) }
  expect(again?.bytes == bytes, "a record is written in other bytes than it was read from")
}

private func checkFrame(_ bytes: [UInt8]) {
  guard let frame = value({ try Frame(decoding: bytes) }) else { return }
  // The longest times to live are all written as the longest.
  if let remaining = frame.remaining, remaining >= .seconds(4_294) { return }
  guard frame.records.isWholeRun else {
    return expect(frame.encoded() == bytes, "a frame is written in other bytes than it was read from")
  }
  // Packed records may say what they need not.
  for isPacked in [true, false] {
    let again = value { try Frame(decoding: frame.encoded(isPacked: isPacked)) }
    expect(again?.records == frame.records, "a packed frame is read back as other records")
  }
}

private func checkControlMessage(_ bytes: [UInt8]) {
  guard let message = value({ try ControlMessage(decoding: bytes) }) else { return }
  expect(message.encoded() == bytes, "a control message is written in other bytes than it was read from")
}

/// Each part of a ZAP request stands after its length. Who is let in is a node of the plan, by its own key.
private func checkAuthentication(_ bytes: [UInt8]) {
  var parts: [[UInt8]] = []
  var rest = bytes[...]
  while let count = rest.popFirst(), parts.count < 9 {
    parts.append(Array(rest.prefix(Int(count))))
    rest = rest.dropFirst(Int(count))
  }
  guard let request = value({ try ZAPRequest(parts: parts) }) else { return }
  expect(LinkKey(bytes: request.key)?.bytes == request.key, "a key is written as another")
  for node in [nil, "hq"] as [NodeID?] {
    let answer = request.answer(node)
    expect(answer.count == 6 && answer[1] == parts[1], "an answer is not to its question")
    expect((answer[2] == Array("200".utf8)) == (node != nil), "an answer says something else")
  }
}

/// What `body` gives, or nil where it throws an error of Hypha's; any other error is a fault.
private func value<Value>(_ body: () throws -> Value) -> Value? {
  do {
    return try body()
  } catch {
    expect(error is HyphaError, "\(error)")
    return nil
  }
}

private func expect(_ isTrue: Bool, _ what: String) {
  if !isTrue { fatalError(what) }
}

// MARK: Checksums

/// Puts right the length and the checksum of a record.
private func mendRecord(_ bytes: inout [UInt8], at start: Int) {
  guard bytes.count - start >= WireFormat.recordHeaderByteCount else { return }
  put(UInt32(bytes.count - start), at: start + 4, in: &bytes)
  put(checksum(bytes[(start + 12)...]), at: start + 8, in: &bytes)
}

/// Puts right the checksums of a frame's header and of its records, as far as their lengths lead.
private func mendFrame(_ bytes: inout [UInt8]) {
  guard let topicEnd = bytes.firstIndex(of: 0), topicEnd + 16 <= bytes.count else { return }
  if bytes[topicEnd + 5] == 2 {
    // The first front is mended, too, and then the whole.
    mendFront(&bytes, at: topicEnd + 16 + 44)
    put(checksum(bytes[..<topicEnd] + bytes[(topicEnd + 5)...]), at: topicEnd + 1, in: &bytes)
    return
  }
  let header = bytes[..<topicEnd] + bytes[(topicEnd + 5)..<(topicEnd + 16)]
  put(checksum(header), at: topicEnd + 1, in: &bytes)
  var start = topicEnd + 16
  while bytes.count - start >= WireFormat.recordHeaderByteCount {
    let claimed = bytes[(start + 4)..<(start + 8)].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard claimed >= WireFormat.recordHeaderByteCount, claimed < bytes.count - start else { break }
    put(checksum(bytes[(start + 12)..<(start + claimed)]), at: start + 8, in: &bytes)
    start += claimed
  }
  mendRecord(&bytes, at: start)
}

/// Puts right the checksum of a record in the midst of others, by the length that it claims.
private func mendFront(_ bytes: inout [UInt8], at start: Int) {
  guard bytes.count - start >= WireFormat.recordHeaderByteCount else { return }
  let claimed = bytes[(start + 4)..<(start + 8)].reversed().reduce(0) { $0 << 8 | Int($1) }
  guard claimed >= WireFormat.recordHeaderByteCount, claimed <= bytes.count - start else { return }
  put(checksum(bytes[(start + 12)..<(start + claimed)]), at: start + 8, in: &bytes)
}

private func mendControlMessage(_ bytes: inout [UInt8]) {
  guard bytes.count >= 8 else { return }
  put(checksum(bytes[8...]), at: 4, in: &bytes)
}

private func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.withUnsafeBytes { checksumCRC32C($0) } }

private func put(_ value: UInt32, at offset: Int, in bytes: inout [UInt8]) {
  withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + 4, with: $0) }
}
