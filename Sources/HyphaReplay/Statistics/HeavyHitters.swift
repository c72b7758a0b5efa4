/// The keys that occur most often in a stream of any length, in bounded memory: the space-saving sketch (Metwally, Agrawal and
/// El Abbadi, 2005).
///
/// Each count is at most `error` too high and never too low. A key that makes up more than one in ``capacity`` of all is among
/// them for certain. As long as there are no more different keys than ``capacity``, all counts are exact.
public struct HeavyHitters<Key: Hashable & Sendable>: Sendable {
  /// A key and how often it occurred.
  public struct Hit: Sendable {
    /// The key.
    public let key: Key
    /// How often, at most.
    public let count: UInt64
    /// By how much the count may be too high.
    public let error: UInt64
  }

  /// The most keys that are followed.
  public let capacity: Int
  /// How many keys there were in all, each as often as it occurred.
  public private(set) var total: UInt64 = 0
  private var keys: [Key] = []
  private var counts: [UInt64] = []
  private var errors: [UInt64] = []
  /// Where in the heap each key stands.
  private var places: [Key: Int] = [:]

  /// A sketch that follows up to `capacity` keys; at least 1.
  public init(capacity: Int) { self.capacity = max(capacity, 1) }

  /// Whether every count is exact.
  public var isExact: Bool { errors.allSatisfy { $0 == 0 } }

  /// Counts `key` once more, or `weight` times. Logarithmic in the capacity.
  public mutating func add(_ key: Key, weight: UInt64 = 1) {
    total += weight
    if let place = places[key] {
      counts[place] += weight
      sink(place)
    } else if keys.count < capacity {
      keys.append(key)
      counts.append(weight)
      errors.append(0)
      places[key] = keys.count - 1
      rise(keys.count - 1)
    } else {
      // The rarest gives its place up, and with it its count.
      places[keys[0]] = nil
      keys[0] = key
      errors[0] = counts[0]
      counts[0] += weight
      places[key] = 0
      sink(0)
    }
  }

  /// The most frequent keys, the first first; among equals in the order that `precedes` gives.
  public func top(_ count: Int, by precedes: (Key, Key) -> Bool) -> [Hit] {
    keys.indices.map { Hit(key: keys[$0], count: counts[$0], error: errors[$0]) }
      .sorted { $0.count != $1.count ? $0.count > $1.count : precedes($0.key, $1.key) }
      .prefix(count).map { $0 }
  }

  private mutating func exchange(_ left: Int, _ right: Int) {
    keys.swapAt(left, right)
    counts.swapAt(left, right)
    errors.swapAt(left, right)
    places[keys[left]] = left
    places[keys[right]] = right
  }

  private mutating func sink(_ start: Int) {
    var place = start
    while case var child = 2 * place + 1, child < keys.count {
      if child + 1 < keys.count, counts[child + 1] < counts[child] { child += 1 }
      guard counts[child] < counts[place] else { return }
      exchange(place, child)
      place = child
    }
  }

  private mutating func rise(_ start: Int) {
    var place = start
    while place > 0, case let parent = (place - 1) / 2, counts[place] < counts[parent] {
      exchange(place, parent)
      place = parent
    }
  }
}
