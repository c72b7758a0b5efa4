import Foundation
import Testing

extension Commands {
  /// What the program says to input that it cannot use: one line that names the object and the remedy.
  @Suite struct BadInputTests {
    /// A command line with what it must say. `SCRATCH` stands for the test's directory.
    struct Mistake: CustomTestStringConvertible, Sendable {
      var arguments: String
      var status: Int32
      var line: String
      var testDescription: String { arguments }
    }

    /// Files that the mistakes are about, by name.
    static let files = [
      "syntax.yaml": "hypha: 1\nname: [x\n",
      "key.yaml":
        "hypha: 1\nname: x\ncolour: red\nnodes: {a: {}}\nagents: {root: {kind: supervisor, node: a}}\n",
      "circle.yaml": """
      hypha: 1
      name: x
      nodes: {a: {}}
      agents:
        root: {kind: supervisor, node: a}
        ana: {kind: supervisor, reports-to: bo, node: a}
        bo: {kind: supervisor, reports-to: ana, node: a}
      """,
      "kind.yaml": "hypha: 1\nname: x\nnodes: {a: {}}\nagents: {root: {kind: supervisr, node: a}}\n",
      "good.yaml": "hypha: 1\nname: x\nnodes: {a: {}, b: {}}\nagents: {root: {kind: supervisor, node: a}}\n",
      "recording.yaml": """
      hypha: 1
      name: x
      nodes: {a: {}}
      kinds: {trace: {file: missing.csv}}
      agents:
        root: {kind: supervisor, node: a}
        ana: {kind: trace, reports-to: root}
        bo: {kind: trace, reports-to: root}
      """,
      "empty.csv": "",
      "columns.csv": "foo,bar\n1,2\n",
      "text.txt": "nothing\nof\nsense\n",
    ]

    static let topologies = [
      Mistake(
        arguments: "run missing.yaml", status: 1,
        line: "hypha: the topology file missing.yaml cannot be read; give the path of a file, such as "
          + "topologies/incident-room.yaml"),
      Mistake(
        arguments: "run syntax.yaml", status: 1,
        line: "hypha: syntax.yaml:3:1: did not find expected ',' or ']', while parsing a flow sequence that "
          + "begins on line 2; separate with commas and close the bracket"),
      Mistake(
        arguments: "run key.yaml", status: 1,
        line: "hypha: key.yaml:3:1: the topology file has an unknown key, 'colour'; use one of hypha, name, "
          + "version, log, alerts, membership, supervision, security, observer, oversight, realtime, delegation, nodes, kinds, agents"
      ),
      Mistake(
        arguments: "run circle.yaml", status: 1,
        line: "hypha: circle.yaml:6:39: 2 agents report to each other in a circle: 'ana' → 'bo' → 'ana'; let "
          + "one of them report to an agent outside of the circle"),
      Mistake(
        arguments: "run kind.yaml", status: 1,
        line:
          "hypha: kind.yaml:4:23: there is no kind 'supervisr' in this program; did you mean 'supervisor'?"
      ),
      Mistake(
        arguments: "run recording.yaml", status: 1,
        line:
          "hypha: recording.yaml:4:17: the recording SCRATCH/missing.csv cannot be read; give its path from "
          + "the topology file's directory"),
      Mistake(
        arguments: "run good.yaml --node c", status: 1,
        line: "hypha: good.yaml has no node 'c'; use one of a, b"),
      Mistake(
        arguments: "run good.yaml --simulate --fresh", status: 2,
        line:
          "hypha: --simulate keeps nothing on disk and runs all nodes; leave out --node, --data and --fresh"
      ),
    ]

    static let recordings = [
      Mistake(
        arguments: "init --from missing.xes --output o", status: 1,
        line:
          "hypha: missing.xes cannot be opened; give the path of a readable file (No such file or directory)"
      ),
      Mistake(
        arguments: "init --from SCRATCH --output o", status: 1,
        line: "hypha: SCRATCH cannot be read; give the path of a readable file (Is a directory)"),
      Mistake(
        arguments: "init --from text.txt --output o", status: 1,
        line: "hypha: the format of text.txt is not recognised; give XES, CSV with a header line, or "
          + "CloudEvents 1.0 as JSON lines, each plain or gzip, or name the format"),
      Mistake(
        arguments: "init --from empty.csv --output o", status: 1,
        line: "hypha: empty.csv is empty; give a file with recorded events"),
      Mistake(
        arguments: "init --from columns.csv --output o", status: 1,
        line: "hypha: columns.csv line 1: no column for case, activity, resource, time; there are `foo`, "
          + "`bar`; name the columns in the options"),
      Mistake(
        arguments: "init --from columns.csv --output o --nodes 0", status: 2,
        line: "hypha: --nodes is 0; use 1 to 64"),
    ]

