/// Postings of up to 65,536 events in memory, in the order of the events, and the room to sort them.
///
/// It grows to what was needed once: at most ``TermExtractor/postingCountMax`` postings an event of 8 bytes, twice.
/// For one thread.
final class PostingBuffer {
  private var storage: UnsafeMutablePointer<UInt64>
  private var scratch: UnsafeMutablePointer<UInt64>
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int = 1 << 12) {
    self.capacity = capacity
    storage = .allocate(capacity: capacity)
    scratch = .allocate(capacity: capacity)
  }

  deinit {
    storage.deallocate()
    scratch.deallocate()
  }

  /// Makes room for `more` postings, which ``add(_:)`` then takes without a check.
  func reserve(_ more: Int) {
    guard count + more > capacity else { return }
    let larger = max(capacity * 2, count + more)
    let grown = UnsafeMutablePointer<UInt64>.allocate(capacity: larger)
    grown.update(from: storage, count: count)
    storage.deallocate()
    scratch.deallocate()
    storage = grown
    scratch = .allocate(capacity: larger)
    capacity = larger
  }

  /// Adds a posting. Room must have been reserved.
  @inline(__always)
  func add(_ posting: TermPosting) {
    assert(count < capacity, "room is reserved first")
    storage[count] = posting.rawValue
    count &+= 1
  }

  /// Forgets the postings behind the first `count`.
  func truncate(to count: Int) { self.count = count }

  /// Calls `body` with all postings in ascending order. The buffer has them in another order then.
  func sortAll<Value>(_ body: (UnsafeBufferPointer<UInt64>) throws -> Value) rethrows -> Value {
    let sorted = RadixSort.sort(storage, scratch, count: count)
    return try body(UnsafeBufferPointer(start: sorted, count: count))
  }

  /// Calls `body` with the postings from `start` on in ascending order. The buffer has them as it had.
  func withSorted<Value>(
    from start: Int, _ body: (UnsafeBufferPointer<UInt64>) throws -> Value
  ) rethrows -> Value {
    let count = count - start
    let copy = UnsafeMutablePointer<UInt64>.allocate(capacity: max(count, 1))
    defer { copy.deallocate() }
    copy.update(from: storage + start, count: count)
    return try body(UnsafeBufferPointer(start: RadixSort.sort(copy, scratch, count: count), count: count))
  }
}

/// A radix sort of 64-bit keys whose upper bits are a hash: least significant digit first over the upper 33 bits,
/// and an insertion pass for the rest.
///
/// The input is in ascending order of the lower bits already, and a stable sort keeps that among equal terms, so the
/// insertion pass moves little: terms that share 33 bits of a keyed hash are rare.
enum RadixSort {
  private static let digitBitCount: UInt64 = 11
  private static let lowestBit: UInt64 = 31
  private static let passCount = 3
  private static let bucketCount = 1 << 11

  /// Sorts `count` keys, using `scratch` of the same size.
  ///
  /// - Returns: where the sorted keys are: in one of the two.
  static func sort(
    _ keys: UnsafeMutablePointer<UInt64>, _ scratch: UnsafeMutablePointer<UInt64>, count: Int
  ) -> UnsafeMutablePointer<UInt64> {
    var from = keys
    var to = scratch
    guard count > 1 << digitBitCount else {
      var few = UnsafeMutableBufferPointer(start: keys, count: count)
      few.sort()
      return keys
    }
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: passCount * bucketCount) { places in
      // Room that is not empty has an address.
      let places = places.baseAddress!
      countDigits(keys, count: count, places)
      for pass in 0..<passCount {
        scatter(from, to, count: count, pass, places + pass * bucketCount)
        swap(&from, &to)
      }
    }
    insert(from, count: count)
    return from
  }

  /// How many keys have each digit of each pass.
  private static func countDigits(
    _ keys: UnsafeMutablePointer<UInt64>, count: Int, _ places: UnsafeMutablePointer<UInt32>
  ) {
    places.initialize(repeating: 0, count: passCount * bucketCount)
    for index in 0..<count {
      let key = keys[index]
      places[digit(key, 0)] &+= 1
      places[bucketCount &+ digit(key, 1)] &+= 1
      places[2 &* bucketCount &+ digit(key, 2)] &+= 1
    }
  }

  @inline(__always)
  private static func digit(_ key: UInt64, _ pass: Int) -> Int {
    let shift = lowestBit &+ UInt64(truncatingIfNeeded: pass) &* digitBitCount
    return Int(truncatingIfNeeded: key &>> shift) & (bucketCount &- 1)
  }

  /// Moves the keys to where their digit of this pass belongs; `places` has how many there are of each.
  private static func scatter(
    _ from: UnsafeMutablePointer<UInt64>, _ to: UnsafeMutablePointer<UInt64>, count: Int, _ pass: Int,
    _ places: UnsafeMutablePointer<UInt32>
  ) {
    var sum: UInt32 = 0
    for bucket in 0..<bucketCount {
      let size = places[bucket]
      places[bucket] = sum
      sum &+= size
    }
    for index in 0..<count {
      let key = from[index]
      let bucket = digit(key, pass)
      to[Int(truncatingIfNeeded: places[bucket])] = key
      places[bucket] &+= 1
    }
  }

  private static func insert(_ keys: UnsafeMutablePointer<UInt64>, count: Int) {
    guard count > 1 else { return }
    for index in 1..<count where keys[index] < keys[index - 1] {
      let key = keys[index]
      var place = index
      while place > 0, keys[place - 1] > key {
        keys[place] = keys[place - 1]
        place -= 1
      }
      keys[place] = key
    }
  }
}
