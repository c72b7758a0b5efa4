/// What a good command line obeys, checked once in a test rather than at every start.
extension CommandTree {
  /// The rules that the commands below `root` break, one line each; empty when all is well.
  ///
  /// Every command needs an abstract that ends with a period; every argument a help text; every visible
  /// command without subcommands an example. Each example is split as a shell would and parsed.
  public static func lint(_ root: any Command.Type) -> [String] {
    let tree = CommandTree(root)
    return tree.nodes.flatMap { node in
      (node.violations() + tree.exampleViolations(of: node)).map { "\(node.pathText): \($0)" }
    }
  }

  private func exampleViolations(of node: CommandNode) -> [String] {
    var violations: [String] = []
    if node.children.isEmpty, node.configuration.examples.isEmpty, !node.configuration.isHidden {
      violations.append("has no example")
    }
    for example in node.configuration.examples {
      guard let words = Self.invocation(of: root.name, in: example) else {
        violations.append("the example does not call \(root.name): \(example)")
        continue
      }
      do throws(ParseFailure) {
        if case .run(_, let called) = try CommandParser(tree: self).parse(words), node.children.isEmpty,
          called.path != node.path
        {
          violations.append("the example calls \(called.pathText): \(example)")
        }
      } catch {
        violations.append("the example fails with \"\(error.problem)\": \(example)")
      }
    }
    return violations
  }

  /// The words after `program` in a shell line, up to a pipe, a redirection or the next command.
  static func invocation(of program: String, in line: String) -> [String]? {
    var words: [String] = []
    var word: String?
    var quote: Character?
    var characters = Substring(line)
    scan: while let character = characters.popFirst() {
      switch (character, quote) {
      case (let closing, .some(let open)) where closing == open: quote = nil
      case (_, .some): word = (word ?? "") + String(character)
      case ("'", _), ("\"", _):
        quote = character
        word = word ?? ""
      case ("\\", _): if let next = characters.popFirst() { word = (word ?? "") + String(next) }
      case (" ", _):
        if let finished = word { words.append(finished) }
        word = nil
      case ("|", _), (";", _), ("&", _), (">", _), ("<", _):
        if words.contains(program) { break scan }
        words = []
        word = nil
      default: word = (word ?? "") + String(character)
      }
    }
    if let word { words.append(word) }
    guard let start = words.firstIndex(of: program) else { return nil }
    return Array(words[(start + 1)...])
  }
}

extension CommandNode {
  fileprivate func violations() -> [String] {
    var found: [String] = []
    if name != kebabCase(name) || name.isEmpty || name.contains(" ") {
      found.append("the name is not kebab-case")
    }
    if !configuration.abstract.hasSuffix(".") { found.append("the abstract is not a sentence") }
    if !children.isEmpty, !arguments.isEmpty { found.append("has both subcommands and arguments") }
    for name in repeated(children.map(\.name)) { found.append("has two subcommands \(name)") }
    for name in repeated(options.flatMap(\.spellings)) { found.append("has two options \(name)") }
    for name in repeated(positionals.map(\.displayName)) { found.append("has two arguments \(name)") }
    for argument in arguments {
      let name = argument.displayName
      if argument.help.isEmpty { found.append("\(name) has no help") }
      if argument.role != .positional, argument.names.isEmpty {
        found.append("\(argument.valueName) has no name")
      }
      if argument.role == .flag, argument.defaultText == "true" {
        found.append("\(name) is on by default and needs inverted: true")
      }
      for reserved in ["-h", "--help"] where argument.names.contains(reserved) {
        found.append("\(reserved) is reserved for help")
      }
    }
    for (earlier, later) in zip(positionals, positionals.dropFirst()) {
      if earlier.arity == .repeated { found.append("\(later.displayName) can never be filled") }
      if !earlier.isRequired, later.isRequired {
        found.append("\(later.displayName) is required but follows one that is not")
      }
    }
    return found
  }

  private func repeated(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { !seen.insert($0).inserted }
  }
}
