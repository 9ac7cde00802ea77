#!/usr/bin/env python3
"""splitring says how it is used, and its completion and man page know all of it."""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/support/tools"))
from programs import SPLITRING, SPLITRINGD, ProgramTest, run  # noqa: E402

COMMANDS = [["host"], ["domain", "create"], ["domain", "destroy"], ["domain", "list"], ["attach"],
            ["detach"], ["handover"], ["claim"], ["doctor"], ["list"], ["info"], ["cp"], ["bench"],
            ["mount"], ["crunch"], *(["tar", verb] for verb in ("create", "append", "ls", "cat", "extract",
                                                     "verify", "index")),
            *(["kv", verb] for verb in ("create", "get", "put", "rm", "ls", "scan", "txn", "load", "dump", "stat",
                                        "trim", "check", "snapshot", "diff", "backup", "restore")),
            *(["fat", verb] for verb in ("create", "label", "info", "check", "ls", "cat", "get", "add", "put",
                                         "mkdir", "rm", "mv", "cp", "touch", "attr", "shell"))]


def options_in(help_text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_text.split("Examples:")[0]))


def complete(line):
    script = f"""
      compopt() {{ :; }}
      source {REPOSITORY}/tools/splitring/completion.bash
      COMP_LINE=$1 COMP_POINT=${{#1}}
      _splitring
      printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(subprocess.run(["bash", "-c", script, "bash", line], check=True,
                              stdout=subprocess.PIPE).stdout.decode().split())


class CommandLine(ProgramTest):
    def test_every_command_has_help(self):
        top = run(SPLITRING, "--help")
        self.assertEqual(top.code, 0)
        for words in COMMANDS:
            with self.subTest(command=words):
                self.assertIn(words[0], top.output)
                outcome = run(SPLITRING, *words, "--help")
                self.assertEqual(outcome.code, 0)
                shown = outcome.output + run(SPLITRING, words[0], "--help").output
                self.assertIn("Examples:", shown)

    def test_version(self):
        for program in (SPLITRING, SPLITRINGD):
            outcome = run(program, "--version")
            self.assertEqual(outcome.code, 0)
            self.assertRegex(outcome.output, r"^splitringd? \d+\.\d+\.\d+\n$")

    def test_wrong_usage_exits_with_2(self):
        attach = ["attach", "--vdev", "xvda", "--target", "mem:1M"]
        wrong = [[], ["fly"], ["info"], ["list", "--fast"], ["tar"], ["domain"],
                 ["domain", "create", "x"], ["domain", "create", "32752"],
                 ["--domain", "-1", "list"], attach, [*attach, "--domain", "70000"],
                 [*attach, "--domain", "1", "--mode", "x"],
                 [*attach, "--domain", "1", "--kind", "../vbd"],
                 [*attach, "--domain", "1", "--wait", "1", "--no-wait"],
                 ["attach", "--domain", "1", "--vdev", "sofa", "--target", "mem:1M"],
                 ["bench", "mem:1M", "--qd", "0"], ["bench", "mem:1M", "--poll", "maybe"],
                 ["fat", "attr", "mem:1M"], ["fat", "attr", "mem:1M", "+h"],
                 ["fat", "attr", "mem:1M", "a", "+h", "-h"], ["fat", "attr", "mem:1M", "a", "+q"],
                 ["mount", "mem:1M"], ["mount", "mem:1M", "/", "-t", "ext4"],
                 ["mount", "mem:1M", "/", "-o", "sofa"], ["mount", "mem:1M", "/", "-o", "uid=x"],
                 ["mount", "mem:1M", "/", "-o", "ro,umask=999"]]
        for words in wrong:
            with self.subTest(words=words):
                outcome = run(SPLITRING, *words)
                self.assertEqual(outcome.code, 2, outcome.errors)
                self.assertNotEqual(outcome.errors, "")

    def test_a_word_that_is_no_command_is_named(self):
        for words, said in ((["infos"], 'no command "infos"'), (["tar", "lss"], 'no command "lss"'),
                            (["--fast"], 'no option "--fast"')):
            with self.subTest(words=words):
                outcome = run(SPLITRING, *words)
                self.assertEqual(outcome.code, 2)
                self.assertIn(said, outcome.errors)

    def test_completion_knows_every_command_and_option(self):
        self.assertEqual(complete("splitring "), {words[0] for words in COMMANDS})
        self.assertEqual(complete("splitring domain "), {"create", "destroy", "list"})
        self.assertEqual(complete("splitring tar "),
                         {words[1] for words in COMMANDS if words[0] == "tar"})
        self.assertEqual(complete("splitring fat "),
                         {words[1] for words in COMMANDS if words[0] == "fat"})
        self.assertEqual(complete("splitring kv "), {words[1] for words in COMMANDS if words[0] == "kv"})
        for words in COMMANDS:
            with self.subTest(command=words):
                known = options_in(run(SPLITRING, *words, "--help").output)
                self.assertLessEqual(known, complete(" ".join(["splitring", *words, "--"])))
        known = options_in(run(SPLITRINGD, "--help").output)
        self.assertGreater(len(known), 10)
        self.assertEqual(known, complete("splitringd --"))

    def test_completion_offers_nothing_that_is_not_there(self):
        for words in COMMANDS:
            with self.subTest(command=words):
                there = options_in(run(SPLITRING, *words, "--help").output)
                there |= options_in(run(SPLITRING, "--help").output)
                self.assertLessEqual(complete(" ".join(["splitring", *words, "--"])), there)

    def test_man_pages_name_every_option(self):
        pages = {SPLITRING: "splitring/splitring.1.scd", SPLITRINGD: "splitringd/splitringd.8.scd"}
        for program, page in pages.items():
            text = (REPOSITORY / "tools" / page).read_text()
            self.assertEqual(run("sh", "-c", f"scdoc < {REPOSITORY}/tools/{page}").code, 0)
            helps = [run(program, "--help").output]
            if program == SPLITRING:
                helps += [run(program, *words, "--help").output for words in COMMANDS]
            for option in sorted(set().union(*map(options_in, helps))):
                with self.subTest(page=page, option=option):
                    short = {"--recursive": "-r", "--verbose": "-v",
                             "--directory": "-C", "--escapes": "-e", "--file": "-f",
                             "--type": "-t", "--options": "-o", "--foreground": "-f"}.get(option, option)
                    self.assertIn(short, text)


if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    unittest.main()
