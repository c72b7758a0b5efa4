/// Bytes in memory that grow at their end. For one thread.
final class GrowingBytes {
  private(set) var start: UnsafeMutableRawPointer
  private(set) var count = 0
  private var capacity: Int

  init(capacity: Int = 1 << 12) {
    self.capacity = capacity
    start = .allocate(byteCount: capacity, alignment: 8)
  }

  deinit { start.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

  /// Makes room for `more` bytes.
  @inline(__always)
  func reserve(_ more: Int) {
    if count &+ more > capacity { grow(more) }
  }

  private func grow(_ more: Int) {
    let larger = max(capacity * 2, count + more)
    let grown = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
    grown.copyMemory(from: start, byteCount: count)
    start.deallocate()
    start = grown
    capacity = larger
  }

  /// Adds an integer, least significant byte first, for which there must be room.
  @inline(__always)
  func add<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
    (start + count).storeBytes(of: value.littleEndian, as: Value.self)
    count &+= MemoryLayout<Value>.size
  }

  /// Adds a number in LEB128, for which there must be room.
  @inline(__always)
  func addVariable(_ value: UInt32) {
    var rest = value
    while rest >= 0x80 {
      (start + count).storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
      count &+= 1
      rest &>>= 7
    }
    (start + count).storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
    count &+= 1
  }

  func add(_ more: UnsafeRawBufferPointer) {
    reserve(more.count)
    guard let source = more.baseAddress else { return }
    (start + count).copyMemory(from: source, byteCount: more.count)
    count += more.count
  }

  /// Counts `more` bytes that were written behind the end, for which there was room.
  func extend(by more: Int) { count += more }

  /// Inserts `gap` bytes of no meaning at `offset`.
  func openGap(_ gap: Int, at offset: Int) {
    reserve(gap)
    (start + offset + gap).copyMemory(from: start + offset, byteCount: count - offset)
    count += gap
  }

  func removeAll() { count = 0 }
}
