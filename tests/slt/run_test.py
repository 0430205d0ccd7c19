"""The runner itself: what it reads it writes back, and it fails where it must."""

import os
import tempfile
import unittest

import run
import script
import wire

FILE = """# A comment.

test first rowsort
SELECT 1
----
columns a:int4
row 1
tag SELECT 1

test second full extended
INSERT INTO t
VALUES ($1)
bind: x\\ty
bind: \\N
----
error 23505 duplicate key
detail it is there

test third simple conn=other
COPY t FROM STDIN
copy: 1\t2
copy:
----
tag COPY 2
"""


def parsed(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.slt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        tests, trailing = script.read(path)
        script.write(path, tests, trailing)
        with open(path, encoding="utf-8") as file:
            return tests, file.read()


class Format(unittest.TestCase):
    def test_written_as_read(self):
        tests, text = parsed(FILE)
        self.assertEqual(text, FILE)
        self.assertEqual(tests[1].parameters, ["x\ty", None])
        self.assertEqual(tests[2].copy_data, "1\t2\n\n")
        self.assertEqual([t.protocols() for t in tests], [["simple", "extended"], ["extended"], ["simple"]])

    def test_mistakes_are_refused(self):
        for text in ("tst a\nSELECT 1\n", "test a odd_flag\nSELECT 1\n", "test a\n\n", "test a simple\nX\n---- extended\n",
                     "test a\nSELECT 1\n\ntest a\nSELECT 2\n"):
            with self.subTest(text=text), self.assertRaises(script.ScriptError):
                parsed(text)

    def test_values_are_unambiguous(self):
        values = [None, "", "\\N", "\\e", "a|b", "a\nb", "\t", " x ", "\\", "NULL", "a\\|b", "\r"]
        texts = [script.escape(value) for value in values]
        self.assertEqual(len(set(texts)), len(values))
        self.assertEqual([script.unescape(text) for text in texts], values)

    def test_an_answer_in_words(self):
        result = wire.Result(names=["a", "b"], oids=[23, 25], rows=[["2", None], ["1", ""]], tag="SELECT 2",
                             notices=[{"S": "NOTICE", "C": "00000", "M": "hm"}])
        test = script.Test("x", {"rowsort"}, "main", "", 1)
        self.assertEqual(script.render([result], test),
                         ["columns a:int4 | b:text", "row 1 | \\e", "row 2 | \\N", "notice NOTICE 00000 hm",
                          "tag SELECT 2"])
        failed = wire.Result(names=["a"], oids=[23], rows=[["1"]], error={"C": "22012", "M": "no", "D": "d", "H": "h",
                                                                         "P": "3", "t": "tab"})
        self.assertEqual(script.render([failed], script.Test("x", set(), "main", "", 1)), ["error 22012 no", "detail d"])
        self.assertEqual(script.render([failed], script.Test("x", {"full"}, "main", "", 1)),
                         ["error 22012 no", "detail d", "hint h", "position 3", "object table=tab"])


class Verdict(unittest.TestCase):
    def setUp(self):
        self.tests, _ = parsed(FILE)

    def report(self, known, answers):
        report = run.Report("subject", known)
        for test, protocol, lines in answers:
            report.add("area", test, protocol, lines)
        return report, report.print(0)

    def test_equal_passes_and_different_fails(self):
        right = (self.tests[0], "simple", ["columns a:int4", "row 1", "tag SELECT 1"])
        self.assertTrue(self.report({}, [right])[1])
        self.assertFalse(self.report({}, [right, (self.tests[0], "extended", ["columns a:int8"])])[1])

    def test_an_unexpected_pass_fails(self):
        known = {("area", "first", "*"): "reason"}
        report, good = self.report(known, [(self.tests[0], "simple", self.tests[0].expected["simple"])])
        self.assertFalse(good)
        self.assertIn("passes", report.failures[0][3][0])

    def test_known_differences_are_few(self):
        known = {("area", "first", "simple"): "reason"}
        wrong = (self.tests[0], "simple", ["row 2"])
        right = (self.tests[0], "extended", self.tests[0].expected["simple"])
        self.assertFalse(self.report(known, [wrong])[1])
        self.assertTrue(self.report(known, [wrong] + [right] * 99)[1])

    def test_nothing_recorded_fails(self):
        self.assertFalse(self.report({}, [(script.Test("n", set(), "main", "", 1), "simple", ["tag X"])])[1])


if __name__ == "__main__":
    unittest.main()
