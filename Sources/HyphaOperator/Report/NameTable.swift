/// Names by number, in the order in which they were met, so that a million events need no `String` each. At most ``capacity``;
/// further ones have no number. Pure.
struct NameTable {
  /// The most names.
  let capacity: Int
  private(set) var names: [String] = []
  private var bytes: [[UInt8]] = []
  /// The newest name of each hash, and behind each name the one before it of the same hash, −1 at the end.
  private var newest: [Int: Int32] = [:]
  private var next: [Int32] = []

  init(capacity: Int) { self.capacity = min(capacity, Int(Int32.max)) }

  /// The number of a name; nil for a new one where there is no room.
  mutating func place(of name: UnsafeRawBufferPointer) -> Int? {
    var hasher = Hasher()
    hasher.combine(bytes: name)
    let hash = hasher.finalize()
    let first = newest[hash] ?? -1
    var place = first
    while place >= 0 {
      let known = bytes[Int(place)]
      if known.count == name.count, known.elementsEqual(name) { return Int(place) }
      place = next[Int(place)]
    }
    guard names.count < capacity else { return nil }
    newest[hash] = Int32(names.count)
    next.append(first)
    bytes.append(Array(name))
    names.append(String(decoding: name, as: UTF8.self))
    return names.count - 1
  }

  /// The number of a name; nil for a new one where there is no room.
  mutating func place(of name: String) -> Int? {
    var name = name
    return name.withUTF8 { place(of: UnsafeRawBufferPointer($0)) }
  }
}
