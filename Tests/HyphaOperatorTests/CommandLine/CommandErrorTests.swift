import Testing

@testable import HyphaOperator

/// The exact texts, since people and scripts read them.
@Suite struct CommandErrorTests {
  private let page = "see hypha log cat --help"

  private func refusal(_ words: String...) async -> String {
    let words = ["log", "cat"] + words
    let errors = Output.captured()
    let output = Output.captured()
    let status = await Terminal.$current.withValue(plainTerminal) {
      await Output.$standard.withValue(output) {
        await Output.$standardError.withValue(errors) {
          await CommandLineRunner.main(Sample.self, arguments: words, version: "1")
        }
      }
    }
    #expect(status == 2)
    #expect(output.text == "")
    return errors.text
  }

  @Test func `an unknown option is answered with the nearest`() async {
    #expect(
      await refusal("d", "--subjct", "a")
        == "hypha: unknown option --subjct; did you mean --subject? (\(page))\n")
    #expect(await refusal("d", "--zzz=1") == "hypha: unknown option --zzz; \(page)\n")
    #expect(await refusal("d", "-jx") == "hypha: unknown option -x in -jx; \(page)\n")
  }

  @Test func `a missing value names the option`() async {
    #expect(
      await refusal("d", "--subject")
        == "hypha: --subject needs a value; write --subject <pattern> (\(page))\n")
    #expect(
      await refusal("d", "-s", "--json")
        == "hypha: -s needs a value; write -s <pattern>; for a value that begins with a dash, -s=<value> (\(page))\n"
    )
  }

  @Test func `a missing argument is named`() async {
    #expect(await refusal() == "hypha: the argument <path> is missing; \(page)\n")
  }

  @Test func `a missing option is named`() async {
    #expect(
      await run("log", "info")
        == Outcome(
          status: 2,
          errors: "hypha: the option --data is missing; add --data <directory> (see hypha log info --help)\n")
    )
  }

  @Test func `an extra argument is named`() async {
    #expect(
      await run("log", "info", "--data", "d", "more")
        == Outcome(
          status: 2, errors: "hypha: unexpected argument 'more'; leave it out (see hypha log info --help)\n"))
  }

  @Test func `a directory without its option is told the option`() async {
    #expect(
      await run("log", "info", "data/lab")
        == Outcome(
          status: 2,
          errors: "hypha: unexpected argument 'data/lab'; write --data data/lab (see hypha log info --help)\n"
        ))
  }

  @Test func `a bad value is answered with what fits`() async {
    #expect(
      await refusal("d", "--format", "xml")
        == "hypha: 'xml' is not a value for --format; give table, json or json-lines (\(page))\n")
    #expect(
      await refusal("d", "-n", "many")
        == "hypha: 'many' is not a value for --limit; give a whole number (\(page))\n")
    #expect(
      await refusal("d", "--wait", "3")
        == "hypha: '3' is not a value for --wait; give a duration such as 250ms, 3s, 2m, 1h or 30d (\(page))\n"
    )
    #expect(
      await refusal("d", "--since=-1")
        == "hypha: '-1' is not a value for --since; give a whole number, 0 or more (\(page))\n")
    #expect(
      await run("log", "info", "--map-size", "64M")
        == Outcome(
          status: 2,
          errors: "hypha: '64M' is not a value for --map-size; give a size such as 512KiB, 64MiB or 2GiB "
            + "(see hypha log info --help)\n"))
    #expect(
      await run("completion", "tcsh")
        == Outcome(
          status: 2,
          errors:
            "hypha: 'tcsh' is not a value for <shell>; give bash, zsh or fish (see hypha completion --help)\n"
        ))
  }

  @Test func `a type's own reason is passed on`() async {
    #expect(
      await refusal("d", "--subject", "a b")
        == "hypha: 'a b' is not a value for --subject: a subject holds no spaces; "
        + "separate words with dots (\(page))\n")
  }

  @Test func `a flag takes no value`() async {
    #expect(
      await refusal("d", "--json=yes") == "hypha: --json takes no value; write --json alone (\(page))\n")
  }

  @Test func `an unknown command is answered with the nearest`() async {
    #expect(
      await run("lgo", "cat")
        == Outcome(
          status: 2, errors: "hypha: there is no command 'lgo'; did you mean 'log'? (see hypha --help)\n"))
    #expect(
      await run("log", "frobnicate")
        == Outcome(status: 2, errors: "hypha: hypha log has no command 'frobnicate'; see hypha log --help\n"))
    #expect(
      await run("help", "log", "ct")
        == Outcome(
          status: 2,
          errors: "hypha: hypha log has no command 'ct'; did you mean 'cat'? (see hypha log --help)\n"))
    #expect(
      await run("--verson")
        == Outcome(
          status: 2, errors: "hypha: unknown option --verson; did you mean --version? (see hypha --help)\n"))
  }

  @Test func `validate refuses with the help page as its remedy`() async {
    #expect(await refusal("d", "-jf") == "hypha: --json and --follow exclude each other; \(page)\n")
  }

  @Test func `a failing command prints one line and its kind decides the status`() async {
    #expect(
      await run("secret", "error")
        == Outcome(
          status: 1, errors: "hypha: the log at data/hq is open; stop process 4711 (flock: busy)\n"))
    #expect(
      await run("secret", "usage") == Outcome(status: 2, errors: "hypha: --count is 0; give 1 or more\n"))
    #expect(await run("secret", "other") == Outcome(status: 1, errors: "hypha: something strange\n"))
  }

  @Test func `a thrown exit status is silent`() async {
    #expect(await run("secret", "silent") == Outcome(status: 7))
  }
}
