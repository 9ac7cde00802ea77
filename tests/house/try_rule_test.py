#!/usr/bin/env python3
"""TRY of base/result.h stands in no `new`.

It leaves the function from the middle of an expression. What that expression has made so far is not
unmade then, and a `new` has its memory before it looks at its arguments: each error would leak one
object. Violations are printed as file:line. Run alone or by `make test`.
"""

import re
import sys
import unittest

from include_rule_test import ROOT, project_files

# From a `new` to the end of its statement.
NEW_WITH_TRY = re.compile(r"\bnew\s+[\w:<>]+\s*[({][^;]*?\bTRY\(")


def violations(text):
    return [text.count("\n", 0, match.start()) + 1 for match in NEW_WITH_TRY.finditer(text)]


class TryRule(unittest.TestCase):
    def test_the_project_keeps_it(self):
        found = [f"{path.relative_to(ROOT)}:{line}" for path in project_files(ROOT)
                 for line in violations(path.read_text(errors="replace"))]
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_a_bad_sample_is_seen(self):
        self.assertEqual(violations("\nreturn P(new Queue(disk,\n    TRY(make())));"), [2])
        self.assertEqual(violations("auto made = TRY(make());\nreturn P(new Queue(made));"), [])
        self.assertEqual(violations("P queue(new Queue(made));\nauto more = TRY(make());"), [])


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    sys.exit(0 if result.wasSuccessful() else 1)
