/// The help page of one command, wrapped to a width.
struct HelpPage {
  let node: CommandNode
  /// Columns to fill, at least 40.
  let width: Int
  let style: Style

  init(_ node: CommandNode, width: Int = 80, style: Style = .plain) {
    self.node = node
    self.width = max(40, width)
    self.style = style
  }

  /// The page, ending in a newline.
  var text: String {
    var parts = ["\(style.bold("Usage:")) \(usage)", wrapped(node.configuration.abstract, indent: 0)]
    if !node.configuration.discussion.isEmpty {
      parts += paragraphs(node.configuration.discussion).map { wrapped($0, indent: 0) }
    }
    let arguments = node.positionals.filter { !$0.isHidden }.map {
      ("<\($0.valueName)>", description(of: $0))
    }
    let options = node.visibleOptions.map { (synopsis(of: $0), description(of: $0)) }
    var builtIn = [("-h, --help", "Show this help.")]
    if node.isRoot { builtIn.append(("    --version", "Show the version.")) }
    let commands = node.visibleChildren.map { ($0.name, $0.configuration.abstract) }
    parts.append(contentsOf: section("Commands", commands))
    parts.append(contentsOf: section("Arguments", arguments))
    parts.append(contentsOf: section("Options", options + builtIn))
    if !node.configuration.examples.isEmpty {
      let lines = node.configuration.examples.map { "  " + $0 }
      parts.append(([style.bold("Examples:")] + lines).joined(separator: "\n"))
    }
    if !node.children.isEmpty {
      parts.append("'\(node.pathText) <command> --help' says more about a command.")
    }
    return parts.joined(separator: "\n\n") + "\n"
  }

  /// The command with its arguments, wrapped below the first of them.
  private var usage: String {
    var words: [String] = []
    if !node.children.isEmpty { words.append("<command>") }
    words += node.visibleOptions.filter(\.isRequired).map { "\($0.displayName) <\($0.valueName)>" }
    if node.visibleOptions.contains(where: { !$0.isRequired }) { words.append("[options]") }
    for argument in node.positionals where !argument.isHidden {
      let name = "<\(argument.valueName)>" + (argument.arity == .repeated ? "…" : "")
      words.append(argument.isRequired ? name : "[\(name)]")
    }
    let indent = min("Usage: ".count + node.pathText.count + 1, width / 2)
    return node.pathText + (words.isEmpty ? "" : " ")
      + fill(words, indent: indent).joined(separator: "\n")
      .drop { $0 == " " }
  }

  /// `-s, --subject <pattern>`, with room for the short name where there is none.
  private func synopsis(of option: ArgumentDefinition) -> String {
    var names = option.names
    if option.role == .invertedFlag {
      names = names.map { $0.hasPrefix("--") ? "--[no-]" + $0.dropFirst(2) : $0 }
    }
    let short = names.first { !$0.hasPrefix("--") }
    let others = names.filter { $0 != short }
    let value = option.role == .option ? " <\(option.valueName)>" : ""
    guard let short else { return "    " + others.joined(separator: ", ") + value }
    return ([short] + others).joined(separator: ", ") + value
  }

  /// The help text with what else there is to know about the value.
  private func description(of argument: ArgumentDefinition) -> String {
    var notes: [String] = []
    if argument.role == .option || argument.role == .positional {
      if !argument.allowedArguments.isEmpty {
        notes.append("one of: " + argument.allowedArguments.joined(separator: ", "))
      }
      if argument.role == .option, argument.arity == .repeated { notes.append("may be repeated") }
      if argument.role == .option, argument.isRequired { notes.append("required") }
      if let text = argument.defaultText { notes.append("default: \(text)") }
    } else if argument.role == .invertedFlag {
      notes.append("default: \(argument.defaultText == "true" ? "on" : "off")")
    }
    return notes.isEmpty ? argument.help : "\(argument.help) (\(notes.joined(separator: "; ")))"
  }

  /// A heading with two columns below; nothing without rows.
  private func section(_ title: String, _ rows: [(term: String, text: String)]) -> [String] {
    guard !rows.isEmpty else { return [] }
    let longest = rows.map(\.term.count).filter { $0 <= 28 }.max() ?? 28
    let column = min(2 + longest + 2, width / 2)
    let lines = rows.map { term, text in
      let body = wrapped(text, indent: column)
      guard term.count + 4 <= column else { return "  \(term)\n\(body)" }
      return "  \(term)" + body.dropFirst(2 + term.count)
    }
    return [([style.bold("\(title):")] + lines).joined(separator: "\n")]
  }

  private func paragraphs(_ text: String) -> [String] {
    var result: [[Substring]] = [[]]
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.isEmpty { result.append([]) } else { result[result.count - 1].append(line) }
    }
    return result.filter { !$0.isEmpty }.map { $0.joined(separator: " ") }
  }

  /// `text` in lines of at most ``width`` columns, all of them indented.
  private func wrapped(_ text: String, indent: Int) -> String {
    fill(text.split(separator: " ").map(String.init), indent: indent).joined(separator: "\n")
  }

  private func fill(_ words: [String], indent: Int) -> [String] {
    let margin = String(repeating: " ", count: indent)
    var lines: [String] = []
    var line = margin
    for word in words {
      let gap = line.count > indent ? 1 : 0
      if gap == 1, displayWidth(line) + 1 + displayWidth(word) > width {
        lines.append(line)
        line = margin + word
      } else {
        line += (gap == 1 ? " " : "") + word
      }
    }
    return lines + [line]
  }
}
