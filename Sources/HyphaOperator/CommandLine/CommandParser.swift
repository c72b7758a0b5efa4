internal import HyphaCore

/// Turns the words of a command line into a command whose properties hold its arguments.
///
/// The words before the first that is no subcommand select the command; the rest are its arguments.
/// `--help` anywhere before `--` wins over every mistake beside it.
struct CommandParser {
  let tree: CommandTree

  /// What the command line asks for.
  enum Request {
    case run(any Command, CommandNode)
    case help(CommandNode)
    /// The words name a group of commands but none in it.
    case incomplete(CommandNode)
    case version
  }

  func parse(_ words: [String]) throws(ParseFailure) -> Request {
    var node = tree.root
    var rest = words[...]
    while !node.children.isEmpty {
      guard let word = rest.first else { return .incomplete(node) }
      if let child = node.child(named: word) {
        node = child
        rest.removeFirst()
        continue
      }
      if word == "--version", node.isRoot { return .version }
      if Self.asksForHelp(rest) { return .help(node) }
      throw Self.failure(unknown: word, in: node)
    }
    if Self.asksForHelp(rest) { return .help(node) }
    if node.isRoot, rest.first == "--version" { return .version }
    let command = node.type.init()
    var filling = Filling(node: node, arguments: BoundArgument.all(of: command))
    try filling.take(rest)
    return .run(command, node)
  }

  /// The command that `words` name, for `hypha help`.
  func node(named words: [String]) throws(ParseFailure) -> CommandNode {
    var node = tree.root
    for word in words {
      guard let child = node.child(named: word) else { throw Self.failure(unknown: word, in: node) }
      node = child
    }
    return node
  }

  private static func asksForHelp(_ words: ArraySlice<String>) -> Bool {
    words.prefix { $0 != "--" }.contains { $0 == "--help" || $0 == "-h" }
  }

  private static func failure(unknown word: String, in node: CommandNode) -> ParseFailure {
    if word.hasPrefix("-"), word.count > 1 {
      return ParseFailure.unknownOption(
        word, known: node.isRoot ? ["--help", "--version"] : ["--help"], in: node)
    }
    let nearest = nearestWord(to: word, among: node.visibleChildren.map(\.name))
    return ParseFailure(
      "\(node.isRoot ? "there is" : "\(node.pathText) has") no command '\(word)'",
      advice: nearest.map { "did you mean '\($0)'?" }, node)
  }
}

/// The command line is wrong: the problem, and what to do about it.
struct ParseFailure: Error {
  let problem: String
  let remedy: String

  /// `advice` says what to write instead; without it the remedy is the help page alone.
  init(_ problem: String, advice: String? = nil, _ node: CommandNode) {
    self.problem = problem
    let page = "see \(node.pathText) --help"
    remedy = advice.map { "\($0) (\(page))" } ?? page
  }

  static func unknownOption(_ name: String, known: [String], in node: CommandNode) -> ParseFailure {
    let nearest = nearestWord(to: name, among: known)
    return ParseFailure("unknown option \(name)", advice: nearest.map { "did you mean \($0)?" }, node)
  }
}

/// Fills the arguments of one command, word by word.
private struct Filling {
  let node: CommandNode
  let arguments: [BoundArgument]
  private var byName: [String: BoundArgument] = [:]
  private var pendingPositionals: ArraySlice<BoundArgument>
  private var filled: Set<String> = []

  init(node: CommandNode, arguments: [BoundArgument]) {
    self.node = node
    self.arguments = arguments
    for argument in arguments {
      for name in argument.definition.spellings { byName[name] = argument }
    }
    pendingPositionals = arguments.filter { $0.definition.role == .positional }[...]
  }

  mutating func take(_ words: ArraySlice<String>) throws(ParseFailure) {
    var rest = words
    var optionsEnded = false
    while let word = rest.popFirst() {
      if optionsEnded || !looksLikeOption(word) {
        try takePositional(word)
      } else if word == "--" {
        optionsEnded = true
      } else if word.hasPrefix("--") {
        try takeLong(word, &rest)
      } else {
        try takeShort(word, &rest)
      }
    }
    for argument in arguments where argument.definition.isRequired {
      guard !filled.contains(argument.definition.displayName) else { continue }
      throw missing(argument.definition)
    }
  }

  /// A dash and more, unless it is a negative number: `-5` is a value as long as no option is called so.
  private func looksLikeOption(_ word: String) -> Bool {
    guard word.hasPrefix("-"), word.count > 1 else { return false }
    return byName[String(word.prefix(2))] != nil || Double(word) == nil
  }

