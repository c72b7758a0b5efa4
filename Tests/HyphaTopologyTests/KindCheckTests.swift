import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

private let declarations = [
  "supervisor": KindDeclaration(),
  "trace": KindDeclaration(
    publishes: ["work.HandedOver", "work.Begun"], handles: ["ops.Signal"],
    settingNames: ["file", "speed", "resource"]),
  "open": KindDeclaration(publishes: ["open.Said"], isOpen: true),
  "reader": KindDeclaration(handles: ["ops.Signal"], reads: ["ops.Level"]),
]

private func misfits(_ yaml: String) throws -> [String] {
  try TopologyFile.read(yaml: yaml, file: "f")
    .problems(kindNames: ["supervisor", "trace"]) { declarations[$0] }.map(\.description)
}

@Suite struct `Against the kinds of a program` {
  @Test func `a file that fits has no problems`() throws {
    #expect(try misfits(incidentRoom) == [])
  }

  @Test func `all that does not fit is listed by line`() throws {
    let text = """
      hypha: 1
      name: n
      nodes: {m: {}}
      kinds:
        trace: {fiel: x.csv}
        trcae: {}
      agents:
        director: {kind: supervisr, settings: {a: 1}}
        boss: {kind: supervisor, reports-to: director, settings: {level: 1}, publishes: [a.B]}
        ana:
          kind: trace
          reports-to: boss
          publishes: [work.HandedOver, work.HandeOver, ops.Signal]
          subscribes: [ops.Signal, {type: ops.Signl, subject: x}, work.Begun]
          settings: {file: y.csv, colour: red}
        ben: {kind: exec, reports-to: boss}
      """
    #expect(
      try misfits(text) == [
        "f:5:11: kind 'trace' has an unknown setting, 'fiel'; did you mean 'file'?",
        "f:6:3: there is no kind 'trcae' in this program; did you mean 'trace'?",
        "f:8:20: there is no kind 'supervisr' in this program; did you mean 'supervisor'?",
        "f:9:61: agent 'boss' has an unknown setting, 'level'; remove it: that kind has no settings",
        "f:9:84: agent 'boss' is to publish a.B, which its kind 'supervisor' does not declare; "
          + "remove it: that kind publishes nothing",
        "f:13:34: agent 'ana' is to publish work.HandeOver, which its kind 'trace' does not declare; "
          + "did you mean 'work.HandedOver'?",
        "f:13:50: agent 'ana' is to publish ops.Signal, which its kind 'trace' does not declare; "
          + "it publishes work.Begun, work.HandedOver",
        "f:14:30: agent 'ana' subscribes to ops.Signl, which its kind 'trace' does not handle; "
          + "did you mean 'ops.Signal'?",
        "f:14:61: agent 'ana' subscribes to work.Begun, which its kind 'trace' does not handle; "
          + "it handles ops.Signal",
        "f:15:29: agent 'ana' has an unknown setting, 'colour'; use one of file, resource, speed",
        "f:16:15: there is no kind 'exec' in this program; use one of supervisor, trace",
      ])
  }

  @Test func `an agent may subscribe to what its kind reads and does not handle`() throws {
    let text = """
      hypha: 1
      name: n
      nodes: {m: {}}
      agents:
        boss: {kind: supervisor}
        ana: {kind: reader, reports-to: boss, subscribes: [ops.Signal, ops.Level, ops.Levle]}
      """
    #expect(
      try misfits(text) == [
        "f:6:77: agent 'ana' subscribes to ops.Levle, which its kind 'reader' does not handle; "
          + "did you mean 'ops.Level'?"
      ])
  }

  @Test func `an open kind has the types that the file names, but none of the bus's`() throws {
    let text = """
      hypha: 1
      name: n
      nodes: {m: {}}
      agents:
        boss: {kind: supervisor}
        ana: {kind: open, reports-to: boss, publishes: [a.B, hypha.AgentStopped], subscribes: [c.D, hypha.HandlerFailed]}
      """
    #expect(
      try misfits(text) == [
        "f:6:56: agent 'ana' is to publish hypha.AgentStopped, which its kind 'open' does not declare; "
          + "name another type: the bus states these itself"
      ])
    let agent = AgentSpec(
      id: "ana", kind: "open", node: "m", publishes: ["a.B", "hypha.AgentStopped", "log.Pruned"])
    #expect(declarations["open"]?.published(by: agent) == ["a.B", "open.Said"])
    #expect(declarations["trace"]?.published(by: agent) == [])
    // To ask for decisions, or take them, is for whom the file names.
    let program = KindDeclaration(
      publishes: [DecisionRequested.eventType, DecisionAnswered.eventType, "open.Said"], isOpen: true)
    #expect(program.published(by: agent) == ["a.B", "open.Said"])
    let asker = AgentSpec(id: "ben", kind: "open", node: "m", publishes: [DecisionRequested.eventType])
    #expect(program.published(by: asker) == ["open.Said", DecisionRequested.eventType])
  }
}