    static let commands = [
      Mistake(
        arguments: "rn", status: 2,
        line: "hypha: there is no command 'rn'; did you mean 'run'? (see hypha --help)"
      ),
      Mistake(
        arguments: "log ct", status: 2,
        line: "hypha: hypha log has no command 'ct'; did you mean 'cat'? (see hypha log --help)"),
      Mistake(
        arguments: "run good.yaml --dta x", status: 2,
        line: "hypha: unknown option --dta; did you mean --data? (see hypha run --help)"),
      Mistake(
        arguments: "run", status: 2, line: "hypha: the argument <file> is missing; see hypha run --help"),
      Mistake(
        arguments: "run good.yaml --seed abc", status: 2,
        line: "hypha: 'abc' is not a value for --seed; give a whole number, 0 or more (see hypha run --help)"),
      Mistake(
        arguments: "log cat nowhere", status: 1,
        line: "hypha: nowhere holds no log of a node; give the --data directory of a run, such as "
          + "data/incident-room"),
    ]

    @Test(arguments: topologies + recordings + commands)
    func `a mistake gets one line that says what to do`(_ mistake: Mistake) async throws {
      let scratch = try Scratch()
      for (name, text) in Self.files { _ = try scratch.file(name, text) }
      let words = mistake.arguments.replacing("SCRATCH", with: scratch.path).split(separator: " ")
      let result = try await Hypha.run(words.map(String.init), in: scratch)
      #expect(result.status == mistake.status)
      #expect(result.errorLines == [mistake.line.replacing("SCRATCH", with: scratch.path)])
      #expect(result.output == "")
      #expect(!FileManager.default.fileExists(atPath: scratch("o")), "nothing is begun")
      #expect(!FileManager.default.fileExists(atPath: scratch("data")), "nothing is begun")
      scratch.expectNothingLeft()
    }

    @Test(
      .enabled(
        if: Places.hasRecording("coselog-receipt.xes.gz"), "the public event logs are not in ../shared/data"))
    func `a gzip file that was cut short is not taken for a whole one`() async throws {
      let scratch = try Scratch()
      let whole = try Data(contentsOf: URL(fileURLWithPath: Places.recording("coselog-receipt.xes.gz")))
      let path = try scratch.file("cut.xes.gz", Array(whole.prefix(100_000)))
      let result = try await scratch.hypha("init", "--from", path, "--output", "o")
      #expect(result.status == 1)
      let begin = "hypha: \(path) is gzip and ends before its data does, after "
      #expect(result.errorLines.count == 1 && result.errors.hasPrefix(begin))
      #expect(result.errors.hasSuffix(" bytes of content; fetch the file again; it was cut short\n"))
      #expect(!FileManager.default.fileExists(atPath: scratch("o")))
    }

    @Test func `validate prints every problem with its line, also as JSON`() async throws {
      let scratch = try Scratch()
      let text = """
        hypha: 1
        name: x
        colour: red
        nodes: {a: {}}
        agents:
          root: {kind: supervisor, node: a}
          ana: {kind: supervisor, node: b, reports-to: root}
          bo: {kind: trace, reports-to: nobody, sped: 1}
        """
      _ = try scratch.file("bad.yaml", text)
      let plain = try await scratch.hypha("validate", "bad.yaml")
      #expect(plain.status == 1 && plain.output == "")
      let lines = plain.errorLines.map { $0.prefix { $0 != " " } }
      #expect(lines == ["bad.yaml:3:1:", "bad.yaml:7:33:", "bad.yaml:8:33:", "bad.yaml:8:41:"])
      let json = try await scratch.hypha("validate", "bad.yaml", "--json")
      #expect(json.status == 1 && json.errors == "")
      struct Row: Decodable {
        var file: String
        var line, column: Int
        var problem, remedy: String
      }
      let rows = try json.lines.map { try JSONDecoder().decode(Row.self, from: Data($0.utf8)) }
      #expect(
        rows.map { "\($0.file):\($0.line):\($0.column): \($0.problem); \($0.remedy)" } == plain.errorLines)
      let run = try await scratch.hypha("run", "bad.yaml")
      #expect(run.status == 1 && run.errorLines.count == 1)
      #expect(run.errors.contains("3 more problems"))
    }

    @Test func `init replaces nothing unless it is told to`() async throws {
      let scratch = try Scratch()
      let recorded =
        "case,activity,resource,time\n1,a,Ana,2026-01-01T00:00:00Z\n1,b,Bo,2026-01-01T00:01:00Z\n"
      _ = try scratch.file("log.csv", recorded)
      let arguments = ["init", "--from", "log.csv", "--output", "o"]
      #expect(try await Hypha.run(arguments, in: scratch).status == 0)
      let again = try await Hypha.run(arguments, in: scratch)
      #expect(again.status == 1)
      #expect(
        again.errors
          == "hypha: o/topology.yaml is there already; give another --output, or --force to replace it\n")
      #expect(try await Hypha.run(arguments + ["--force"], in: scratch).status == 0)
    }
  }
}
