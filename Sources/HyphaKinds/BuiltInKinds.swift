public import HyphaRuntime

/// The kinds of agents that every Hypha program has.
public enum BuiltInKinds {
  /// `supervisor`, `trace`, `generator`, `recorder` and `exec`.
  public static let all: [any Agent.Type] = [
    Supervisor.self, Trace.self, Generator.self, Recorder.self, Exec.self,
  ]
}
