// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is compiled under the same rules: Swift 6 mode, warnings are errors, and
/// each import is visible where it is used.
let rules: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

/// `make test` has the libraries optimised, with their assertions: simulations take less than half of the time then. Not otherwise: no
/// package may have flags like these in what another one depends on.
let optimized: [SwiftSetting] =
  Context.environment["HYPHA_OPTIMIZED"] == nil
  ? [] : [.unsafeFlags(["-O", "-assert-config", "Debug"], .when(configuration: .debug))]

/// In the runtime an async function stays with the actor that calls it: an agent that leaves its own for nothing pays for the way
/// back with a turn of its thread.
let runtimeRules = rules + [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]

func target(_ name: String, _ dependencies: [Target.Dependency], rules: [SwiftSetting] = rules) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: rules + optimized)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: rules)
}

let package = Package(
  name: "hypha",
  products: [
    .library(name: "Hypha", targets: ["Hypha"]),
    .library(name: "HyphaApp", targets: ["HyphaApp"]),
    .library(name: "HyphaTestKit", targets: ["HyphaTestKit"]),
    .executable(name: "hypha", targets: ["hypha-cli"]),
  ],
  targets: [
    // C libraries, as Debian ships them.
    .systemLibrary(name: "CLMDB", providers: [.apt(["liblmdb-dev"])]),
    .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
    .systemLibrary(name: "CYAML", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
    // A header alone: the processor's checksum instruction.
    .systemLibrary(name: "CCRC32C"),
    // A header alone: fork and exec of a program that ends with its parent.
    .systemLibrary(name: "CSpawn"),

    // The ground: events, and the protocols of log and transport with their in-memory twins.
    target("HyphaCore", ["CCRC32C"]),
    target("HyphaLog", ["HyphaCore"]),
    target("HyphaTransport", ["HyphaCore"]),
    target("HyphaTopology", ["HyphaCore"]),

    // The C-facing targets.
    target("HyphaLogLMDB", ["HyphaCore", "HyphaLog", "CLMDB", "CSodium", "COpenSSL"]),
    target(
      "HyphaBench",
      [
        "HyphaCore", "HyphaLog", "HyphaLogLMDB", "HyphaTopology", "HyphaTransport", "HyphaTransportZMQ",
        "HyphaRuntime", "HyphaReplay", "CLMDB", "CZeroMQ",
      ]),
    target("HyphaTransportZMQ", ["HyphaCore", "HyphaTransport", "CZeroMQ", "CSodium"]),
    target("HyphaFormats", ["HyphaCore", "HyphaTopology", "CYAML", "CZlib", "CSQLite"]),

    // What was recorded, once more: in one order, for people, programs and other tools.
    target("HyphaReplay", ["HyphaCore", "HyphaLog", "HyphaTopology", "HyphaFormats"]),

    // Nodes and agents, and what people see of them.
    target(
      "HyphaRuntime", ["HyphaCore", "HyphaLog", "HyphaTransport", "HyphaTopology"], rules: runtimeRules),
    target("HyphaKinds", ["HyphaCore", "HyphaRuntime", "HyphaFormats", "HyphaReplay", "CSpawn"]),
    target(
      "HyphaOperator",
      [
        "HyphaCore", "HyphaLog", "HyphaTopology", "HyphaRuntime", "HyphaKinds", "HyphaFormats", "HyphaReplay",
      ]),
    target("Hypha", ["HyphaCore", "HyphaRuntime", "HyphaTopology"]),
    // What an author's tests import.
    target("HyphaTestKit", ["Hypha", "HyphaCore", "HyphaLog", "HyphaRuntime", "HyphaTopology"]),
    target(
      "HyphaApp",
      [
        "Hypha", "HyphaOperator", "HyphaKinds", "HyphaRuntime", "HyphaTopology", "HyphaLogLMDB",
        "HyphaTransportZMQ", "HyphaBench", "HyphaCore", "HyphaFormats",
      ]),
    .executableTarget(
      name: "hypha-cli", dependencies: ["HyphaApp"], path: "Sources/hypha", swiftSettings: rules),

    tests("HyphaCoreTests", ["HyphaCore"]),
    // A child process that the log's tests kill, starve of disk, and give damaged files.
    .executableTarget(
      name: "hypha-log-crasher", dependencies: ["HyphaCore", "HyphaLog", "HyphaLogLMDB"],
      path: "Tests/Support/hypha-log-crasher", swiftSettings: rules),
    // A disk that fails on purpose, under child processes.
    .target(name: "FaultShim", path: "Tests/Support/FaultShim", swiftSettings: rules),
    tests("HyphaLogTests", ["HyphaCore", "HyphaLog", "HyphaLogLMDB", "hypha-log-crasher", "FaultShim"]),
    tests("HyphaBenchTests", ["HyphaBench"]),
    tests("HyphaTransportTests", ["HyphaTransport", "HyphaTransportZMQ"]),
    tests("HyphaTopologyTests", ["HyphaTopology", "HyphaFormats"]),
    tests("HyphaFormatsTests", ["HyphaFormats"]),
    tests(
      "HyphaRuntimeTests",
      ["HyphaRuntime", "HyphaKinds", "HyphaCore", "HyphaLog", "HyphaTransport", "HyphaTopology"]),
    tests("HyphaTestKitTests", ["HyphaTestKit", "HyphaApp"]),
    tests(
      "HyphaReplayTests",
      ["HyphaCore", "HyphaLog", "HyphaLogLMDB", "HyphaTopology", "HyphaFormats", "HyphaReplay"]),
    tests(
      "HyphaOperatorTests",
      [
        "HyphaCore", "HyphaLog", "HyphaTopology", "HyphaReplay", "HyphaRuntime", "HyphaKinds",
        "HyphaOperator",
      ]),
    // An author's program whose agents fail as the tests tell them to.
    .executableTarget(
      name: "hypha-test-app", dependencies: ["HyphaApp"], path: "Tests/Support/hypha-test-app",
      swiftSettings: rules),
    tests(
      "HyphaAppTests",
      [
        "HyphaApp", "HyphaOperator", "HyphaRuntime", "HyphaKinds", "HyphaFormats", "HyphaTopology",
        "HyphaLogLMDB", "hypha-cli", "hypha-test-app", "FaultShim",
      ]),
  ]
)

// These test targets alone, by commas, so that nothing else is built for them: tools/run-mutants tries hundreds of builds.
if let only = Context.environment["HYPHA_TESTS"]?.split(separator: ",").map(String.init) {
  package.targets.removeAll { $0.type == .test && !only.contains($0.name) }
}
