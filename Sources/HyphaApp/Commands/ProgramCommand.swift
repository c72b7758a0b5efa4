import HyphaOperator

/// The tree of all commands: those of the operator, and those that need the log on LMDB itself.
struct ProgramCommand: Command {
  static let configuration: CommandConfiguration = {
    var configuration = RootCommand.configuration
    configuration.subcommands.append(BenchCommand.self)
    return configuration
  }()
}

/// `hypha bench`, measuring.
struct BenchCommand: Command {
  static let configuration = CommandConfiguration(
    name: "bench", abstract: "Measure what this machine gives.",
    subcommands: [
      BenchLogCommand.self, BenchChannelsCommand.self, BenchEndToEndCommand.self, BenchReplayCommand.self,
      BenchObserverCommand.self, BenchAgentsCommand.self, BenchTopologyCommand.self,
      BenchChildCommand.self,
    ])
}
