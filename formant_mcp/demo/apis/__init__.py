"""The providers' APIs, each once: a request in, a response out, over a list of calls. The demo and tests serve them."""
