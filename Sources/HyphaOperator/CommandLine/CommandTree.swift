/// The commands below a root, with their arguments: what parser, help and completion read.
public struct CommandTree: Sendable {
  var root: CommandNode

  /// The tree of `root`, with `help` and `completion` added below it.
  ///
  /// - Parameter name: the program's name, where it is not the root's.
  public init(_ root: any Command.Type, name: String? = nil) {
    var node = CommandNode(root, parent: [])
    if let name { node.rename(from: node.name, to: name) }
    if !node.children.isEmpty {
      node.children.append(CommandNode(HelpCommand.self, parent: node.path, program: node.name))
      node.children.append(CommandNode(CompletionCommand.self, parent: node.path, program: node.name))
    }
    self.root = node
  }

  /// Every command, parents before children, in the order of declaration.
  var nodes: [CommandNode] { root.withDescendants }
}

/// One command of a ``CommandTree``.
struct CommandNode: Sendable {
  /// The words that select the command, the program's name first.
  var path: [String]
  let type: any Command.Type
  private(set) var configuration: CommandConfiguration
  var arguments: [ArgumentDefinition]
  var children: [CommandNode]

  init(_ type: any Command.Type, parent: [String], program: String? = nil) {
    self.type = type
    var configuration = type.configuration
    if let program {
      configuration.examples = configuration.examples.map { "\(program) \($0)" }
      configuration.discussion.replace("PROGRAM", with: program)
    }
    self.configuration = configuration
    let path = parent + [configuration.name]
    self.path = path
    arguments = BoundArgument.all(of: type.init()).map(\.definition)
    children = configuration.subcommands.map { CommandNode($0, parent: path) }
  }

  var name: String { configuration.name }
  var pathText: String { path.joined(separator: " ") }
  var withDescendants: [CommandNode] { [self] + children.flatMap(\.withDescendants) }
  var visibleChildren: [CommandNode] { children.filter { !$0.configuration.isHidden } }
  var positionals: [ArgumentDefinition] { arguments.filter { $0.role == .positional } }
  var options: [ArgumentDefinition] { arguments.filter { $0.role != .positional } }
  var visibleOptions: [ArgumentDefinition] { options.filter { !$0.isHidden } }
  var isRoot: Bool { path.count == 1 }

  /// Puts another program's name in place of `old`, the root's, also in the examples of all commands.
  mutating func rename(from old: String, to new: String) {
    if isRoot { configuration.name = new }
    path[0] = new
    configuration.examples = configuration.examples.map { example in
      example.split(separator: " ", omittingEmptySubsequences: false)
        .map { $0 == old ? new : String($0) }.joined(separator: " ")
    }
    for index in children.indices { children[index].rename(from: old, to: new) }
  }

  func child(named name: String) -> CommandNode? { children.first { $0.name == name } }
}

/// `hypha help log cat`, the same as `hypha log cat --help`. The runner acts for it, since it needs the tree.
struct HelpCommand: Command {
  static let configuration = CommandConfiguration(
    name: "help", abstract: "Show the help of a command.", examples: ["help completion"])

  @Argument(help: "The words of the command.", valueName: "command") var words: [String] = []

  func run() async throws {}
}

/// `hypha completion bash`. The runner acts for it, since it needs the tree.
struct CompletionCommand: Command {
  static let configuration = CommandConfiguration(
    name: "completion", abstract: "Print a script that completes commands in your shell.",
    discussion: """
      Load it at once with 'source <(PROGRAM completion bash)', or write it where your shell looks for completions: \
      ~/.local/share/bash-completion/completions/, a directory of zsh's $fpath, or ~/.config/fish/completions/.
      """,
    examples: ["completion bash"])

  @Argument(help: "The shell to complete in.") var shell: CompletionShell

  func run() async throws {}
}
