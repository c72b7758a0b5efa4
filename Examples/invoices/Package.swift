// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "invoices",
  dependencies: [.package(name: "hypha", path: "../..")],
  targets: [
    .executableTarget(name: "invoices", dependencies: [.product(name: "HyphaApp", package: "hypha")])
  ]
)
