import HyphaApp

/// `hypha`: the built-in kinds of agents and nothing else.
@main struct HyphaCommand: HyphaApp {
  static let name = "hypha"
  static let agents: [any Agent.Type] = []
}
