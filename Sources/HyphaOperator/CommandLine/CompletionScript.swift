/// A shell that `completion` writes a script for.
public enum CompletionShell: String, CaseIterable, ExpressibleByArgument {
  /// GNU bash 3.2 or newer.
  case bash
  /// zsh with compinit loaded.
  case zsh
  /// fish 3.0 or newer.
  case fish

  /// The script for all commands of `tree`.
  func script(for tree: CommandTree) -> String {
    let tree = tree.offered
    return switch self {
    case .bash: BashCompletion(tree: tree).script
    case .zsh: ZshCompletion(tree: tree).script
    case .fish: FishCompletion(tree: tree).script
    }
  }
}

extension CommandTree {
  /// The tree that scripts offer: without what is hidden, and with all commands a second time below `help`,
  /// where they take no arguments.
  fileprivate var offered: CommandTree {
    var tree = self
    tree.root = root.withoutHidden
    guard let help = tree.root.children.firstIndex(where: { $0.type == HelpCommand.self }) else {
      return tree
    }
    let topics = tree.root.children.map { $0.topic(below: tree.root.children[help].path) }
    tree.root.children[help].children = topics
    return tree
  }
}

extension CommandNode {
  fileprivate var withoutHidden: CommandNode {
    var node = self
    node.children = visibleChildren.map(\.withoutHidden)
    return node
  }

  fileprivate func topic(below parent: [String]) -> CommandNode {
    var node = self
    node.path = parent + [name]
    node.arguments = []
    node.children = children.map { $0.topic(below: node.path) }
    return node
  }

  /// The name of the shell function for this command: `_hypha_log_cat`.
  var functionName: String {
    "_" + path.joined(separator: "_").map { $0.isLetter || $0.isNumber ? $0 : "_" }
  }

  /// Every option word that may be typed here.
  var optionWords: [String] {
    visibleOptions.flatMap(\.spellings) + ["--help"] + (isRoot ? ["--version"] : [])
  }

  /// What may stand at each place, the last for all further places if it repeats.
  var places: [(completion: ArgumentCompletion, repeats: Bool)] {
    if !children.isEmpty { return [(.values(visibleChildren.map(\.name)), false)] }
    return positionals.map { ($0.resolvedCompletion, $0.arity == .repeated) }
  }
}

/// `text` in single quotes, as every shell here reads it.
func shellQuoted(_ text: String) -> String {
  "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
}

/// The bash script: one function that walks the words before the cursor to find the command, then
/// answers from `case` tables.
struct BashCompletion {
  let tree: CommandTree

  var script: String {
    let name = tree.root.name
    let function = tree.root.functionName
    return """
      # bash completion for \(name); try it with: source <(\(name) completion bash)

      \(function)_reply() {
        local kind="$1" word
        COMPREPLY=()
        case "$kind" in
          files | directories) compopt -o filenames 2>/dev/null ;;
        esac
        while IFS= read -r word; do
          COMPREPLY+=("$word")
        done < <(
          case "$kind" in
            files) compgen -f -- "$2" ;;
            directories) compgen -d -- "$2" ;;
            words) compgen -W "$3" -- "$2" ;;
          esac
        )
      }

      \(function)() {
        local path='\(name)' place=0 index=1 ended=0 word
        local cur="${COMP_WORDS[COMP_CWORD]}" prev=""
        ((COMP_CWORD > 0)) && prev="${COMP_WORDS[COMP_CWORD - 1]}"
        # bash splits --option=value into three words.
        if [[ $cur == "=" ]]; then
          cur=""
        elif [[ $prev == "=" ]] && ((COMP_CWORD > 1)); then
          prev="${COMP_WORDS[COMP_CWORD - 2]}"
        fi
        COMPREPLY=()
        while ((index < COMP_CWORD)); do
          word="${COMP_WORDS[index]}"
          index=$((index + 1))
          if ((ended)); then
            place=$((place + 1))
            continue
          fi
          case "$path $word" in
      \(cases(paths, "path=\"$path $word\"", indent: 6))
      \(cases(valueOptions, "[[ ${COMP_WORDS[index]} == \"=\" ]] && index=$((index + 1)); index=$((index + 1))", indent: 6))
            *' --') ended=1 ;;
            *' -'*) ;;
            *) place=$((place + 1)) ;;
          esac
        done
        if ((!ended)); then
          case "$path $prev" in
      \(valueAnswers)
          esac
          if [[ $cur == -* ]]; then
            case "$path" in
      \(optionAnswers)
            esac
            return
          fi
        fi
        case "$path $place" in
      \(placeAnswers)
        esac
      }

      complete -F \(function) \(name)

      """.split(separator: "\n", omittingEmptySubsequences: false)
        .filter { $0 != Self.absent }.joined(separator: "\n")
  }

  /// Stands for a table without rows; the line is dropped.
  private static let absent = "\u{0}"

  private var function: String { tree.root.functionName }
  private var paths: [String] { tree.nodes.dropFirst().map(\.pathText) }

  private var valueOptions: [String] {
    tree.nodes.flatMap { node in
      node.options.filter { $0.role == .option }.flatMap(\.names).map { "\(node.pathText) \($0)" }
    }
  }

  private var valueAnswers: String {
    rows(
      tree.nodes.flatMap { node in
        node.options.filter { $0.role == .option }.map { option in
          let patterns = option.names.map { shellQuoted("\(node.pathText) \($0)") }.joined(separator: " | ")
          return "      \(patterns)) \(reply(option.resolvedCompletion)); return ;;"
        }
      })
  }

  private var optionAnswers: String {
    rows(
      tree.nodes.map {
        "        \(shellQuoted($0.pathText))) \(reply(.values($0.optionWords))) ;;"
      })
  }

  private var placeAnswers: String {
    rows(
      tree.nodes.flatMap { node in
        node.places.enumerated().map { index, place in
          let pattern = shellQuoted(node.pathText + " ") + (place.repeats ? "*" : "\(index)")
          return "    \(pattern)) \(reply(place.completion)) ;;"
        }
      })
  }

  private func reply(_ completion: ArgumentCompletion) -> String {
    switch completion {
    case .file: "\(function)_reply files \"$cur\""
    case .directory: "\(function)_reply directories \"$cur\""
    case .values(let words): "\(function)_reply words \"$cur\" \(shellQuoted(words.joined(separator: " ")))"
    case .automatic, .none: ":"
    }
  }

  private func cases(_ patterns: [String], _ action: String, indent: Int) -> String {
    guard !patterns.isEmpty else { return Self.absent }
    let margin = String(repeating: " ", count: indent)
    return margin + patterns.map(shellQuoted).joined(separator: " | ") + ") \(action) ;;"
  }

  private func rows(_ lines: [String]) -> String {
    lines.isEmpty ? Self.absent : lines.joined(separator: "\n")
  }
}
