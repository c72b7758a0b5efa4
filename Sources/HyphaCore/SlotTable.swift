/// Which numbers, counted from 0 in the order of their coming, have a hash.
///
/// Open addressing with linear probing, at most half full: a place has half of the hash and the number, so that a search
/// looks at no key but the right one, nearly always.
package struct SlotTable: Sendable {
  private struct Place {
    var hash: UInt32 = 0
    /// One more than the number; 0 where there is none.
    var number: UInt32 = 0
  }

  private var places = [Place](repeating: Place(), count: 64)
  /// The whole hashes, by number, for the table to grow.
  private var hashes: [Int] = []

  /// A table of nothing.
  package init() {}

  /// The first number of this hash that `isRight`.
  package func number(of hash: Int, where isRight: (Int) -> Bool) -> Int? {
    var index = hash & (places.count - 1)
    while places[index].number != 0 {
      let number = Int(places[index].number) - 1
      if places[index].hash == UInt32(truncatingIfNeeded: hash >> 32), isRight(number) { return number }
      index = (index + 1) & (places.count - 1)
    }
    return nil
  }

  /// Gives the next number to a hash.
  package mutating func add(_ hash: Int) {
    hashes.append(hash)
    if hashes.count * 2 > places.count {
      places = [Place](repeating: Place(), count: places.count * 2)
      for number in hashes.indices { put(number) }
    } else {
      put(hashes.count - 1)
    }
  }

  private mutating func put(_ number: Int) {
    let hash = hashes[number]
    var index = hash & (places.count - 1)
    while places[index].number != 0 { index = (index + 1) & (places.count - 1) }
    places[index] = Place(hash: UInt32(truncatingIfNeeded: hash >> 32), number: UInt32(number) + 1)
  }
}
