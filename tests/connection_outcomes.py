"""What connection tests come to, for tests in which Celery runs tasks in the caller."""

from hypervisors.operations.hypervisors.connection_tests import (
    ConnectionCandidate,
    ConnectionTest,
    find_connection_test,
    queue_connection_test,
)


def outcome(uri: str, **credentials: str) -> ConnectionTest:
    asked = queue_connection_test(user_id=1, candidate=ConnectionCandidate(uri=uri, **credentials))
    test = find_connection_test(asked.id, user_id=1)
    assert test is not None
    assert test.is_over
    return test
