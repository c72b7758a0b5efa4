// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "mixed",
  dependencies: [.package(name: "hypha", path: "../..")],
  targets: [
    .executableTarget(name: "mixed", dependencies: [.product(name: "HyphaApp", package: "hypha")])
  ]
)
