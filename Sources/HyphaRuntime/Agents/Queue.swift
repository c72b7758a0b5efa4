/// First in, first out, at a constant cost per element.
struct Queue<Element> {
  private var elements: [Element] = []
  private var front = 0

  var count: Int { elements.count - front }
  var isEmpty: Bool { count == 0 }
  var first: Element? { isEmpty ? nil : elements[front] }

  mutating func append(_ element: Element) { elements.append(element) }

  /// Puts elements before all others.
  mutating func prepend(_ more: some Collection<Element>) {
    elements.replaceSubrange(..<front, with: more)
    front = 0
  }

  mutating func take(upTo limit: Int) -> [Element] {
    let count = min(limit, count)
    var taken: [Element] = []
    taken.reserveCapacity(count)
    // A slice of all would share the storage, and have it copied next.
    for index in front..<front + count { taken.append(elements[index]) }
    drop(count)
    return taken
  }

  mutating func takeFirst() -> Element? {
    guard let first else { return nil }
    drop(1)
    return first
  }

  /// Forgets the first elements, which there are.
  mutating func drop(_ count: Int) {
    front += count
    // Moving the rest only when half is used up keeps the cost constant.
    guard front * 2 >= elements.count else { return }
    elements.removeFirst(front)
    front = 0
  }

  /// Changes the first element in place.
  mutating func withFirst<Result>(_ body: (inout Element) -> Result) -> Result? {
    isEmpty ? nil : body(&elements[front])
  }

  /// Changes the last element in place.
  mutating func withLast<Result>(_ body: (inout Element) -> Result) -> Result? {
    isEmpty ? nil : body(&elements[elements.count - 1])
  }

  /// What is queued, the oldest first.
  var all: ArraySlice<Element> { elements[front...] }
}

extension Queue: Sendable where Element: Sendable {}
