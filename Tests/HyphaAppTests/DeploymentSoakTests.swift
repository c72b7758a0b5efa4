import Foundation
import HyphaCore
import Testing

extension Processes {
  /// A deployment on several hosts under all faults at once (tools/soak), and what its logs are checked with afterwards
  /// (tools/hypha_check.py), which shares no code with what it checks.
  @Suite(.enabled(if: Python.isThere, "there is no python3; HYPHA_PYTHON may name one"))
  struct DeploymentSoakTests {
    private static let soakSeconds = ProcessInfo.processInfo.environment["HYPHA_SOAK_SECONDS"].flatMap {
      Double($0)
    }

    private func tool(
      _ words: String..., in scratch: Scratch, environment: [String: String] = [:],
      within limit: Duration = patience
    ) async throws -> Hypha.Result {
      let tool = Places.package.appending(path: "tools/\(words[0])").path
      return try await Hypha(
        [Python.path, "-B", tool] + words.dropFirst(), in: scratch, program: "/usr/bin/env",
        environment: environment
      ).end(within: limit)
    }

    @Test func `the checker finds each damage to the logs of a sound deployment`() async throws {
      let scratch = try Scratch()
      let result = try await tool("hypha_check.py", "--self-test", in: scratch)
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      #expect(result.lines.last?.hasSuffix("damages all are found") == true, "\(result.output)")
    }

    @Test
    func `hosts lose what they are to lose and nothing else, or it is said what this machine cannot do`()
      async throws
    {
      let scratch = try Scratch()
      let result = try await tool("hypha_hosts.py", "faults", in: scratch)
      guard getuid() == 0, !result.errors.hasPrefix("hypha_hosts: ") else {
        print("DeploymentSoakTests, no hosts here: \(result.errors)")
        return #expect(result.status == 1 && result.errorLines.count == 1, "\(result)")
      }
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      let answers = result.lines.map { $0.split(separator: ": ", maxSplits: 1) }
      #expect(answers.map(\.first) == ["hosts", "partitions", "cables", "delay and loss", "rate"])
      for answer in answers where answer.last != "yes" {
        print("DeploymentSoakTests, of \(answer.first ?? ""): \(answer.last ?? "")")
        #expect(answer.last?.contains("this machine's kernel has") == true, "\(result.output)")
      }
    }

    @Test(
      .enabled(
        if: Python.has("lmdb"),
        "no Python with the package lmdb; tools/setup-python installs it, HYPHA_PYTHON may name one"))
    func
      `whatever fails, all that was acknowledged is everywhere once and in order, and no alert is forgotten`()
      async throws
    {
      let seconds = Self.soakSeconds ?? 12
      let scratch = try Scratch()
      let result = try await tool(
        "soak", "--hypha", Places.hypha, "--seconds", "\(seconds)",
        // Of as many entries as a long one leaves copies would take too much memory.
        seconds <= 60 ? "--try-damages" : "--verbose", in: scratch, within: .seconds(seconds * 3 + 900))
      // The seed, what this machine cannot do, and what was found.
      print(
        result.lines.filter { $0.hasPrefix("soak: ") || $0.hasPrefix("sound: ") }.joined(separator: "\n"))
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      scratch.expectNothingLeft()
    }
  }
}
