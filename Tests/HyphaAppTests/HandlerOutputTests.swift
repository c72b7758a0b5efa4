import Foundation
import HyphaCore
import Testing

extension Processes {
  /// Where it comes to what agents print.
  @Suite struct HandlerOutputTests {
    private func start(_ scratch: Scratch, _ options: String...) throws -> Hypha {
      let file = try scratch.file("talk.yaml", RunFiguresTests.topology)
      return try Hypha(
        ["run", file, "--data", scratch("data")] + options, in: scratch, program: Places.testApp)
    }

    @Test(arguments: [false, true])
    func `what agents print comes with the name of their node, and beside the figures`(isJSON: Bool)
      async throws
    {
      let scratch = try Scratch()
      let run = try isJSON ? start(scratch, "--json") : start(scratch)
      // Before the node ends, and so whatever ends it.
      #expect(await becomesTrue { run.errors.contains("[b] got job 39") })
      run.signal(SIGINT)
      let result = await run.end()
      let printed = result.errorLines.filter { $0.contains("got job") }
      #expect(printed == (0..<40).map { "[b] got job \($0)" }, "\(result)")
      #expect(result.errorLines.contains("[b] \\u{1B}[2Jand a half"), "\(result)")
      #expect(!result.output.contains("got job") && !result.output.contains("and a half"))
      if isJSON {
        #expect(result.lines.count == 1)
        _ = try RunSummary(result)
      }
      scratch.expectNothingLeft()
    }

    @Test func `what agents print when they are run again is kept apart from what the re-run says`()
      async throws
    {
      let scratch = try Scratch()
      let run = try start(scratch)
      #expect(await becomesTrue { run.output.contains("persistent 40 delivered") })
      run.signal(SIGINT)
      _ = await run.end()
      let again = try await Hypha(
        ["rerun", scratch("talk.yaml"), "--data", scratch("data"), "--json"], in: scratch,
        program: Places.testApp
      ).end()
      #expect(again.status == 0 && again.errors.contains("got job 39"), "\(again)")
      for line in again.lines { _ = try JSON.decode(JSONValue.self, from: line.utf8) }
      #expect(!again.lines.isEmpty)
      let text = try await Hypha(
        ["rerun", scratch("talk.yaml"), "--data", scratch("data")], in: scratch, program: Places.testApp
      ).end()
      #expect(text.errors.contains("got job 39") && !text.output.contains("got job"), "\(text)")
    }
  }
}
