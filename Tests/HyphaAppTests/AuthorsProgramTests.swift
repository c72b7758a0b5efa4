import Foundation
import Testing

extension Commands {
  /// A program of somebody else's, in a package of its own that depends on this one.
  @Suite struct AuthorsProgramTests {
    static let manifest = """
      // swift-tools-version: 6.2
      import PackageDescription

      let package = Package(
        name: "invoices",
        dependencies: [.package(name: "hypha", path: "\(Places.package.path)")],
        targets: [
          .executableTarget(
            name: "invoices", dependencies: [.product(name: "HyphaApp", package: "hypha")],
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
          .executableTarget(
            name: "example", dependencies: [.product(name: "HyphaApp", package: "hypha")],
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
          .executableTarget(
            name: "bank", dependencies: [.product(name: "HyphaApp", package: "hypha")],
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
          .executableTarget(
            name: "mixed", dependencies: [.product(name: "HyphaApp", package: "hypha")],
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
        ])
      """

    static let program = """
      import HyphaApp

      @main struct Invoices: HyphaApp {
        static let agents: [any Agent.Type] = [Clerk.self, Approver.self]
      }

      struct InvoiceSubmitted: Event {
        var invoice: Int
        var amount: Int
      }

      struct InvoiceApproved: Event {
        var invoice: Int
      }

      /// Submits invoices and waits until all are approved.
      actor Clerk: Agent {
        struct State: Codable, Sendable { var submitted = 0, approved = 0 }
        struct Settings: Decodable { var count: Int }

        static let handles = Handlers(Clerk.self).on(InvoiceApproved.self) { clerk, _, context in
          clerk.state.approved += 1
          clerk.report(in: context)
        }
        static let publishes: [any Event.Type] = [InvoiceSubmitted.self]
        static let settingNames: Set<String> = ["count"]
        static let finishes = true

        var state = State()
        private var count = 0

        func start(in context: Context) async throws {
          count = try context.settings(Settings.self).count
          while state.submitted < count {
            try await context.publish(
              InvoiceSubmitted(invoice: state.submitted, amount: state.submitted * 100), to: "boss")
            state.submitted += 1
          }
          report(in: context)
        }

        private func report(in context: Context) {
          context.report("invoices approved", Int64(state.approved))
          if state.approved == count { context.finish() }
        }
      }

      /// Approves everything.
      actor Approver: Agent {
        static let handles = Handlers(Approver.self).on(InvoiceSubmitted.self) { _, event, context in
          try await context.publish(InvoiceApproved(invoice: event.invoice), to: context.event?.agent)
        }
        static let publishes: [any Event.Type] = [InvoiceApproved.self]
      }
      """

    static let topology = """
      hypha: 1
      name: invoices
      nodes: {office: {}, desk: {}}
      agents:
        boss: {kind: approver, node: office}
        clerk: {kind: clerk, node: desk, reports-to: boss, settings: {count: 250}}
      """

