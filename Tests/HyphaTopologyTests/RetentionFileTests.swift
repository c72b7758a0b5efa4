import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

/// How much nodes keep of their logs, as a topology file says it.
@Suite struct RetentionFileTests {
  private func file(log: String, node: String) -> String {
    """
    hypha: 1
    name: n
    log: \(log)
    nodes:
      hq: \(node)
      lab: {}
    agents:
      director: {kind: supervisor, node: hq}
    """
  }

  private func topology(log: String = "{}", node: String = "{}") throws -> Topology {
    try TopologyFile.read(yaml: file(log: log, node: node), file: "f").topology
  }

  @Test func `nothing said is everything kept`() throws {
    let topology = try topology()
    #expect(topology.retention(of: "hq").keepsEverything)
    #expect(try self.topology(log: "{keep-handled: true}").retention(of: "hq").keepsEverything)
    #expect(try !self.topology(log: "{keep-handled: false}").retention(of: "hq").keepsEverything)
  }

  @Test func `each limit of a node replaces the deployment's`() throws {
    let topology = try topology(
      log: "{keep-newer-than: 30d, keep-at-most: 2GiB, keep-newest: 1000, keep-handled: false}",
      node: "{keep-newer-than: 365d, keep-handled: true}")
    let all = RetentionSettings(
      ageMax: .seconds(30 * 86_400), byteCountMax: 2 << 30, entryCountMax: 1000, keepsHandled: false)
    #expect(topology.retention(of: "lab") == all)
    var own = all
    own.ageMax = .seconds(365 * 86_400)
    own.keepsHandled = true
    #expect(topology.retention(of: "hq") == own)
  }

  @Test func `what is written is read again`() throws {
    let topology = try topology(
      log: "{keep-newer-than: 36h, keep-at-most: 512MiB, keep-newest: 7, keep-handled: true}",
      node: "{keep-at-most: 64KiB, keep-handled: false}")
    let text = try TopologyWriter.text(topology)
    #expect(text.contains("  keep-newer-than: 36h\n  keep-at-most: 512MiB\n  keep-newest: 7\n"))
    #expect(text.contains("  hq: {keep-at-most: 64KiB, keep-handled: false}\n"))
    #expect(try TopologyFile.read(yaml: text, file: "f").topology == topology)
  }

  @Test(arguments: [
    ("keep-newer-than: 0s", "keep-newer-than '0s' is out of range; use a duration from 1s to 36500d"),
    ("keep-newer-than: ever", "keep-newer-than 'ever' is not a duration; write a whole number with a unit"),
    ("keep-at-most: 1KiB", "keep-at-most '1KiB' is out of range; use a size from 64KiB to 64TiB"),
    ("keep-newest: 0", "keep-newest must be a whole number; write a number from 1 to"),
    ("keep-newest: '5'", "keep-newest must be a whole number"),
    ("keep-handled: no", "keep-handled must be true or false; write one of the two, without quotes"),
    ("keep-handled: [true]", "keep-handled must be true or false"),
    ("keep-least: 1", "unknown key, 'keep-least'"),
  ])
  func `what cannot be meant is refused, for all and for one node`(_ setting: String, _ words: String) {
    for text in [file(log: "{\(setting)}", node: "{}"), file(log: "{}", node: "{\(setting)}")] {
      let error = #expect(throws: TopologyDiagnostics.self) { try TopologyFile.read(yaml: text, file: "f") }
      #expect(error?.description.contains(words) == true, "\(error.map { "\($0)" } ?? "")")
    }
  }
}
