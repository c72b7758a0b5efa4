import hypha_agent

agent = hypha_agent.Agent()


@agent.on("InvoiceSubmitted")
def decide(invoice, event):
    if invoice["amount"] > 1000:
        event.publish("InvoiceRejected", {"invoice": invoice["invoice"], "reason": "too much"})
    else:
        event.publish("InvoiceApproved", {"invoice": invoice["invoice"], "approver": agent.name})


agent.run()
