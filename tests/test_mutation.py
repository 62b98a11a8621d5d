"""A sample of what ``python -m tests.mutation`` does to every rule and layer."""

import sys

import mutation
import pytest

MUTANTS = [pair for pair in mutation.sample(12) if str(pair[0]) not in mutation.equivalents()]


@pytest.mark.parametrize(("mutant", "source"), MUTANTS, ids=[str(mutant) for mutant, _ in MUTANTS])
def test_a_broken_rule_is_noticed(mutant, source):
    assert mutation.verdict(mutant, source()) != mutation.NO_ONE


@pytest.mark.parametrize("file", mutation.FILES[::8])
def test_the_right_ones_are_not(file):
    assert mutation.as_it_is(file) == mutation.NO_ONE


def test_every_equivalent_is_a_mutant_and_says_why():
    mutants = {str(mutant) for mutant, _ in mutation.sample(None)}
    for mutant, reason in mutation.equivalents().items():
        unparsed_otherwise = sys.version_info < (3, 11) and ("[*" in mutant or " for " in mutant)
        assert mutant in mutants or unparsed_otherwise
        assert len(reason) > 10
