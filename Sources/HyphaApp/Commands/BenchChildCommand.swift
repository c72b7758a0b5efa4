import HyphaBench
import HyphaOperator

/// `hypha bench child`: what a bench runs in another process.
struct BenchChildCommand: Command {
  static let configuration = CommandConfiguration(
    name: "child", abstract: "Look at a log for a bench in another process.", isHidden: true)

  /// The command line that runs it.
  static let command = ["/proc/self/exe", "bench", "child"]

  @Argument(help: "What to do.", valueName: "word") var words: [String]

  func run() async throws {
    switch words.first {
    case "scene": try await SceneChild.run(words)
    case "live": try await LiveChild.run(words)
    case "recover": try await AgentBenchChild.run(words)
    default: try await LogBenchChild.run(words)
    }
  }
}