    @Test(
      .enabled(
        if: ProcessInfo.processInfo.environment["HYPHA_SKIP_AUTHORS_PROGRAM"] == nil,
        "HYPHA_SKIP_AUTHORS_PROGRAM is set"))
    func `an author's program builds, runs its own kinds to the end, and speaks under its own name`()
      async throws
    {
      let scratch = try Scratch()
      try FileManager.default.createDirectory(
        atPath: scratch("package/Sources/invoices"), withIntermediateDirectories: true)
      _ = try scratch.file("package/Package.swift", Self.manifest)
      _ = try scratch.file("package/Sources/invoices/Invoices.swift", Self.program)
      // The example that the README quotes, as it is.
      let example = Places.package.appending(path: "Examples/invoices")
      try FileManager.default.copyItem(
        at: example.appending(path: "Sources/invoices"), to: URL(filePath: scratch("package/Sources/example"))
      )
      // The one that the guide quotes.
      let bank = Places.package.appending(path: "Examples/bank")
      try FileManager.default.copyItem(
        at: bank.appending(path: "Sources/bank"), to: URL(filePath: scratch("package/Sources/bank")))
      // The one with a program in Python.
      let mixed = Places.package.appending(path: "Examples/mixed")
      try FileManager.default.copyItem(
        at: mixed.appending(path: "Sources/mixed"), to: URL(filePath: scratch("package/Sources/mixed")))
      _ = try scratch.file("topology.yaml", Self.topology)
      let build = try Hypha(
        // As an author builds it: flags for the tests' own libraries are for no package that depends on them.
        [
          "-u", "HYPHA_OPTIMIZED", "swift", "build", "--package-path", scratch("package"), "--scratch-path",
          scratch("build"),
        ],
        in: scratch, program: "/usr/bin/env")
      let built = await build.end(within: .seconds(900))
      try #require(built.status == 0, "\(built.output)\(built.errors)")
      let invoices = scratch("build/debug/invoices")

      func run(_ words: String...) async throws -> Hypha.Result {
        try await Hypha(words, in: scratch, program: invoices).end()
      }
      let first = try await run("run", "topology.yaml", "--json")
      #expect(first.status == 0, "\(first.errors)")
      let summary = try RunSummary(first)
      #expect(summary.isComplete && summary.gauges["invoices approved"] == 250)
      #expect(summary.channel("persistent")?.delivered == 500)
      let again = try await run("run", "topology.yaml")
      #expect(again.status == 0)
      #expect(again.output.contains("invoices log verify data/invoices\n"), "itself in hints")
      let simulated = try await run("run", "topology.yaml", "--simulate", "--json")
      #expect(try RunSummary(simulated).gauges["invoices approved"] == 250)
      #expect(try await run("--version").output.hasPrefix("invoices "))
      let help = try await run("log", "cat", "--help")
      #expect(help.output.hasPrefix("Usage: invoices log cat ") && !help.output.contains("hypha "))
      let lost = try await run("validate", Places.incidentRoom + ".missing")
      #expect(lost.status == 1 && lost.errors.hasPrefix("invoices: "))
      let kinds = try scratch.file("kinds.yaml", Self.topology.replacing("approver", with: "aprover"))
      #expect(try await run("validate", kinds).errors.contains("did you mean 'approver'?"))
      let quoted = try await Hypha(
        ["run", example.appending(path: "topology.yaml").path, "--data", scratch("example"), "--json"],
        in: scratch, program: scratch("build/debug/example")
      ).end()
      #expect(try RunSummary(quoted).isComplete && RunSummary(quoted).gauges["invoices approved"] == 3)
      let paid = try await Hypha(
        ["run", bank.appending(path: "topology.yaml").path, "--data", scratch("bank"), "--json"],
        in: scratch, program: scratch("build/debug/bank")
      ).end()
      #expect(paid.status == 0, "\(paid.errors)")
      // Ten deposits of 100, and three times 5 percent.
      #expect(try RunSummary(paid).isComplete && RunSummary(paid).gauges["balance"] == 1157)
      if Python.isThere {
        let decided = try await Hypha(
          ["run", mixed.appending(path: "topology.yaml").path, "--data", scratch("mixed"), "--json"],
          in: scratch, program: scratch("build/debug/mixed")
        ).end()
        #expect(decided.status == 0, "\(decided.errors)")
        let gauges = try RunSummary(decided).gauges
        #expect(gauges["invoices approved"] == 4 && gauges["invoices rejected"] == 2, "\(gauges)")
        #expect(gauges["frauds suspected"] == 1, "an alert of a program in Python: \(gauges)")
      }
      // And what they have left can be done again.
      for (name, place) in [("example", example), ("bank", bank), ("mixed", mixed)]
      where name != "mixed" || Python.isThere {
        for backend in [[], ["--in-memory"]] {
          let command = [
            "rerun", place.appending(path: "topology.yaml").path, "--data", scratch(name), "--verify",
          ]
          let again = try await Hypha(
            command + ["--times", "100"] + backend, in: scratch, program: scratch("build/debug/\(name)")
          ).end(within: .seconds(300))
          #expect(
            again.status == 0 && again.output.contains("all is as recorded, 100 times: "),
            "\(name) \(backend): \(again.output)\(again.errors)")
        }
      }
      scratch.expectNothingLeft()
    }
  }
}