  /// The option that is missing before a word that looks like a path: the command takes a directory, and has none yet.
  private func directoryOption(for word: String) -> String? {
    guard word.contains("/") else { return nil }
    return arguments.map(\.definition).first { definition in
      guard case .directory = definition.completion, definition.role == .option else { return false }
      return !filled.contains(definition.displayName)
    }?.displayName
  }

  private mutating func takePositional(_ word: String) throws(ParseFailure) {
    guard let argument = pendingPositionals.first else {
      throw ParseFailure(
        "unexpected argument '\(word)'",
        advice: directoryOption(for: word).map { "write \($0) \(word)" } ?? "leave it out", node)
    }
    if argument.definition.arity != .repeated { pendingPositionals.removeFirst() }
    try fill(argument, with: word)
  }

  private mutating func takeLong(_ word: String, _ rest: inout ArraySlice<String>) throws(ParseFailure) {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let argument = byName[parts[0]] else { throw unknown(parts[0]) }
    guard argument.definition.role == .option else {
      guard parts.count == 1 else {
        throw ParseFailure("\(parts[0]) takes no value", advice: "write \(parts[0]) alone", node)
      }
      let isNegated = !argument.definition.names.contains(parts[0])
      return try fill(argument, with: isNegated ? "false" : "true")
    }
    try fill(argument, with: parts.count == 2 ? parts[1] : value(after: parts[0], for: argument, &rest))
  }

  /// `-s value`, `-svalue`, `-s=value`, or flags together: `-abc`.
  private mutating func takeShort(_ word: String, _ rest: inout ArraySlice<String>) throws(ParseFailure) {
    var letters = word.dropFirst()
    while let letter = letters.popFirst() {
      let name = "-\(letter)"
      guard let argument = byName[name] else { throw unknown(word.count == 2 ? word : "\(name) in \(word)") }
      guard argument.definition.role == .option else {
        try fill(argument, with: "true")
        continue
      }
      if letters.first == "=" { letters.removeFirst() }
      let inline = word.count > 2 && (!letters.isEmpty || word.last == "=") ? String(letters) : nil
      if let inline { return try fill(argument, with: inline) }
      return try fill(argument, with: value(after: name, for: argument, &rest))
    }
  }

  private func value(
    after name: String, for argument: BoundArgument, _ rest: inout ArraySlice<String>
  ) throws(ParseFailure) -> String {
    guard let next = rest.first, !looksLikeOption(next) else {
      let hint =
        rest.isEmpty || rest.first == "--" ? "" : "; for a value that begins with a dash, \(name)=<value>"
      throw ParseFailure(
        "\(name) needs a value", advice: "write \(name) <\(argument.definition.valueName)>\(hint)", node)
    }
    rest.removeFirst()
    return next
  }

  private mutating func fill(_ argument: BoundArgument, with text: String) throws(ParseFailure) {
    let definition = argument.definition
    filled.insert(definition.displayName)
    do {
      try argument.property.take(text)
    } catch {
      throw refusal(of: text, for: definition, because: error)
    }
  }
}

/// The messages of ``Filling``.
extension Filling {
  private func unknown(_ name: String) -> ParseFailure {
    .unknownOption(name, known: node.visibleOptions.flatMap(\.spellings) + ["--help"], in: node)
  }

  private func missing(_ definition: ArgumentDefinition) -> ParseFailure {
    switch definition.role {
    case .positional:
      let choice = definition.allowedArguments
      return ParseFailure(
        "the argument <\(definition.valueName)> is missing",
        advice: choice.isEmpty ? nil : "give \(alternatives(choice))", node)
    default:
      return ParseFailure(
        "the option \(definition.displayName) is missing",
        advice: "add \(definition.displayName) <\(definition.valueName)>", node)
    }
  }

  private func refusal(
    of text: String, for definition: ArgumentDefinition, because error: any Error
  ) -> ParseFailure {
    let problem = "'\(text)' is not a value for \(definition.displayName)"
    let allowed = definition.allowedArguments
    if let error = error as? HyphaError {
      return ParseFailure("\(problem): \(error.problem)", advice: error.remedy, node)
    }
    guard error is ArgumentRefusal else { return ParseFailure("\(problem): \(error)", node) }
    let wanted = allowed.isEmpty ? definition.valueDescription : alternatives(allowed)
    return ParseFailure(problem, advice: "give \(wanted)", node)
  }

  /// `a, b or c`.
  private func alternatives(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " or " + last
  }
}
