/// Topology files that several suites run.
enum Deployments {
  /// Two nodes with a load that takes some minutes, unless somebody stops it.
  static let endless = """
    hypha: 1
    name: endless
    nodes: {a: {}, b: {}}
    agents:
      root: {kind: supervisor, node: a}
      source: {kind: generator, node: b, reports-to: root, settings: {event: entry, count: 20000, every: 20}}
      sink: {kind: recorder, node: a, reports-to: root, subscribes: [load.Entry]}
    """
}
