"""A Kafka to work with on this machine: an Apache Kafka of our own, as a child process."""

from streams.broker.docker import engine_answers
from streams.broker.jars import KAFKA_VERSION, Progress
from streams.broker.local import LocalKafka, run_broker

__all__ = ["KAFKA_VERSION", "LocalKafka", "Progress", "engine_answers", "run_broker"]
