import HyphaTopology

/// Builds the tree of values from libyaml's events, and bounds it.
struct YAMLComposer: ~Copyable {
  /// A value with what it costs to copy it.
  private struct Value {
    var node: DocumentNode
    var nodeCount: Int
    /// 0 for a scalar, 1 for a list of scalars.
    var depth: Int
  }

  /// A list or a mapping that is not at its end yet.
  private struct Open {
    var mark: SourceMark
    var anchor: String?
    var isMapping: Bool
    var elements: [DocumentNode] = []
    var entries: [DocumentNode.Entry] = []
    var key: DocumentNode?
    var keyPlaces: [String: SourceMark] = [:]
    var nodeCount = 1
    var depth = 1
  }

  private var events: YAMLEventReader
  private var anchors: [String: Value] = [:]
  private var stack: [Open] = []
  private var nodeCount = 0

  init(events: consuming YAMLEventReader) { self.events = events }

  /// The one document; what follows it is refused.
  mutating func document() throws(Diagnostic) -> DocumentNode {
    let start = try events.next()
    guard case .documentStart = start.event else {
      throw diagnostic(.start, "the file is empty", "write a document")
    }
    var root: DocumentNode?
    while true {
      let (event, mark) = try events.next()
      switch event {
      case .documentEnd:
        let end = try events.next()
        guard case .streamEnd = end.event, let root else {
          throw diagnostic(end.mark, "the file has a second document", "keep one document in a file")
        }
        return root
      case .documentStart, .streamEnd:
        throw diagnostic(mark, "the document has no end", "check the file")
      case .sequenceStart(let properties):
        try open(properties, at: mark, isMapping: false)
      case .mappingStart(let properties):
        try open(properties, at: mark, isMapping: true)
      case .sequenceEnd, .mappingEnd:
        guard let value = close() else {
          throw diagnostic(mark, "a list or a mapping has no start", "check it")
        }
        if let whole = try place(value) { root = whole }
      case .scalar(let properties, let text, let quoted):
        let isText = try checkTag(properties.tag, at: mark)
        try count(1, at: mark)
        let node = DocumentNode(.scalar(text: text, quoted: quoted || isText), at: mark)
        let value = Value(node: node, nodeCount: 1, depth: 0)
        if let anchor = properties.anchor { anchors[anchor] = value }
        if let whole = try place(value) { root = whole }
      case .alias(let name):
        if let whole = try place(alias(name, at: mark)) { root = whole }
      }
    }
  }

  private mutating func open(_ properties: YAMLEvent.Properties, at mark: SourceMark, isMapping: Bool)
    throws(Diagnostic)
  {
    _ = try checkTag(properties.tag, at: mark)
    try checkDepth(stack.count + 1, at: mark)
    try count(1, at: mark)
    stack.append(Open(mark: mark, anchor: properties.anchor, isMapping: isMapping))
  }

  private mutating func close() -> Value? {
    guard let open = stack.popLast() else { return nil }
    let content: DocumentNode.Content = open.isMapping ? .mapping(open.entries) : .sequence(open.elements)
    let value = Value(
      node: DocumentNode(content, at: open.mark), nodeCount: open.nodeCount, depth: open.depth)
    if let anchor = open.anchor { anchors[anchor] = value }
    return value
  }

  /// What an alias stands for. It shares its memory with the anchor's value, but it counts in full, so
  /// that no reader of the tree meets more than the bound.
  private mutating func alias(_ name: String, at mark: SourceMark) throws(Diagnostic) -> Value {
    guard var value = anchors[name] else {
      guard !stack.contains(where: { $0.anchor == name }) else {
        throw diagnostic(mark, "the alias '*\(name)' stands within its own anchor", "move it out of there")
      }
      throw diagnostic(
        mark, "the alias '*\(name)' has no anchor before it",
        "define '&\(name)' above, or put the text in quotes")
    }
    try checkDepth(stack.count + value.depth, at: mark)
    try count(value.nodeCount, at: mark)
    value.node.mark = mark
    return value
  }

  /// Puts a finished value into what is open; returns it where nothing is.
  private mutating func place(_ value: Value) throws(Diagnostic) -> DocumentNode? {
    guard var open = stack.popLast() else { return value.node }
    open.nodeCount += value.nodeCount
    open.depth = max(open.depth, value.depth + 1)
    if !open.isMapping {
      open.elements.append(value.node)
    } else if let key = open.key {
      open.entries.append(.init(key: key, value: value.node))
      open.key = nil
    } else {
      try checkKey(value.node, &open)
      open.key = value.node
    }
    stack.append(open)
    return nil
  }

  private func checkKey(_ key: DocumentNode, _ open: inout Open) throws(Diagnostic) {
    guard case .scalar(let text, let quoted) = key.content else {
      throw diagnostic(
        key.mark, "a key is a list or a mapping", "use a text as the key; put one with brackets in quotes")
    }
    guard quoted || text != "<<" else {
      throw diagnostic(key.mark, "merge keys ('<<') are not supported", "write the members out")
    }
    if let first = open.keyPlaces.updateValue(key.mark, forKey: text) {
      throw diagnostic(
        key.mark, "the key '\(text.prefix(80))' stands here and on line \(first.line)",
        "rename or remove one of them")
    }
  }

  /// Whether the tag makes a text of a plain scalar.
  private func checkTag(_ tag: String?, at mark: SourceMark) throws(Diagnostic) -> Bool {
    switch tag {
    case nil: return false
    case "!", "tag:yaml.org,2002:str": return true
    case .some(let tag):
      throw diagnostic(mark, "the tag '\(tag.prefix(80))' is not supported", "remove it")
    }
  }

  private mutating func count(_ more: Int, at mark: SourceMark) throws(Diagnostic) {
    nodeCount += more
    guard nodeCount <= YAML.nodeCountMax else {
      throw diagnostic(
        mark, "the file has more than \(YAML.nodeCountMax) values, aliases counted as what they stand for",
        "use fewer aliases, or divide the file")
    }
  }

  private func checkDepth(_ depth: Int, at mark: SourceMark) throws(Diagnostic) {
    guard depth <= YAML.depthMax else {
      throw diagnostic(
        mark, "lists and mappings are nested deeper than \(YAML.depthMax)", "flatten them")
    }
  }

  private func diagnostic(_ mark: SourceMark, _ problem: String, _ remedy: String) -> Diagnostic {
    Diagnostic(file: events.file, mark: mark, problem: problem, remedy: remedy)
  }
}
