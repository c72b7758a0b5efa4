/// The zsh script: a function for each command, built on `_arguments`.
struct ZshCompletion {
  let tree: CommandTree

  var script: String {
    let root = tree.root
    let functions = tree.nodes.map { $0.children.isEmpty ? leaf($0) : group($0) }
    return """
      #compdef \(root.name)
      # zsh completion for \(root.name); try it with: source <(\(root.name) completion zsh)

      \(functions.joined(separator: "\n\n"))

      if [ "$funcstack[1]" = '\(root.functionName)' ]; then
        \(root.functionName) "$@"
      else
        compdef \(root.functionName) \(root.name)
      fi

      """
  }

  private func leaf(_ node: CommandNode) -> String {
    var specs = node.visibleOptions.flatMap(optionSpecs)
    specs.append(contentsOf: builtIn(node))
    specs += node.positionals.enumerated().map { index, argument in
      let place = argument.arity == .repeated ? "*" : "\(index + 1)"
      let colons = argument.isRequired || argument.arity == .repeated ? ":" : "::"
      return shellQuoted(
        "\(place)\(colons)\(escaped(argument.valueName)):\(action(argument.resolvedCompletion))")
    }
    return """
      \(node.functionName)() {
        _arguments -s -S \\
          \(specs.joined(separator: " \\\n    "))
      }
      """
  }

  private func group(_ node: CommandNode) -> String {
    let commands = node.visibleChildren.map {
      "      " + shellQuoted("\($0.name):\($0.configuration.abstract.replacing(":", with: "\\:"))")
    }
    let branches = node.children.map { "        \($0.name)) \($0.functionName) ;;" }
    return """
      \(node.functionName)() {
        local context state state_descr line
        local -a commands
        typeset -A opt_args
        _arguments -C \\
          \(builtIn(node).joined(separator: " \\\n    ")) \\
          '1:command:->command' '*::argument:->argument'
        case "$state" in
          command)
            commands=(
      \(commands.joined(separator: "\n"))
            )
            _describe command commands
            ;;
          argument)
            case "$line[1]" in
      \(branches.joined(separator: "\n"))
            esac
            ;;
        esac
      }
      """
  }

  private func builtIn(_ node: CommandNode) -> [String] {
    ["'(-h --help)'{-h,--help}'[Show help.]'"] + (node.isRoot ? ["'--version[Show the version.]'"] : [])
  }

  private func optionSpecs(_ option: ArgumentDefinition) -> [String] {
    let others = option.arity == .repeated ? "*" : "(\(option.spellings.joined(separator: " ")))"
    let value =
      option.role == .option ? ":\(escaped(option.valueName)):\(action(option.resolvedCompletion))" : ""
    return option.spellings.map { name in
      let joint = option.role == .option ? (name.hasPrefix("--") ? "=" : "+") : ""
      return shellQuoted("\(others)\(name)\(joint)[\(escaped(option.help))]\(value)")
    }
  }

  private func action(_ completion: ArgumentCompletion) -> String {
    switch completion {
    case .file: "_files"
    case .directory: "_files -/"
    case .values(let words): "(\(words.map(escaped).joined(separator: " ")))"
    case .automatic, .none: " "
    }
  }

  private func escaped(_ text: String) -> String {
    text.reduce(into: "") { $0 += "\\:[]".contains($1) ? "\\\($1)" : String($1) }
  }
}
