public import HyphaCore

/// Which call each agent of a node is in, kept where it outlives the process, so that the node's next start knows what a trap
/// has ended: an event on which a process ends again and again counts as failed, and comes to be put aside like one on
/// which a handler throws.
///
/// It is written with every call and never synced: a trap, unlike a power cut, leaves what was written. What it says is
/// a hint that bounds how often a call is tried; no promise of the log rests on it.
///
/// `@unchecked Sendable`: each slot is written by the one task that runs its agent's calls, besides ``noteTrap(_:)``, which
/// runs when no Swift code of the process goes on.
public final class CallJournal: @unchecked Sendable {
  private let memory: UnsafeMutableRawBufferPointer
  private let release: @Sendable (UnsafeMutableRawBufferPointer) -> Void
  private let numbers: [AgentID: Int]
  private let broken: [AgentID: BrokenCall]
  /// How the process before this one ended, if by a signal that says of a fault.
  public let report: CrashReport

  /// The bytes that a journal of so many agents takes.
  public static func byteCount(agentCount: Int) -> Int { CallSlot.stride * (agentCount + 1) }

  /// A journal for the calls of `agents`.
  ///
  /// - Parameters:
  ///   - memory: ``byteCount(agentCount:)`` bytes, aligned to 8, which outlive the process where they are mapped from a file;
  ///     agents that find no room in fewer are not noted.
  ///   - previous: what the memory of the process before this one holds; any bytes.
  ///   - release: gives the memory back.
  public init(
    of agents: [AgentID], in memory: UnsafeMutableRawBufferPointer, after previous: [UInt8],
    release: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
  ) {
    self.memory = memory
    self.release = release
    // A signal handler is not the place to make it.
    _ = CallSlot.owner
    let agents = agents.prefix(max(0, memory.count / CallSlot.stride - 1))
    numbers = Dictionary(agents.enumerated().map { ($1, $0 + 1) }, uniquingKeysWith: { first, _ in first })
    report = CrashReport(reading: previous)
    var broken: [AgentID: BrokenCall] = [:]
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    if memory.count >= CallSlot.stride { CallSlot.Header(agentCount: agents.count).write(to: memory) }
    for (agent, number) in numbers {
      let name = SeededGenerator.fingerprint(of: agent.text)
      let slot = UnsafeMutableRawBufferPointer(
        rebasing: memory[number * CallSlot.stride..<(number + 1) * CallSlot.stride])
      var kept = CallSlot.Content(name: name)
      // Until it is dealt with: this process may end before that, by another agent's fault.
      kept.kept = report.kept[name]
      kept.write(to: slot)
      broken[agent] = report.broken[name]
    }
    self.broken = broken
  }

  /// A journal in memory that goes with the process: for simulations.
  public convenience init(of agents: [AgentID], after previous: [UInt8] = []) {
    let byteCount = Self.byteCount(agentCount: agents.count)
    self.init(
      of: agents, in: .allocate(byteCount: byteCount, alignment: CallSlot.stride), after: previous
    ) { $0.deallocate() }
  }

  deinit { release(memory) }

  /// What the process before this one ended in, of an agent's calls.
  func brokenCall(of agent: AgentID) -> BrokenCall? { broken[agent] }

  /// Where an agent's calls are noted; one that the journal does not know has none.
  func slot(of agent: AgentID) -> CallSlot? {
    numbers[agent].map { number in
      CallSlot(
        UnsafeMutableRawBufferPointer(
          rebasing: memory[number * CallSlot.stride..<(number + 1) * CallSlot.stride]), of: self)
    }
  }

  /// What it holds now: what the next process is given.
  public var bytes: [UInt8] { Array(memory) }

  /// Notes that a signal ends the process, and the calls of the task that it has come upon, or of the agent that has started that. Safe in a signal handler: it takes
  /// no lock and allocates nothing.
  public func noteTrap(_ signal: Int32) {
    CallSlot.noteTrap(signal, task: CallSlot.currentTask, owner: CallSlot.owner, in: memory)
  }
}
