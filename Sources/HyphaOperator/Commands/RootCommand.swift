/// `hypha`, the tree of all commands.
public struct RootCommand: Command {
  public static let configuration = CommandConfiguration(
    name: "hypha", abstract: "An event-sourced message bus for systems of many agents.",
    discussion: """
      A topology file names nodes, agents, and who reports to whom. 'run' starts it, each node in a process \
      of its own; 'replay' shows what happened once more, 'rerun' what agents would do again, 'watch' what happens now, 'top' what all are at; 'log' looks \
      after what the nodes have kept; 'alerts' shows what waits for an answer, 'losses' what did not arrive, 'forks' what was \
      taken and then lost, 'nodes' \
      who is up, 'replicas' how far copies are, 'agents' why one gets nothing, and 'dead-letters' what could not be handled.
      """,
    examples: ["hypha run topologies/incident-room.yaml", "hypha init --from log.xes.gz --output acted"],
    subcommands: [
      RunCommand.self, ValidateCommand.self, InitCommand.self, KeysCommand.self, ReplayCommand.self,
      RerunCommand.self, WatchCommand.self, TraceCommand.self, ReportCommand.self, ExportCommand.self,
      ImportCommand.self,
      LogCommand.self, TopCommand.self, AlertsCommand.self, AgentsCommand.self, DeadLettersCommand.self,
      LossesCommand.self, ForksCommand.self, NodesCommand.self, ReplicasCommand.self,
      TopologyCommand.self,
    ])

  public init() {}
}

/// `hypha log`, reading a node's log and looking after it.
struct LogCommand: Command {
  static let configuration = CommandConfiguration(
    name: "log", abstract: "Read what nodes have kept, while they run and after, and look after it.",
    subcommands: [
      LogInfoCommand.self, LogStatsCommand.self, LogCatCommand.self, LogVerifyCommand.self,
      LogHeadCommand.self,
      LogReindexCommand.self, LogPruneCommand.self, LogCompactCommand.self, LogBackupCommand.self,
      LogRestoreCommand.self, LogSalvageCommand.self, LogExamineCommand.self,
    ])
}

/// `hypha keys`, what nodes prove themselves with on TCP links.
struct KeysCommand: Command {
  static let configuration = CommandConfiguration(
    name: "keys", abstract: "Make and show the keys that nodes prove themselves with on TCP links.",
    subcommands: [KeysGenerateCommand.self, KeysShowCommand.self])
}

/// `hypha topology`, what the observer does with the network.
struct TopologyCommand: Command {
  static let configuration = CommandConfiguration(
    name: "topology",
    abstract: "See how the network of agents evolves, and why; approve, pin, forbid, revert.",
    subcommands: [
      TopologyPlanCommand.self, TopologyApplyCommand.self,
      TopologyShowCommand.self, TopologyWatchCommand.self, TopologyFindingsCommand.self,
      TopologyHistoryCommand.self, TopologyExplainCommand.self, TopologyDiffCommand.self,
      TopologySuggestionsCommand.self, TopologyApproveCommand.self,
      TopologyRejectCommand.self, TopologyPinCommand.self, TopologyUnpinCommand.self,
      TopologyForbidCommand.self, TopologyAllowCommand.self, TopologyRetireCommand.self,
      TopologyQuestionsCommand.self, TopologyQuestionCommand.self,
      TopologyFreezeCommand.self, TopologyThawCommand.self, TopologyRevertCommand.self,
      TopologyHandOverCommand.self,
      TopologyDecisionsCommand.self, TopologyDelegationsCommand.self, TopologyDelegateCommand.self,
      TopologyRevokeCommand.self,
      TopologyExportCommand.self, TopologySimulateCommand.self, TopologyWhatIfCommand.self,
    ])
}
