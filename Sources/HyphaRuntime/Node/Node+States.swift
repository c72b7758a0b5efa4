import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// How the states of a node's agents come back from its log.
extension Node {
  /// Has what states have still to evolve by read once for all agents, where that is less to read than for each alone.
  func prepareStates(of runners: [any AgentRunner]) async {
    var members: [StatePass.Member] = []
    for runner in runners {
      if let tail = await runner.prepareState() { members.append((runner.spec.id, tail, runner)) }
    }
    // A log that cannot be read is told of by those who need it.
    let pass = try? StatePass(log, for: members) { [weak self] in self?.isStopped ?? true }
    state.withLock { $0.statePass = pass }
  }

  func restoreStates() async { await state.withLock { $0.statePass }?.run() }
}
