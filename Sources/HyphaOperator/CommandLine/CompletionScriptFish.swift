/// The fish script: a `complete` line for each word, each under the condition that its command is typed.
struct FishCompletion {
  let tree: CommandTree

  var script: String {
    let name = tree.root.name
    let function = "__" + tree.root.functionName.dropFirst()
    let paths = tree.nodes.dropFirst().map { quoted($0.pathText) }
    let words = tree.nodes.flatMap { node in lines(of: node, at: "\(function)_at \(quoted(node.pathText))") }
    return """
      # fish completion for \(name); try it with: \(name) completion fish | source

      function \(function)_at
        set -l path \(name)
        for word in (commandline -opc)[2..-1]
          switch "$path $word"
            case \(paths.isEmpty ? "''" : paths.joined(separator: " "))
              set path "$path $word"
          end
        end
        test "$path" = "$argv[1]"
      end

      complete -c \(name) -f
      \(words.map { "complete -c \(name) " + $0 }.joined(separator: "\n"))

      """
  }

  private func lines(of node: CommandNode, at condition: String) -> [String] {
    let here = "-n \(quoted(condition))"
    var lines = node.visibleChildren.map {
      "\(here) -a \($0.name) -d \(quoted($0.configuration.abstract))"
    }
    lines += node.visibleOptions.flatMap { option in
      let value = option.role == .option ? value(option.resolvedCompletion) : ""
      let names = option.names.map { $0.hasPrefix("--") ? "-l \($0.dropFirst(2))" : "-s \($0.dropFirst(1))" }
      let negated = option.role == .invertedFlag ? option.spellings.filter { !option.names.contains($0) } : []
      return [names.joined(separator: " ") + value].map { "\(here) \($0) -d \(quoted(option.help))" }
        + negated.map { "\(here) -l \($0.dropFirst(2)) -d \(quoted(option.help))" }
    }
    for place in node.children.isEmpty ? node.places : [] {
      let text = words(place.completion)
      if !text.isEmpty { lines.append(here + text) }
    }
    lines.append("\(here) -s h -l help -d 'Show help.'")
    if node.isRoot { lines.append("\(here) -l version -d 'Show the version.'") }
    return lines
  }

  /// What follows the name of an option with a value.
  private func value(_ completion: ArgumentCompletion) -> String {
    if case .file = completion { return " -r -F" }
    return " -x" + words(completion)
  }

  private func words(_ completion: ArgumentCompletion) -> String {
    switch completion {
    case .file: " -F"
    case .directory: " -a '(__fish_complete_directories (commandline -ct) \"\")'"
    case .values(let words): " -a \(quoted(words.joined(separator: " ")))"
    case .automatic, .none: ""
    }
  }

  /// In single quotes; fish escapes within them with a backslash.
  private func quoted(_ text: String) -> String {
    "'" + text.reduce(into: "") { $0 += "\\'".contains($1) ? "\\\($1)" : String($1) } + "'"
  }
}
