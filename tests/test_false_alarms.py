"""A sample of ``python -m tests.false_alarms``."""

import false_alarms
import pytest


@pytest.mark.parametrize("kind", false_alarms.KINDS)
def test_no_right_gradient_is_called_wrong(kind):
    assert [alarm for entry in false_alarms.ENTRIES for alarm in false_alarms.alarms(entry, kind, 1)] == []
