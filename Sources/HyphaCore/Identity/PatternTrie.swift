/// A set of patterns, each with values, that finds all values whose pattern matches a subject.
///
/// One walk over the subject's tokens serves every pattern, so a lookup costs about
/// (tokens × branches taken), however many patterns there are.
public struct PatternTrie<Value: Equatable & Sendable>: Sendable {
  private struct Node: Sendable {
    var literals: [Token: Int] = [:]
    var one: Int?
    var values: [Value] = []
    var restValues: [Value] = []
  }

  /// A token that equals another by its bytes, as in ``Pattern/matches(_:)``.
  private struct Token: Hashable {
    let text: Substring

    static func == (left: Token, right: Token) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }
    func hash(into hasher: inout Hasher) { text.hashBytes(into: &hasher) }
  }

  private var nodes: [Node] = [Node()]

  /// The number of values in the set.
  public private(set) var count = 0

  /// An empty set.
  public init() {}

  /// Adds `value` under `pattern`. The same pair may stand more than once.
  public mutating func insert(_ value: Value, for pattern: Pattern) {
    var at = 0
    for token in pattern.tokens {
      if token == ">" {
        nodes[at].restValues.append(value)
        count += 1
        return
      }
      at = token == "*" ? childForAny(of: at) : child(of: at, for: token)
    }
    nodes[at].values.append(value)
    count += 1
  }

  /// Removes one `value` from under `pattern`; returns whether it was there. The pattern's
  /// tokens keep their place in memory, for the next time.
  @discardableResult
  public mutating func remove(_ value: Value, for pattern: Pattern) -> Bool {
    var at = 0
    for token in pattern.tokens {
      if token == ">" { return Self.remove(value, from: &nodes[at].restValues, &count) }
      guard let next = token == "*" ? nodes[at].one : nodes[at].literals[Token(text: token)] else {
        return false
      }
      at = next
    }
    return Self.remove(value, from: &nodes[at].values, &count)
  }

  /// Calls `body` with each value whose pattern matches; the order depends only on the insertions.
  public func forEachMatch(of subject: Subject, _ body: (Value) -> Void) {
    visit(0, subject.tokens[...], body)
  }

  /// All values whose pattern matches `subject`.
  public func matches(_ subject: Subject) -> [Value] {
    var found: [Value] = []
    forEachMatch(of: subject) { found.append($0) }
    return found
  }

  private func visit(_ at: Int, _ rest: ArraySlice<Substring>, _ body: (Value) -> Void) {
    guard let token = rest.first else {
      nodes[at].values.forEach(body)
      return
    }
    nodes[at].restValues.forEach(body)
    if let next = nodes[at].literals[Token(text: token)] { visit(next, rest.dropFirst(), body) }
    if let next = nodes[at].one { visit(next, rest.dropFirst(), body) }
  }

  private mutating func child(of at: Int, for token: Substring) -> Int {
    if let next = nodes[at].literals[Token(text: token)] { return next }
    nodes.append(Node())
    nodes[at].literals[Token(text: token)] = nodes.count - 1
    return nodes.count - 1
  }

  private mutating func childForAny(of at: Int) -> Int {
    if let next = nodes[at].one { return next }
    nodes.append(Node())
    nodes[at].one = nodes.count - 1
    return nodes.count - 1
  }

  private static func remove(_ value: Value, from values: inout [Value], _ count: inout Int) -> Bool {
    guard let index = values.firstIndex(of: value) else { return false }
    values.remove(at: index)
    count -= 1
    return true
  }
}
