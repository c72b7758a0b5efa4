import HyphaApp

@main struct Bank: HyphaApp {
  static let agents: [any Agent.Type] = [Account.self, Treasury.self, Customer.self]
}
