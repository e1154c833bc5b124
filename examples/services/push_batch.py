"""A nightly job: of the accounts on standard input, one a line, print those to whom a personal push may be prepared.

    CONSENTRY_NODE_URL=http://127.0.0.1:8480 CONSENTRY_BEARER_TOKEN=… python push_batch.py < accounts > may-be-pushed-to

It ends with 0 when each was answered, and with 3 when it could not find out: those are not printed, and asked again
the next night.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from consentry import ConsentClient, Operation, Request, load_settings

AT_A_TIME = 1_000


def questions(lines: Iterable[str]) -> Iterator[Request]:
    for line in lines:
        if subject := line.strip():
            yield Request(subject=subject, operation=Operation.USE, purpose="push.personalised", data=("behaviour",))


def main() -> int:
    counts: Counter[str] = Counter()
    waiting = questions(sys.stdin)
    with ConsentClient(load_settings(), deadline_ms=30_000) as consentry:
        while batch := list(islice(waiting, AT_A_TIME)):
            for request, answer in zip(batch, consentry.check_many(batch), strict=True):
                counts[answer.doubt or answer.reason] += 1
                if answer.allow:
                    print(request.subject)
    for what, number in counts.most_common():
        print(f"{what}: {number}", file=sys.stderr)
    return 3 if any(what.islower() for what in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
