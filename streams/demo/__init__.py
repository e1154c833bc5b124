"""`consentry demo`: a real Kafka, a worker, a query node, a subscriber, and a story played through them."""

from streams.demo.run import run_demo

__all__ = ["run_demo"]
