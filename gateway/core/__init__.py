"""Pure values of the gateway: neutral messages, routes, prices. No Django, no clock."""
