"""check_style finds each kind of departure, and an exception that nobody needs."""

import pathlib
import tempfile
import unittest

from check_style import problems_of

HEADER = "#pragma once\n"


class Style(unittest.TestCase):
    def problems(self, files, exceptions=""):
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            for name, text in {"tests/layers/exceptions.txt": exceptions, **files}.items():
                path = top / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return list(problems_of(top))

    def expect(self, words, files, exceptions=""):
        (problem,) = self.problems(files, exceptions)
        self.assertIn(words, problem)

    def test_right_files(self):
        self.assertEqual([], self.problems({
            "src/aof/record.hpp": HEADER, "src/aof/CMakeLists.txt": "", "tests/aof/record_test.cpp": ""}))

    def test_names(self):
        self.expect("snake_case", {"src/aof/LogRecord.cpp": ""})
        self.expect("one noun", {"src/aof/page_utils.cpp": ""})
        self.expect("one noun", {"src/aof/manager.cpp": ""})

    def test_header_guard(self):
        self.expect("#pragma once", {"src/aof/record.hpp": "int x;\n"})

    def test_long_file(self):
        self.assertEqual([], self.problems({"src/a/b.cpp": "\n" * 600}))
        self.assertEqual([], self.problems({"src/a/b.def": "\n" * 601}))
        self.expect("601 lines", {"src/a/b.cpp": "\n" * 601})
        self.assertEqual([], self.problems({"src/a/b.cpp": "\n" * 601}, "lines src/a/b.cpp 601 a generated table\n"))
        self.expect("602 lines", {"src/a/b.cpp": "\n" * 602}, "lines src/a/b.cpp 601 a generated table\n")

    def test_exceptions_shrink(self):
        self.expect("no longer needed", {"src/a/b.cpp": "\n" * 600}, "lines src/a/b.cpp 700 was long\n")
        self.expect("no longer needed", {"tests/a/b.py": ""}, "sleep tests/a/b.py was slow\n")

    def test_an_exception_has_a_reason(self):
        with self.assertRaises(ValueError):
            self.problems({}, "sleep tests/a/b.py\n")

    def test_columns_and_tabs(self):
        self.expect("111 columns", {"src/a/b.cpp": "x" * 111 + "\n"})
        self.assertEqual([], self.problems({"src/a/b.cpp": "//   24  1  version  " + "x" * 98 + "\n"}))
        self.expect("121 columns", {"src/a/b.cpp": "//   24  1  version  " + "x" * 100 + "\n"})
        self.expect("111 columns", {"src/a/b.cpp": "// " + "x" * 108 + "\n"})
        self.assertEqual([], self.problems({"src/a/b.cpp": '      "' + "x" * 120 + '",\n'}))
        self.expect("a tab", {"src/a/b.cpp": "\tint x;\n"})

    def test_unfinished(self):
        self.expect("unfinished", {"src/a/b.cpp": "// TO" "DO: all of it\n"})
        self.expect("unfinished", {"scripts/run": "# FIX" "ME\n"})

    def test_headers_that_gcc_12_lacks(self):
        self.expect("GCC 12", {"src/a/b.cpp": "#include <format>\n"})

    def test_sleep(self):
        for line in ("std::this_thread::sleep_for(1s);\n", "time.sl" "eep(1)\n", "usleep(5);\n"):
            self.expect("waits for the condition", {"tests/a/b_test.cpp": line})
        self.assertEqual([], self.problems({"tests/a/b.py": "time.sl" "eep(1)\n"}, "sleep tests/a/b.py random kills\n"))
        self.assertEqual([], self.problems({"src/a/b.cpp": "usleep(5);\n"}))

    def test_a_poll_has_a_deadline(self):
        pause = "    time.sl" "eep(0.01)\n"
        self.assertEqual([], self.problems({"tests/a/b.py": "while time.monotonic() < deadline:\n" + pause}))
        self.expect("waits for the condition", {"tests/a/b.py": "while not ready():\n" + pause})


if __name__ == "__main__":
    unittest.main()
